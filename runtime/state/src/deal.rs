//! Dealing state out anew: the rows of a stage's partitions, as checkpoints hold them, among another number of partitions.
//!
//! A row belongs to the partition that its key hashes to, as a record does. Ids of states and timers belong to one
//! database: a row of another one gets the ids of the new catalogue, which knows all that any of them knew.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::description::BROADCAST_KEY;
use millstream_core::ids::{LogPoint, key_hash, partition_of};
use rocksdb::DBRawIterator;

use crate::budget::Shared;
use crate::catalogue::{Catalogue, Ids};
use crate::database::{Batch, Database};
use crate::error::StateError;
use crate::expiry::Horizon;
use crate::ledger::Change;
use crate::positions::LocalState;
use crate::{layout, row};

/// Bytes that are written to a database at a time.
const BATCH_BYTES: usize = 1 << 20;

/// Where a partition begins that gets its share.
#[derive(Clone, Debug)]
pub struct Share {
    /// The folder of its database, which must not exist.
    pub dir: PathBuf,
    /// The record of the log whose state it is.
    pub point: LogPoint,
    /// Processing time of that record, milliseconds.
    pub processing_time: i64,
    /// Its watermark, milliseconds.
    pub watermark: i64,
}

struct Part {
    db: Database,
    at: LocalState,
    batch: Batch,
}

/// Deals what the databases in `sources` hold, one per partition in their order, among `shares`, and says how many rows
/// there were. With `broadcast` what is kept under the key of broadcast states goes to all of them. Reads and writes
/// everything, so not on a partition's thread.
pub fn deal(
    sources: &[PathBuf],
    shares: &[Share],
    broadcast: bool,
    shared: &Arc<Shared>,
) -> Result<u64, StateError> {
    // Nothing may be dropped as expired: the log has not told the time.
    let horizon = Arc::new(Horizon::new());
    let mut parts = Vec::new();
    for share in shares {
        let at = LocalState {
            redo_from: share.point,
            newest: share.point,
            processing_time: share.processing_time,
            watermark: share.watermark,
        };
        let db = Database::open(&share.dir, shared, &horizon)?;
        parts.push(Part { db, at, batch: Batch::default() });
    }
    let (mut catalogue, mut rows) = (Catalogue::new(), 0);
    for (number, dir) in sources.iter().enumerate() {
        let db = Database::open(dir, shared, &horizon)?;
        let Some((_, known)) = db.anchor()? else { continue };
        let ids = catalogue.adopt(&Catalogue::decode(&known, dir)?)?;
        let dealing = Dealing { from: number, of: sources.len(), broadcast, ids };
        rows += dealing.deal(&db, &mut parts)?;
    }
    let catalogue = catalogue.encode();
    for part in &mut parts {
        part.batch.write(&part.db, &part.at, Some(&catalogue))?;
        part.db.flush(true)?;
    }
    Ok(rows)
}

/// What is done with the rows of one partition.
struct Dealing {
    from: usize,
    of: usize,
    broadcast: bool,
    ids: Ids,
}

impl Dealing {
    fn deal(&self, db: &Database, parts: &mut [Part]) -> Result<u64, StateError> {
        let malformed = || db.damaged("a row is malformed");
        let (mut rows, mut count) = (db.iterate_all(), 0);
        rows.seek([layout::VALUES]);
        while let Some((key, value)) = item(&rows) {
            let (owner, row, cells) = match key[0] {
                layout::VALUES => {
                    let cells = row::renumber(value, &self.ids.values).ok_or_else(malformed)?;
                    (key[1..].to_vec(), key.to_vec(), cells)
                }
                layout::ELEMENTS => {
                    let (owner, entry) = layout::unescape(&key[1..]).ok_or_else(malformed)?;
                    let (id, entry) = entry.split_first_chunk::<2>().ok_or_else(malformed)?;
                    let id = self.ids.group(u16::from_be_bytes(*id)).ok_or_else(malformed)?;
                    let mut row = Vec::with_capacity(key.len());
                    layout::group_prefix(&mut row, id, &owner);
                    row.extend_from_slice(entry);
                    (owner, row, value.to_vec())
                }
                layout::TIMERS => {
                    let (id, time, owner) =
                        layout::read_timer_entry(&key[1..]).ok_or_else(malformed)?;
                    let id = self.ids.timer(id).ok_or_else(malformed)?;
                    let mut entry = Vec::with_capacity(key.len());
                    layout::timer_entry(&mut entry, id, time, owner);
                    entry.insert(0, layout::TIMERS);
                    (owner.to_vec(), entry, value.to_vec())
                }
                _ => return Err(malformed()),
            };
            for part in self.owners(&owner, key[0] == layout::TIMERS, parts.len()) {
                let Part { db, at, batch } = &mut parts[part];
                batch.add(db, &Change::Put { key: row.clone(), value: cells.clone() })?;
                if batch.bytes() > BATCH_BYTES {
                    // Without a catalogue it is no database yet, whatever happens.
                    batch.write(db, at, None)?;
                }
            }
            count += 1;
            rows.next();
        }
        db.check(&rows)?;
        Ok(count)
    }

