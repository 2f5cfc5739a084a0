//! Why the engine could not do something.

use millstream_core::partition::Halt;

/// Why a pipeline did not run or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A key, time or field pointer is not a JSON pointer.
    #[error("input `{input}`: {cause}")]
    Pointer {
        /// Name of the source, or `STAGE.OUTPUT`.
        input: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The UDF could not be started.
    #[error("stage `{stage}`: module could not be started: {cause}")]
    Start {
        /// Name of the stage.
        stage: String,
        /// Why.
        cause: String,
    },
    /// The operator cannot go on.
    #[error("stage `{stage}` partition {partition} stopped: {halt}")]
    Halted {
        /// Name of the stage.
        stage: String,
        /// Which partition.
        partition: u16,
        /// Why.
        halt: Halt,
    },
    /// Keyed state could not be read or written.
    #[error("keyed state: {0}")]
    State(#[from] millstream_state::StateError),
    /// A local run has one input per source.
    #[error("a local run has one input per source: {inputs} inputs for {sources} sources")]
    Inputs {
        /// How many inputs.
        inputs: usize,
        /// How many sources.
        sources: usize,
    },
    /// Input or output failed.
    #[error("{what}: {cause}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        cause: std::io::Error,
    },
}
