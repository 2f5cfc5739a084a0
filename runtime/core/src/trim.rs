//! Trimming: up to where the log of a pipeline may be purged.
//!
//! All partitions of a pipeline share one log stream, and a purge removes everything
//! below a sequence. So what any partition still needs, all keep. The floor never
//! depends on how full the stream is.

use crate::commit::CommitRecord;
use crate::exchange::{UpstreamPosition, needed_of};
use crate::ids::{Sequence, SourceId};

/// Records removed by one purge at most, so that publishes wait for none of them long.
pub const PURGE_STEP: u64 = 10_000;

/// What keeps records in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// The partition has no record yet, or no checkpoint: it needs the log from the beginning.
    NoCheckpoint,
    /// Redo from its oldest kept checkpoint.
    Checkpoint,
    /// A sink that lacks outputs.
    Egress {
        /// Which.
        sink: u16,
    },
    /// A downstream partition that has not read further.
    Downstream,
    /// Audit retention.
    Audit,
    /// The partition's last record, which is never removed. An empty commit moves it.
    LastRecord,
}

/// What one partition needs of the log. Sequences are those of the first record needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Which partition.
    pub partition: u16,
    /// Its last record; 0: none yet.
    pub last_record: Sequence,
    /// The redo point of its oldest kept checkpoint, if there is one.
    pub checkpoint: Option<Sequence>,
    /// Per sink the committed cursor's `read_from`.
    pub egress: Vec<(u16, Sequence)>,
    /// Per downstream partition.
    pub downstream: Vec<Sequence>,
    /// What audit retention keeps.
    pub audit: Option<Sequence>,
}

impl Needs {
    /// The first record that this partition needs, and what for.
    pub fn floor(&self) -> (Sequence, HeldBy) {
        let Some(checkpoint) = self.checkpoint else {
            return (Sequence(0), HeldBy::NoCheckpoint);
        };
        // Of equal needs the last record is named: an empty commit moves it.
        let egress = self.egress.iter().map(|&(sink, from)| (from, HeldBy::Egress { sink }));
        let downstream = self.downstream.iter().map(|&from| (from, HeldBy::Downstream));
        let audit = self.audit.map(|from| (from, HeldBy::Audit));
        std::iter::once((self.last_record, HeldBy::LastRecord))
            .chain([(checkpoint, HeldBy::Checkpoint)])
            .chain(egress)
            .chain(downstream)
            .chain(audit)
            .min_by_key(|&(from, _)| from)
            .unwrap_or((Sequence(0), HeldBy::NoCheckpoint))
    }
}

/// What one partition says that the log must keep: its node from memory, for others its last record and its stored
/// checkpoints. Old facts keep too much, never too little, because needs only grow. What no record says does not
/// count: a crash forgets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogNeeds {
    /// Its last record; 0: none yet.
    pub last: Sequence,
    /// The redo point of its oldest stored checkpoint, if there is one.
    pub checkpoint: Option<Sequence>,
    /// The first record that a sink lacks outputs of.
    pub egress: Sequence,
    /// How far it has applied other stages' outputs.
    pub upstream: Vec<UpstreamPosition>,
}

impl LogNeeds {
    /// What a partition's last record and the redo points of its stored checkpoints say; `None`: it has no record, and
    /// needs all there is.
    pub fn recorded(
        last: Option<(Sequence, &CommitRecord)>,
        checkpoints: impl IntoIterator<Item = Sequence>,
    ) -> Self {
        let Some((last, record)) = last else { return Self::default() };
        let egress = record.egress.iter().map(|cursor| cursor.read_from).min();
        Self {
            last,
            checkpoint: checkpoints.into_iter().min(),
            egress: egress.unwrap_or(last),
            upstream: record.slice.upstream.clone(),
        }
    }
}

/// What each partition of a pipeline needs, from what all of them say, by stage. `reads` gives the inputs of a stage that
/// are other stages: the source and that stage. Partitions are numbered through all stages.
pub fn needs<I: IntoIterator<Item = (SourceId, usize)>>(
    said: &[Vec<LogNeeds>],
    reads: impl Fn(usize) -> I,
) -> Vec<Needs> {
    let mut all: Vec<Needs> = Vec::new();
    let mut first_of = Vec::new();
    for of_stage in said {
        first_of.push(all.len());
        all.extend(of_stage.iter().map(|of| Needs {
            partition: 0,
            last_record: of.last,
            checkpoint: of.checkpoint,
            egress: vec![(0, of.egress)],
            downstream: Vec::new(),
            audit: None,
        }));
    }
    (0..).zip(&mut all).for_each(|(number, needs)| needs.partition = number);
    for (stage, of_stage) in said.iter().enumerate() {
        for (source, from) in reads(stage) {
            for (partition, needs) in (0..).zip(&mut all[first_of[from]..][..said[from].len()]) {
                let of = |of: &LogNeeds| needed_of(&of.upstream, source, partition);
                needs.downstream.extend(of_stage.iter().map(of));
            }
        }
    }
    all
}

/// Up to where the log may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// First record that stays.
    pub keep_from: Sequence,
    /// Who needs it.
    pub partition: u16,
    /// What for.
    pub held_by: HeldBy,
}

/// The floor over all partitions of a pipeline; all of them must be listed. `None` without partitions.
pub fn floor(partitions: &[Needs]) -> Option<Floor> {
    partitions
        .iter()
        .map(|needs| {
            let (keep_from, held_by) = needs.floor();
            Floor { keep_from, partition: needs.partition, held_by }
        })
        .min_by_key(|floor| floor.keep_from)
}

