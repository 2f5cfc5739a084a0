//! `validate` and `schema`.

use crate::millstream::Millstream;

const GOOD: &str = "\
name: counts
sources:
  orders: { stream: ORDERS }
stages:
  count:
    module: counter@1.0.0
    inputs: { orders: { key: { pointer: /id } } }
    outputs: { output: counts }
sinks:
  counts: { subject: orders.counts }
";

#[test]
fn the_schema_is_json_and_names_the_fields() {
    let text = Millstream::new().call(["schema"]).ok().stdout;
    let schema: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for field in ["name", "sources", "stages", "sinks"] {
        assert!(schema["properties"][field].is_object(), "{field}: {schema}");
    }
    let yaml = Millstream::new().call(["schema", "-o", "yaml"]).ok().stdout;
    assert!(yaml.contains("properties:"), "{yaml}");
}

#[test]
fn a_good_manifest_is_valid() {
    let millstream = Millstream::new();
    millstream.file("p.yaml", GOOD);
    let called = millstream.call(["validate", "-f", "p.yaml"]).ok();
    assert!(called.stderr.contains("p.yaml: valid"), "{called:?}");
    assert!(called.stderr.contains("--online"), "{called:?}");
    assert_eq!(millstream.call(["validate", "-f", "p.yaml", "-o", "name"]).ok().stdout, "counts\n");
}

#[test]
fn a_mistake_is_shown_with_its_line_and_what_would_be_right() {
    let millstream = Millstream::new();
    millstream.file("p.yaml", &GOOD.replace("stream:", "steam:"));
    millstream.call(["validate", "-f", "p.yaml"]).failed(
        3,
        &[
            "p.yaml:3:",
            "sources.orders",
            "3 |   orders: { steam: ORDERS }",
            "help:",
            "`stream`",
            "millstream explain MS1",
        ],
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let millstream = Millstream::new();
    let text = GOOD.replace("/id", "id").replace("name: counts", "name: Counts");
    millstream.file("p.yaml", &text);
    millstream
        .call(["validate", "-f", "p.yaml"])
        .failed(3, &["p.yaml:1:", "p.yaml:7:", "2 problems"]);
}

#[test]
fn a_missing_manifest_is_not_found() {
    let millstream = Millstream::new();
    millstream.call(["validate", "-f", "p.yaml"]).failed(4, &["p.yaml", "No such file"]);
}

#[test]
fn a_missing_or_broken_module_names_its_line() {
    let millstream = Millstream::new();
    millstream.file("p.yaml", &GOOD.replace("counter@1.0.0", "{ file: counter.wasm }"));
    millstream.call(["validate", "-f", "p.yaml"]).failed(
        3,
        &["counter.wasm", "p.yaml:6:", "stages.count.module", "build the module", "MS1111"],
    );
    millstream.file("counter.wasm", "not wasm");
    millstream
        .call(["validate", "-f", "p.yaml"])
        .failed(3, &["not WebAssembly", "p.yaml:6:", "MS1112"]);
}

#[test]
fn a_manifest_comes_from_standard_input() {
    use std::io::Write as _;
    let millstream = Millstream::new();
    let mut child = millstream
        .command(["validate", "-f", "-"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("piped").write_all(GOOD.as_bytes()).expect("write");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
}
