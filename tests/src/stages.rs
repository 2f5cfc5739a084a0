//! A pipeline of two stages whose results a pipeline of one stage must have too: what comes in goes through a stage with
//! another key, split and joined again if wanted, on its way to the windows.

use std::sync::Arc;

use millstream_engine::spec::{
    ChainedSpec, InputFrom, OnError, PipelineSpec, StageInput, StageSpec,
};
use millstream_sandbox::codec::KeySource;
use millstream_sandbox::{Limits, Module, Sandbox};

use crate::fraud::fraud;
use crate::shipped_module;

/// How the first stage passes on what comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// All by one output.
    One,
    /// Large transactions by one output, small ones by another; the second stage reads both as one input. Its records
    /// have the order of their arrival, which must not matter to what is computed.
    Two,
    /// All by one output, in the same partitions: the first stage is keyed by account too, and the second chained behind it.
    Chained,
}

/// The pipeline `stages`: the streams of the fraud job, the stage `split`, keyed by the kind of merchant, and the stage
/// `windows`, keyed by account. `config` is that of `window-sums`.
pub fn stages(config: &str, path: Path, partitions: (u16, u16)) -> PipelineSpec {
    let sandbox = Sandbox::new(Limits::default(), None).unwrap();
    let compile = |name: &str| Arc::new(sandbox.compile(&shipped_module(name)).unwrap());
    let stage = |name: &str, module: Arc<Module>, config: &str, partitions, inputs| StageSpec {
        name: name.into(),
        partitions,
        outputs: vec![Vec::new(); module.description().outputs.len()],
        module: module.into(),
        config: config.into(),
        inputs,
        on_error: OnError::DeadLetter,
        chained: Vec::new(),
    };
    let split = stage(
        "split",
        compile("filter"),
        match path {
            Path::One | Path::Chained => r#"{"where":"true"}"#,
            Path::Two => r#"{"where":"amount >= 50.0"}"#,
        },
        partitions.0,
        vec![StageInput {
            from: InputFrom::Source(0),
            input: 0,
            key: KeySource::Pointer(
                match path {
                    Path::One | Path::Two => "/merchant_category",
                    Path::Chained => "/account_id",
                }
                .into(),
            ),
        }],
    );
    let from_split = |output| StageInput {
        from: InputFrom::Stage { stage: 0, output },
        input: 0,
        key: KeySource::Pointer("/account_id".into()),
    };
    let mut windows = stage(
        "windows",
        compile("window-sums"),
        config,
        partitions.1,
        match path {
            Path::One | Path::Chained => vec![from_split(0)],
            Path::Two => vec![from_split(0), from_split(1)],
        },
    );
    windows.outputs = vec![vec![0]; windows.outputs.len()];
    let mut spec = fraud(5_000, 1);
    spec.name = "stages".into();
    spec.stages = vec![split, windows];
    if path == Path::Chained {
        chain(&mut spec.stages);
    }
    spec
}

/// Chains the second of two stages behind the first.
fn chain(stages: &mut Vec<StageSpec>) {
    let second = stages.pop().expect("there are two");
    let first = &mut stages[0];
    first.chained = vec![ChainedSpec {
        name: second.name,
        module: second.module,
        config: second.config,
        from: (0, 0),
    }];
    first.outputs.extend(second.outputs);
}
