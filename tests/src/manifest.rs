//! Pipelines as their manifests have them; also on streams of their own, so that several can run on one server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_control::client::read_module_files;
use millstream_control::manifest::{Document, resolve};
use millstream_core::ids::Incarnation;
use millstream_engine::spec::PipelineSpec;
use millstream_sandbox::{Limits, MODULE_BYTES_MAX, Sandbox};

/// The pipeline of a manifest, as it is written there. Panics if it is wrong, or a module was not built.
pub fn as_written(sandbox: &Sandbox, path: &Path) -> PipelineSpec {
    let document = Document::load(path).unwrap_or_else(|problems| panic!("{problems}"));
    let folder = path.parent().expect("a file is in a folder");
    let files = read_module_files(&document, |file| folder.join(file))
        .unwrap_or_else(|problems| panic!("{problems}; run `cargo xtask build` first"));
    let modules: BTreeMap<_, _> = files
        .iter()
        .map(|(stage, bytes)| {
            let module = sandbox.compile(bytes);
            let module = module.unwrap_or_else(|e| panic!("{}, {stage}: {e}", path.display()));
            (stage.clone(), Arc::new(module))
        })
        .collect();
    resolve(&document, &modules, Incarnation(1)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// As [`as_written`], with this number of partitions per stage instead of the manifest's if one is given. Its
/// streams are `NAME_STREAM` on the subjects `in.NAME.SUBJECT`, its sinks `out.NAME.SUBJECT`.
pub fn pipeline(sandbox: &Sandbox, path: &Path, partitions: Option<u16>) -> PipelineSpec {
    let mut spec = as_written(sandbox, path);
    let name = &spec.name;
    for source in &mut spec.sources {
        source.subject =
            source.subject.as_ref().map(|subject| format!("in.{name}.{}.{subject}", source.stream));
        source.stream = format!("{name}_{}", source.stream);
    }
    for sink in &mut spec.sinks {
        sink.subject = format!("out.{name}.{}", sink.subject);
    }
    for stage in &mut spec.stages {
        stage.partitions = partitions.unwrap_or(stage.partitions);
    }
    spec
}

/// How long a module may be compiled: on a machine that is busy with other tests, too.
const COMPILE_TIME: Duration = Duration::from_secs(300);

/// A sandbox that keeps compiled modules in a folder, so that the processes of a test compile each once. It takes the
/// largest modules that an operator may allow.
pub fn sandbox(compiled: &Path) -> Sandbox {
    let limits =
        Limits { compile_time: COMPILE_TIME, module_bytes: MODULE_BYTES_MAX, ..Limits::default() };
    Sandbox::new(limits, Some(compiled)).expect("the sandbox starts")
}
