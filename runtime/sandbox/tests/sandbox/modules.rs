//! Which files are modules, and what is kept of them.

use crate::support::*;
use millstream_core::udf::Udf;
use millstream_sandbox::{Instance, Limits, ModuleError, Sandbox, Unobserved};
use std::path::Path;
use std::time::Duration;

fn error(wasm: &[u8]) -> ModuleError {
    sandbox().compile(wasm).unwrap_err()
}

#[test]
fn files_that_are_no_components() {
    assert_eq!(error(b""), ModuleError::NotWasm);
    assert_eq!(error(b"#!/bin/sh"), ModuleError::NotWasm);
    assert_eq!(error(b"\0asm\x01\0\0\0"), ModuleError::CoreModule);
    assert!(matches!(error(b"\0asm\x0d\0\x01\0garbage"), ModuleError::Invalid(_)));
    let mut cut = guest("misbehave");
    cut.truncate(cut.len() / 2);
    assert!(matches!(error(&cut), ModuleError::Invalid(_)));
    let limits = Limits { module_bytes: 1000, ..Limits::default() };
    let large = sandbox_with(limits).compile(&guest("misbehave")).unwrap_err();
    assert!(matches!(large, ModuleError::TooLarge { limit: 1000, .. }), "{large}");
    assert!(ModuleError::CoreModule.to_string().contains("wasm32-wasip2"));
}

#[test]
fn compiled_code_from_outside_is_refused() {
    let module = guest("not-a-udf");
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_component(&module).unwrap();
    assert_eq!(error(&code), ModuleError::Precompiled);
}

#[test]
fn components_that_are_no_udfs() {
    let found = error(&guest("not-a-udf"));
    assert!(
        matches!(&found, ModuleError::NoGuest { found, expected } if found.contains("other:thing/greeter@1.0.0") && *expected == "millstream:udf/guest@0.1.0"),
        "{found}"
    );
    let found = error(&guest("wrong-version"));
    assert!(
        matches!(&found, ModuleError::NoGuest { found, .. } if found.contains("millstream:udf/guest@0.9.0")),
        "{found}"
    );
    let found = error(&guest("forbidden-import"));
    assert!(
        matches!(&found, ModuleError::ForbiddenImport { name, .. } if name.starts_with("wasi:sockets/")),
        "{found}"
    );
}

#[test]
fn descriptions() {
    let looping = error(&guest("describe-loop"));
    assert!(
        matches!(&looping, ModuleError::Describe(text) if text.contains("out of fuel")),
        "{looping}"
    );
    let bad = error(&guest("describe-bad"));
    assert!(matches!(&bad, ModuleError::Description(text) if text.contains("Bad Name")), "{bad}");
    let module = sandbox().compile(&guest("describe-changes")).unwrap();
    Instance::new(&module, "{}", Box::new(Unobserved)).start().unwrap();
    let message = trap(Instance::new(&module, r#"{"a":1}"#, Box::new(Unobserved)).start());
    assert!(message.contains("describe answers differently"), "{message}");
}

#[test]
fn compiling_takes_no_longer_than_allowed() {
    let limits = Limits { compile_time: Duration::ZERO, instances: 1, ..Limits::default() };
    let slow = Sandbox::new(limits, None).unwrap().compile(&guest("misbehave")).unwrap_err();
    assert_eq!(slow, ModuleError::CompileTime { limit: Duration::ZERO });
}

#[test]
fn a_module_says_what_it_is() {
    let module = misbehave();
    assert_eq!(module.description().name, "misbehave");
    assert_eq!(module.description().states.len(), 3);
    assert_eq!(module.digest(), <[u8; 32]>::from(sha2::Sha256::digest(guest("misbehave"))));
    use sha2::Digest;
}

fn code_files(folder: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn compiled_code_is_kept_and_damage_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("deep/code");
    let wasm = guest("misbehave");
    let sandbox =
        || Sandbox::new(Limits { instances: 2, ..Limits::default() }, Some(&code)).unwrap();
    sandbox().compile(&wasm).unwrap();
    let files = code_files(&code);
    assert_eq!(files.len(), 1, "{files:?}");
    let whole = std::fs::read(&files[0]).unwrap();

    // From the cache: there is no time to compile.
    let limits = Limits { compile_time: Duration::ZERO, instances: 2, ..Limits::default() };
    let module = Sandbox::new(limits, Some(&code)).unwrap().compile(&wasm).unwrap();
    Instance::new(&module, "{}", Box::new(Unobserved))
        .process(&batch(&["x"]), &mut Memory::default())
        .unwrap();

    for damage in [whole[..whole.len() - 1].to_vec(), Vec::new(), b"MSCODE01".to_vec(), {
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        flipped
    }] {
        std::fs::write(&files[0], &damage).unwrap();
        sandbox().compile(&wasm).unwrap();
        assert!(std::fs::read(&files[0]).unwrap().starts_with(b"MSCODE01"));
        assert_eq!(std::fs::read(&files[0]).unwrap().len(), whole.len());
        assert_eq!(code_files(&code).len(), 1);
    }
}

#[cfg(unix)]
#[test]
fn the_folder_of_compiled_code_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("code");
    Sandbox::new(Limits { instances: 1, ..Limits::default() }, Some(&code)).unwrap();
    assert_eq!(std::fs::metadata(&code).unwrap().permissions().mode() & 0o777, 0o700);
}
