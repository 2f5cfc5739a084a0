//! Runs a pipeline over files: the same sandbox, state and operator as on
//! JetStream, without a log. Lines in, lines out.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use millstream_core::ids::{CommitHash, CommitNumber, LogPoint, Sequence, SourceId};
use millstream_core::outputs::DEAD_LETTER;
use millstream_core::partition::Computed;
use millstream_core::slice::{Slice, SourcePosition};
use millstream_sandbox::Unobserved;
use millstream_sandbox::codec::{Decoder, NoHeaders};
use millstream_state::{KeyedState, Shared};

use crate::clock;
use crate::dead_letter::DeadLetter;
use crate::error::EngineError;
use crate::executor::{Executor, ExecutorOptions, OperatorSource, Totals};
use crate::input::Chunk;
use crate::instance;
use crate::router::{Raw, Router};
use crate::spec::{PipelineSpec, StageSpec};

/// Bytes read from the input at a time.
const BLOCK_BYTES: usize = 1 << 20;
/// Records of a chunk over all partitions, so that the calls of each are large.
const CHUNK_RECORDS: u64 = 8192;
/// Chunks that wait for a worker.
const CHUNKS_IN_FLIGHT: usize = 4;
/// Encoded bytes of a slice; without a log only the outputs count.
const SLICE_BYTES_MAX: usize = 4 << 20;

/// How to run.
pub struct LocalOptions {
    /// Folder for keyed state that does not fit its cache; emptied by the caller.
    pub data: PathBuf,
    /// Memory of keyed state, shared by all partitions.
    pub shared: Arc<Shared>,
    /// Threads that call UDFs.
    pub threads: usize,
    /// Where dead letters go, one JSON object per line.
    pub dead_letters: Option<Box<dyn Write + Send>>,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalStats {
    /// Lines read.
    pub records: u64,
    /// Lines written.
    pub outputs: u64,
    /// Records and timers that failed.
    pub dead_letters: u64,
    /// Cause of the first of them.
    pub first_dead_letter: Option<String>,
}

/// Writers that all workers share.
struct Writers {
    output: Mutex<Box<dyn Write + Send>>,
    dead_letters: Mutex<Option<Box<dyn Write + Send>>>,
    first: Mutex<Option<String>>,
}

/// Runs `spec` from `input` to `output` until the input ends.
pub fn run(
    spec: &PipelineSpec,
    mut input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
    options: LocalOptions,
) -> Result<LocalStats, EngineError> {
    let [source] = spec.sources.as_slice() else {
        return Err(EngineError::Sources(spec.sources.len()));
    };
    let writers = Writers {
        output: Mutex::new(output),
        dead_letters: Mutex::new(options.dead_letters),
        first: Mutex::new(None),
    };
    let mut lanes = Vec::new();
    let mut routers = Vec::new();
    for (stage_index, stage) in spec.stages.iter().enumerate() {
        for (input, feed) in stage.inputs.iter().enumerate() {
            let fields = &stage.module.description().inputs[input].fields;
            let decoder =
                Decoder::new(fields, feed.key.clone(), source.event_time.clone()).map_err(|e| {
                    EngineError::Pointer { source_name: source.name.clone(), cause: e.to_string() }
                })?;
            routers.push((
                lanes.len(),
                Router::new(
                    input as u32,
                    decoder,
                    stage.partitions,
                    SourcePosition::unread(SourceId(input as u16)),
                ),
            ));
        }
        for partition in 0..stage.partitions {
            let dir = options.data.join(format!("{stage_index}-{partition}"));
            lanes.push(Lane::new(spec, stage, partition, &dir, &options.shared)?);
        }
    }
    let threads = options.threads.clamp(1, lanes.len().max(1));
    let mut groups: Vec<Vec<(usize, Lane)>> = (0..threads).map(|_| Vec::new()).collect();
    for (i, lane) in lanes.into_iter().enumerate() {
        groups[i % threads].push((i, lane));
    }
    std::thread::scope(|scope| {
        let mut senders: Vec<SyncSender<(usize, Chunk)>> = Vec::new();
        let mut workers = Vec::new();
        for group in groups {
            let (sender, receiver) = sync_channel(CHUNKS_IN_FLIGHT * group.len().max(1));
            senders.push(sender);
            let writers = &writers;
            workers.push(scope.spawn(move || work(group, &receiver, writers)));
        }
        let read = feed(&mut *input, &mut routers, |lane, chunk| {
            senders[lane % threads].send((lane, chunk)).is_ok()
        });
        drop(senders);
        let mut stats = LocalStats::default();
        for worker in workers {
            let totals = worker.join().expect("a worker does not panic")?;
            stats.outputs += totals.outputs;
            stats.dead_letters += totals.dead_letters;
        }
        stats.records = read?;
        let flush = |what, result: std::io::Result<()>| {
            result.map_err(|cause| EngineError::Io { what, cause })
        };
        flush("writing the output", writers.output.lock().expect("no worker panicked").flush())?;
        if let Some(letters) = &mut *writers.dead_letters.lock().expect("no worker panicked") {
            flush("writing the dead letters", letters.flush())?;
        }
        stats.first_dead_letter = writers.first.lock().expect("no worker panicked").take();
        Ok(stats)
    })
}

/// Reads lines and routes them; returns how many. Stops early when `send` says that nobody listens.
fn feed(
    input: &mut dyn Read,
    routers: &mut [(usize, Router)],
    mut send: impl FnMut(usize, Chunk) -> bool,
) -> Result<u64, EngineError> {
    let mut sequence = 0;
    let mut chunk_start = 0;
    let mut rest = BytesMut::new();
    loop {
        let ended = fill(input, &mut rest)?;
        let cut =
            if ended { rest.len() } else { memchr::memrchr(b'\n', &rest).map_or(0, |at| at + 1) };
        let block: Bytes = rest.split_to(cut).freeze();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &block)
            .chain((block.last() != Some(&b'\n')).then_some(block.len()))
        {
            let mut line = start..end;
            start = end + 1;
            if block[line.clone()].ends_with(b"\r") {
                line.end -= 1;
            }
            if line.is_empty() {
                continue;
            }
            sequence += 1;
            for (_, router) in routers.iter_mut() {
                router.add(Raw {
                    sequence,
                    time_ns: 0,
                    subject: Bytes::new(),
                    headers: &NoHeaders,
                    attempts: 0,
                    payload: block.slice(line.clone()),
                });
            }
            if sequence - chunk_start >= CHUNK_RECORDS {
                chunk_start = sequence;
                if !deliver(routers, sequence, false, &mut send) {
                    return Ok(sequence);
                }
            }
        }
        if ended {
            deliver(routers, sequence, true, &mut send);
            return Ok(sequence);
        }
    }
}

