//! Trimming: up to where the log of a pipeline may be purged.
//!
//! All partitions of a pipeline share one log stream, and a purge removes everything
//! below a sequence. So what any partition still needs, all keep. The floor never
//! depends on how full the stream is.

use crate::ids::Sequence;

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

    fn needs(partition: u16, last_record: u64) -> Needs {
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
        let busy = needs(0, 900);
        for (changed, keep_from, held_by) in [
            (needs(1, 700), 700, HeldBy::LastRecord),
            (Needs { checkpoint: None, ..needs(1, 700) }, 0, HeldBy::NoCheckpoint),
            (Needs { checkpoint: Some(Sequence(650)), ..needs(1, 700) }, 650, HeldBy::Checkpoint),
            (
                Needs { egress: vec![(4, Sequence(640))], ..needs(1, 700) },
                640,
                HeldBy::Egress { sink: 4 },
            ),
            (Needs { downstream: vec![Sequence(630)], ..needs(1, 700) }, 630, HeldBy::Downstream),
            (Needs { audit: Some(Sequence(620)), ..needs(1, 700) }, 620, HeldBy::Audit),
        ] {
            let expected = Floor { keep_from: Sequence(keep_from), partition: 1, held_by };
            assert_eq!(floor(&[busy.clone(), changed]), Some(expected));
        }
        assert_eq!(floor(&[]), None);
    }

    #[test]
    fn purges_go_in_steps_up_to_the_floor() {
        assert_eq!(next_purge(Sequence(5), Sequence(5)), None);
        assert_eq!(next_purge(Sequence(5), Sequence(700)), Some(Sequence(700)));
        assert_eq!(next_purge(Sequence(5), Sequence(70_000)), Some(Sequence(10_005)));
    }

    #[test]
    fn idle_partitions_are_named() {
        let all = [needs(0, 900), needs(1, 100), needs(2, 899)];
        assert_eq!(to_anchor(&all, Sequence(1000), 101).collect::<Vec<_>>(), [1, 2]);
    }
}