/// The next purge towards the floor: everything below the returned sequence. `None`: nothing to do.
pub fn next_purge(first: Sequence, keep_from: Sequence) -> Option<Sequence> {
    (first < keep_from).then(|| Sequence(keep_from.0.min(first.0.saturating_add(PURGE_STEP))))
}

/// The partitions that must commit for the log to become shorter than `records_max`: whose last
/// record lies that far behind the end. (What their checkpoints hold follows with the next ones.)
pub fn to_anchor(
    partitions: &[Needs],
    end: Sequence,
    records_max: u64,
) -> impl Iterator<Item = u16> {
    partitions
        .iter()
        .filter(move |needs| end.0.saturating_sub(needs.last_record.0) >= records_max)
        .map(|needs| needs.partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{CommitHeader, CommitKind};
    use crate::exchange::Place;
    use crate::ids::{CommitHash, CommitNumber, Generation, Incarnation};
    use crate::slice::{EgressCursor, OutputPoint, Slice};

    fn of(partition: u16, last_record: u64) -> Needs {
        Needs {
            partition,
            last_record: Sequence(last_record),
            checkpoint: Some(Sequence(last_record)),
            egress: vec![(0, Sequence(last_record + 1))],
            downstream: Vec::new(),
            audit: None,
        }
    }

    #[test]
    fn the_oldest_need_of_all_counts() {
        let busy = of(0, 900);
        for (changed, keep_from, held_by) in [
            (of(1, 700), 700, HeldBy::LastRecord),
            (Needs { checkpoint: None, ..of(1, 700) }, 0, HeldBy::NoCheckpoint),
            (Needs { checkpoint: Some(Sequence(650)), ..of(1, 700) }, 650, HeldBy::Checkpoint),
            (
                Needs { egress: vec![(4, Sequence(640))], ..of(1, 700) },
                640,
                HeldBy::Egress { sink: 4 },
            ),
            (Needs { downstream: vec![Sequence(630)], ..of(1, 700) }, 630, HeldBy::Downstream),
            (Needs { audit: Some(Sequence(620)), ..of(1, 700) }, 620, HeldBy::Audit),
        ] {
            let expected = Floor { keep_from: Sequence(keep_from), partition: 1, held_by };
            assert_eq!(floor(&[busy.clone(), changed]), Some(expected));
        }
        assert_eq!(floor(&[]), None);
    }

    /// Stage 1 reads stage 0 as its source 1; of stage 0's second partition it needs less.
    #[test]
    fn what_partitions_say_of_each_other_counts() {
        let place = |partition, commit| UpstreamPosition {
            source: SourceId(1),
            partition,
            done: Place { commit: Sequence(commit + 5), outputs: 1 },
            anchor: Place { commit: Sequence(commit), outputs: 1 },
        };
        let said = |last, upstream| LogNeeds {
            last: Sequence(last),
            checkpoint: Some(Sequence(last - 1)),
            egress: Sequence(last + 1),
            upstream,
        };
        let stages = [
            vec![said(70, Vec::new()), said(80, Vec::new())],
            vec![said(90, vec![place(0, 50), place(1, 60)]), said(95, vec![place(0, 55)])],
        ];
        let reads = |stage: usize| (stage == 1).then_some((SourceId(1), 0));
        let all = needs(&stages, reads);
        assert_eq!(all.iter().map(|n| n.partition).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(all[0].downstream, [Sequence(50), Sequence(55)]);
        assert_eq!(all[1].downstream, [Sequence(60), Sequence(0)], "one has read nothing of it");
        assert_eq!(floor(&all).unwrap().keep_from, Sequence(0));
        assert_eq!(all[3].floor(), (Sequence(94), HeldBy::Checkpoint));
        let unknown = LogNeeds::recorded(None, [Sequence(7)]);
        assert_eq!(needs(&[vec![unknown]], |_| None)[0].floor().0, Sequence(0));
    }

    #[test]
    fn the_last_record_says_what_its_partition_needs() {
        let cursor = |sink, read_from| EgressCursor {
            sink,
            through: OutputPoint::default(),
            read_from: Sequence(read_from),
            sink_sequence: Sequence(0),
        };
        let header = CommitHeader {
            kind: CommitKind::Commit,
            generation: Generation(1),
            owner: Incarnation(1),
            pipeline: Incarnation(1),
            number: CommitNumber(9),
            prev_hash: CommitHash([0; 32]),
            module: [0; 32],
        };
        let egress = vec![cursor(0, 40), cursor(1, 33)];
        let mut record = CommitRecord { header, slice: Slice::default(), egress };
        let said = LogNeeds::recorded(Some((Sequence(44), &record)), [Sequence(30), Sequence(20)]);
        assert_eq!((said.last, said.egress), (Sequence(44), Sequence(33)));
        assert_eq!(said.checkpoint, Some(Sequence(20)), "the oldest one may be restored");
        record.egress.clear();
        assert_eq!(LogNeeds::recorded(Some((Sequence(44), &record)), []).egress, Sequence(44));
    }

    #[test]
    fn purges_go_in_steps_up_to_the_floor() {
        assert_eq!(next_purge(Sequence(5), Sequence(5)), None);
        assert_eq!(next_purge(Sequence(5), Sequence(700)), Some(Sequence(700)));
        assert_eq!(next_purge(Sequence(5), Sequence(70_000)), Some(Sequence(10_005)));
    }

    #[test]
    fn idle_partitions_are_named() {
        let all = [of(0, 900), of(1, 100), of(2, 899)];
        assert_eq!(to_anchor(&all, Sequence(1000), 101).collect::<Vec<_>>(), [1, 2]);
    }
}
