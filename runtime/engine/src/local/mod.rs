//! Runs a pipeline over files: the same sandbox, state and operator as on
//! JetStream, without a log. Lines in, lines out.

mod feed;
mod lane;
mod lines;
mod link;
mod writers;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use millstream_state::Shared;

use self::feed::{Feed, feed};
use self::lane::Lane;
use self::lines::Lines;
use self::link::Link;
use self::writers::Writers;
use crate::error::EngineError;
use crate::executor::Totals;
use crate::input::Chunk;
use crate::spec::PipelineSpec;

/// Chunks that wait for a worker.
const CHUNKS_IN_FLIGHT: usize = 4;

/// How to run.
pub struct LocalOptions {
    /// Folder for keyed state that does not fit its cache; emptied by the caller.
    pub data: PathBuf,
    /// Memory of keyed state, shared by all partitions.
    pub shared: Arc<Shared>,
    /// Threads that call UDFs. Stages that read each other share one.
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
    /// What each stage did, all its partitions together, in the order of the pipeline.
    pub stages: Vec<Totals>,
}

/// Runs `spec` from `inputs`, one per source, to `output` until they end.
pub fn run(
    spec: &PipelineSpec,
    inputs: Vec<Box<dyn Read + Send>>,
    output: Box<dyn Write + Send>,
    options: LocalOptions,
) -> Result<LocalStats, EngineError> {
    if inputs.len() != spec.sources.len() {
        return Err(EngineError::Inputs { inputs: inputs.len(), sources: spec.sources.len() });
    }
    let writers = Writers::new(output, options.dead_letters);
    let mut lanes = Vec::new();
    let mut first_lanes = Vec::new();
    for (stage_index, stage) in spec.stages.iter().enumerate() {
        first_lanes.push(lanes.len());
        for partition in 0..stage.partitions {
            let dir = options.data.join(format!("{stage_index}-{partition}"));
            lanes.push(Lane::new(spec, stage_index, partition, &dir, &options.shared)?);
        }
    }
    let feeds = inputs
        .into_iter()
        .enumerate()
        .map(|(source, input)| Feed::new(spec, source, Lines::new(input), &first_lanes));
    let mut feeds = feeds.collect::<Result<Vec<_>, _>>()?;
    let links = Link::all(spec)?;
    let threads = if links.is_empty() { options.threads.clamp(1, lanes.len().max(1)) } else { 1 };
    let mut groups: Vec<Group> =
        (0..threads).map(|_| Group { threads, lanes: Vec::new(), links: Vec::new() }).collect();
    for (i, lane) in lanes.into_iter().enumerate() {
        groups[i % threads].lanes.push(lane);
    }
    groups[0].links = links;
    std::thread::scope(|scope| {
        let mut senders: Vec<SyncSender<(usize, Chunk)>> = Vec::new();
        let mut workers = Vec::new();
        for mut group in groups {
            let (sender, receiver) = sync_channel(CHUNKS_IN_FLIGHT * group.lanes.len().max(1));
            senders.push(sender);
            let (writers, first_lanes) = (&writers, &first_lanes);
            workers.push(scope.spawn(move || group.work(&receiver, writers, first_lanes)));
        }
        let read =
            feed(&mut feeds, |lane, chunk| senders[lane % threads].send((lane, chunk)).is_ok());
        drop(senders);
        let stages = vec![Totals::default(); spec.stages.len()];
        let mut stats = LocalStats { stages, ..LocalStats::default() };
        for worker in workers {
            for lane in worker.join().expect("a worker does not panic")? {
                stats.outputs += lane.lines;
                stats.dead_letters += lane.totals.dead_letters;
                stats.stages[lane.stage] += lane.totals;
            }
        }
        stats.records = read?;
        Ok(stats)
    })
    .and_then(|stats| Ok(LocalStats { first_dead_letter: writers.finish()?, ..stats }))
}

/// What a lane did.
struct Served {
    stage: usize,
    /// Lines written.
    lines: u64,
    totals: Totals,
}

/// Lanes that one thread serves.
struct Group {
    /// Lane number `n` of the run is number `n / threads` of its group.
    threads: usize,
    lanes: Vec<Lane>,
    links: Vec<Link>,
}

impl Group {
    /// Serves chunks until no more come; what its lanes did.
    fn work(
        &mut self,
        chunks: &Receiver<(usize, Chunk)>,
        writers: &Writers,
        first_lanes: &[usize],
    ) -> Result<Vec<Served>, EngineError> {
        let mut lines = Vec::new();
        while let Ok((lane, chunk)) = chunks.recv() {
            self.serve(lane, chunk, writers, &mut lines)?;
            for link in 0..self.links.len() {
                let first_lane = first_lanes[self.links[link].to];
                for (partition, chunk) in self.links[link].pass().into_iter().enumerate() {
                    self.serve(first_lane + partition, chunk, writers, &mut lines)?;
                }
            }
        }
        let served = |lane: &Lane| Served {
            stage: lane.stage_index,
            lines: lane.lines,
            totals: lane.executor.totals(),
        };
        Ok(self.lanes.iter().map(served).collect())
    }

    fn serve(
        &mut self,
        lane: usize,
        chunk: Chunk,
        writers: &Writers,
        lines: &mut Vec<u8>,
    ) -> Result<(), EngineError> {
        let lane = &mut self.lanes[lane / self.threads];
        lane.executor.push(chunk);
        let (stage, partition) = (lane.stage_index, lane.partition);
        let links = &mut self.links;
        lane.drain(writers, lines, |told| {
            for link in links.iter_mut().filter(|link| link.from == stage) {
                link.take(partition, &told);
            }
        })
    }
}