    /// Which partitions get a row of this key.
    fn owners(&self, key: &[u8], is_timer: bool, parts: usize) -> Vec<usize> {
        let owner = |partitions: usize| usize::from(partition_of(key_hash(key), partitions as u16));
        if !self.broadcast || is_timer || key != BROADCAST_KEY {
            return vec![owner(parts)];
        }
        // All have the same; the one that owns the key may also have what records without a key have left.
        let (own, elsewhere) = (owner(self.of), (owner(self.of) + 1) % self.of);
        let to_others = (0..parts).filter(|part| *part != owner(parts));
        let mut owners = Vec::new();
        owners.extend((self.from == own).then_some(owner(parts)));
        owners.extend(to_others.filter(|_| self.from == elsewhere));
        owners
    }
}

fn item<'a>(rows: &'a DBRawIterator<'_>) -> Option<(&'a [u8], &'a [u8])> {
    Some((rows.key()?, rows.value()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use millstream_core::description::{StateKind, StateSpec, TimeDomain, TimerSpec};
    use millstream_core::ids::{CommitHash, CommitNumber, Sequence};

    use super::*;
    use crate::budget::Budgets;
    use crate::keyed::KeyedState;

    const KEYS: u32 = 500;

    fn point(number: u64) -> LogPoint {
        let (number, sequence) = (CommitNumber(number), Sequence(number));
        LogPoint { number, hash: CommitHash([9; 32]), sequence }
    }

    fn timer() -> TimerSpec {
        TimerSpec { name: "wake".into(), domain: TimeDomain::EventTime }
    }

    fn states(names: &[(&str, StateKind)]) -> Vec<StateSpec> {
        let spec = |(name, kind): &(&str, StateKind)| StateSpec {
            ttl_ms: Some(1_000),
            ..StateSpec::new(*name, *kind)
        };
        names.iter().map(spec).collect()
    }

    /// A partition that holds what its share of the keys has, in a database of its own.
    fn write(dir: &Path, states: &[StateSpec], partition: u16, of: u16, shared: &Arc<Shared>) {
        let (mut state, _) = KeyedState::open(dir, states, &[timer()], shared).unwrap();
        state.begin(CommitNumber(1), 5);
        let index = |name: &str| states.iter().position(|s| s.name == name).unwrap() as u16;
        let (count, last) =
            (state.value_index(index("count")).unwrap(), state.value_index(index("last")).unwrap());
        for number in 0..KEYS {
            let key = number.to_be_bytes();
            if partition_of(key_hash(&key), of) != partition {
                continue;
            }
            let mut slots = Vec::new();
            state.slots([(key_hash(&key), &key[..])], &mut slots).unwrap();
            state.begin_call();
            state.set_value(slots[0], count, Some(&key));
            state.set_value(slots[0], last, Some(b"last"));
            state.keep_call();
            state.map_write(index("seen"), &key, b"entry", Some(&key)).unwrap();
            state.set_timer(0, &key, i64::from(number));
        }
        state.acknowledged(point(1));
        // Makes a database of what small partitions only have in memory.
        drop(state.checkpoint(&dir.with_extension("unused")).unwrap());
        state.close().unwrap();
    }

    /// Everything that a database holds, by key: values by name, the entry, the timer.
    fn read(dirs: &[PathBuf], states: &[StateSpec], shared: &Arc<Shared>) -> BTreeMap<u32, String> {
        let mut found = BTreeMap::new();
        for (partition, dir) in dirs.iter().enumerate() {
            let (mut state, local) = KeyedState::open(dir, states, &[timer()], shared).unwrap();
            assert_eq!(local.unwrap().redo_from, point(2));
            let mut timers = BTreeMap::new();
            let mut note = |_, key: &[u8], time| {
                timers.insert(key.to_vec(), time);
            };
            state.timers(&mut note).unwrap();
            for (key, time) in timers {
                let number = u32::from_be_bytes(key.clone().try_into().unwrap());
                assert_eq!(usize::from(partition_of(key_hash(&key), dirs.len() as u16)), partition);
                let mut states = state.inspect(&key, 10).unwrap();
                states.sort_by(|a, b| a.state.cmp(&b.state));
                let text = format!("{time} {states:?}");
                assert!(found.insert(number, text).is_none(), "{number} is there twice");
            }
        }
        found
    }

    #[test]
    fn every_key_keeps_its_state_at_any_number_of_partitions() {
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::new(Budgets::default());
        let old = states(&[
            ("count", StateKind::Value),
            ("seen", StateKind::Map),
            ("last", StateKind::Value),
        ]);
        // A partition that met another version of the module first numbers its states in another way.
        let other = states(&[
            ("last", StateKind::Value),
            ("more", StateKind::Map),
            ("seen", StateKind::Map),
            ("count", StateKind::Value),
        ]);
        let mut dirs: Vec<PathBuf> = Vec::new();
        for partition in 0..4u16 {
            let dir = folder.path().join(format!("old-{partition}"));
            write(&dir, if partition == 2 { &other } else { &old }, partition, 4, &shared);
            dirs.push(dir);
        }
        let mut before = None;
        for (round, partitions) in [7usize, 2, 1, 4].into_iter().enumerate() {
            let shares: Vec<Share> = (0..partitions)
                .map(|partition| Share {
                    dir: folder.path().join(format!("{round}-{partition}")),
                    point: point(2),
                    processing_time: 5,
                    watermark: 0,
                })
                .collect();
            let rows = deal(&dirs, &shares, false, &shared).unwrap();
            assert_eq!(rows, u64::from(KEYS) * 3);
            dirs = shares.into_iter().map(|share| share.dir).collect();
            let found = read(&dirs, &old, &shared);
            assert_eq!(found.len(), KEYS as usize);
            assert_eq!(*before.get_or_insert_with(|| found.clone()), found);
        }
    }
}