/// Reads the next block behind what is left; says whether the input ended.
fn fill(input: &mut dyn Read, rest: &mut BytesMut) -> Result<bool, EngineError> {
    let from = rest.len();
    rest.resize(from + BLOCK_BYTES, 0);
    let mut read = 0;
    while read < BLOCK_BYTES {
        match input.read(&mut rest[from + read..]) {
            Ok(0) => {
                rest.truncate(from + read);
                return Ok(true);
            }
            Ok(n) => read += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(EngineError::Io { what: "reading the input", cause }),
        }
    }
    Ok(false)
}

fn deliver(
    routers: &mut [(usize, Router)],
    through: u64,
    end: bool,
    send: &mut impl FnMut(usize, Chunk) -> bool,
) -> bool {
    for (first_lane, router) in routers {
        for (partition, chunk) in router.finish(through, end).into_iter().enumerate() {
            if !send(*first_lane + partition, chunk) {
                return false;
            }
        }
    }
    true
}

/// One partition of one stage.
struct Lane {
    stage: String,
    partition: u16,
    executor: Executor,
    commit: u64,
    slice: Slice,
}

impl Lane {
    fn new(
        spec: &PipelineSpec,
        stage: &StageSpec,
        partition: u16,
        dir: &std::path::Path,
        shared: &Arc<Shared>,
    ) -> Result<Self, EngineError> {
        let description = instance::description(stage);
        let (state, _) = KeyedState::open(dir, &description.states, &description.timers, shared)?;
        let sources = stage.inputs.iter().map(|input| {
            let source = &spec.sources[input.source];
            OperatorSource {
                name: source.name.clone(),
                bound_ms: source.watermark_bound_ms,
                timed: true,
            }
        });
        let options = ExecutorOptions {
            udf: instance::start_udf(stage, Box::new(Unobserved))?,
            description,
            module: instance::digest_hex(stage),
            wanted: stage.outputs.iter().map(Option::is_some).collect(),
            on_error: stage.on_error,
            sources: sources.collect(),
            keep_delta: false,
        };
        Ok(Self {
            stage: stage.name.clone(),
            partition,
            executor: Executor::new(options, state)?,
            commit: 0,
            slice: Slice::default(),
        })
    }

    /// Works off the queue.
    fn drain(&mut self, writers: &Writers, lines: &mut Vec<u8>) -> Result<(), EngineError> {
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
            lines.clear();
            let bytes = self.slice.outputs.as_bytes();
            for item in self.slice.outputs.iter() {
                let payload = &bytes[item.payload];
                if item.output == DEAD_LETTER {
                    writers.dead_letter(payload)?;
                } else {
                    lines.extend_from_slice(payload);
                    lines.push(b'\n');
                }
            }
            let written = writers.output.lock().expect("no worker panicked").write_all(lines);
            written.map_err(|cause| EngineError::Io { what: "writing the output", cause })?;
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
}

impl Writers {
    fn dead_letter(&self, bytes: &[u8]) -> Result<(), EngineError> {
        let Some((letter, payload)) = DeadLetter::read(bytes) else { return Ok(()) };
        self.first.lock().expect("no worker panicked").get_or_insert_with(|| {
            format!("{} {}: {}", letter.source, letter.sequence, letter.cause)
        });
        let mut writer = self.dead_letters.lock().expect("no worker panicked");
        let Some(writer) = &mut *writer else { return Ok(()) };
        let line =
            serde_json::json!({ "letter": letter, "payload": String::from_utf8_lossy(payload) });
        writeln!(writer, "{line}")
            .map_err(|cause| EngineError::Io { what: "writing the dead letters", cause })
    }
}

fn work(
    mut lanes: Vec<(usize, Lane)>,
    chunks: &Receiver<(usize, Chunk)>,
    writers: &Writers,
) -> Result<Totals, EngineError> {
    let mut lines = Vec::new();
    while let Ok((lane, chunk)) = chunks.recv() {
        let at = lanes
            .binary_search_by_key(&lane, |(i, _)| *i)
            .expect("a chunk goes to the worker of its lane");
        lanes[at].1.executor.push(chunk);
        lanes[at].1.drain(writers, &mut lines)?;
    }
    let mut totals = Totals::default();
    for (_, lane) in &lanes {
        let own = lane.executor.totals();
        totals.outputs += own.outputs;
        totals.dead_letters += own.dead_letters;
    }
    Ok(totals)
}
