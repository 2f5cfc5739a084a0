//! A project from a template: its names, and what is refused. Whether it builds and runs is tested in `projects`.

use crate::millstream::Millstream;

#[test]
fn a_project_names_its_package_pipeline_and_sdk() {
    let millstream = Millstream::new();
    let called = millstream.call(["new", "my-udf"]).ok();
    assert!(called.stderr.contains("millstream test"), "{called:?}");
    let read = |name: &str| {
        let path = millstream.folder.path().join("my-udf").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let package = read("Cargo.toml");
    assert!(package.contains("name = \"my-udf\""), "{package}");
    let sdk = package
        .split("millstream-udf = { path = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let sdk = sdk.expect("the SDK is named by path");
    assert!(std::path::Path::new(sdk).join("Cargo.toml").is_file(), "{sdk}");
    assert!(read("pipeline.yaml").contains("release/my_udf.wasm"));
    for name in
        ["src/lib.rs", "src/tests.rs", "tests/sample/input.ndjson", "README.md", ".gitignore"]
    {
        assert!(!read(name).contains("{{"), "{name}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let millstream = Millstream::new();
    millstream.call(["new", "my-udf"]).ok();
    millstream.call(["new", "my-udf"]).failed(5, &["my-udf exists already"]);
}

#[test]
fn names_and_sdk_are_checked() {
    let millstream = Millstream::new();
    millstream.call(["new", "../evil"]).failed(2, &["../evil", "a-z"]);
    millstream
        .call(["new", "my-udf", "--sdk", "."])
        .failed(4, &["not the Millstream SDK", "--sdk"]);
    assert!(!millstream.folder.path().join("my-udf").exists());
}
