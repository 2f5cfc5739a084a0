//! One partition of one stage in a local run.

use std::path::Path;
use std::sync::Arc;

use millstream_core::exchange::Exchange;
use millstream_core::ids::{CommitHash, CommitNumber, LogPoint, Sequence};
use millstream_core::outputs::{DEAD_LETTER, Outputs};
use millstream_core::partition::Computed;
use millstream_core::slice::Slice;
use millstream_sandbox::Unobserved;
use millstream_state::{KeyedState, Shared};

use super::writers::Writers;
use crate::clock;
use crate::error::EngineError;
use crate::executor::{Executor, ExecutorOptions};
use crate::instance;
use crate::spec::PipelineSpec;

/// Encoded bytes of a slice; without a log only the outputs count.
const SLICE_BYTES_MAX: usize = 4 << 20;

/// One partition of one stage.
pub struct Lane {
    stage: String,
    pub stage_index: usize,
    pub partition: u16,
    pub executor: Executor,
    /// Per declared output whether it goes to a sink.
    written: Vec<bool>,
    /// Lines written so far.
    pub lines: u64,
    commit: u64,
    slice: Slice,
}

/// What a lane tells the stages that read it, as a commit would.
pub struct Told {
    pub sequence: Sequence,
    pub outputs: Outputs,
    pub exchange: Exchange,
}

impl Lane {
    pub fn new(
        spec: &PipelineSpec,
        stage_index: usize,
        partition: u16,
        dir: &Path,
        shared: &Arc<Shared>,
    ) -> Result<Self, EngineError> {
        let stage = &spec.stages[stage_index];
        let description = instance::description(stage);
        let (state, _) = KeyedState::open(dir, &description.states, &description.timers, shared)?;
        let options = ExecutorOptions {
            // Nobody reads it.
            keep_delta: false,
            ..instance::executor_options(spec, stage_index, partition, &|_| Box::new(Unobserved))?
        };
        Ok(Self {
            stage: stage.name.clone(),
            stage_index,
            partition,
            executor: Executor::new(options, state)?,
            written: stage.outputs.iter().map(|sinks| !sinks.is_empty()).collect(),
            lines: 0,
            commit: 0,
            slice: Slice::default(),
        })
    }

    /// Works off the queue; `tell` takes what other stages read.
    pub fn drain(
        &mut self,
        writers: &Writers,
        lines: &mut Vec<u8>,
        mut tell: impl FnMut(Told),
    ) -> Result<(), EngineError> {
        loop {
            let next = CommitNumber(self.commit + 1);
            let slice = &mut self.slice;
            slice.clear();
            slice.processing_time = clock::now_ms();
            let computed = self.executor.compute(next, SLICE_BYTES_MAX, slice);
            self.commit += 1;
            // There is no log to wait for: what was computed stands.
            self.executor.state().acknowledged(LogPoint {
                number: next,
                hash: CommitHash::default(),
                sequence: Sequence(self.commit),
            });
            self.executor.state().trim()?;
            self.write(writers, lines)?;
            if let Some(exchange) = self.slice.exchange.take() {
                let outputs = std::mem::take(&mut self.slice.outputs).freeze();
                tell(Told { sequence: Sequence(self.commit), outputs, exchange });
            }
            match computed {
                Ok(Computed::Nothing) => return Ok(()),
                Ok(Computed::Some | Computed::Full) => {}
                Err(halt) => {
                    return Err(EngineError::Halted {
                        stage: self.stage.clone(),
                        partition: self.partition,
                        halt,
                    });
                }
            }
        }
    }

    fn write(&mut self, writers: &Writers, lines: &mut Vec<u8>) -> Result<(), EngineError> {
        lines.clear();
        let bytes = self.slice.outputs.as_bytes();
        for item in self.slice.outputs.iter() {
            let payload = &bytes[item.payload];
            if item.output == DEAD_LETTER {
                writers.dead_letter(payload)?;
            } else if self.written[usize::from(item.output)] {
                lines.extend_from_slice(payload);
                lines.push(b'\n');
                self.lines += 1;
            }
        }
        writers.lines(lines)
    }
}
