//! The RocksDB database of one partition: options, reads, batches.
//!
//! Options fit many small databases in one process: shared block cache and memtable limit, few
//! open files, two background threads for all, no statistics, hardly any log. There is no
//! write-ahead log: the commit log is the redo log.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_core::ids::key_hash;
use rocksdb::compaction_filter::Decision;
use rocksdb::{
    BlockBasedOptions, ColumnFamilyDescriptor, DB, DBCompressionType, DBPinnableSlice,
    DBRawIterator, FlushOptions, LogLevel, Options, ReadOptions, WriteBatch, WriteOptions,
};

use crate::budget::Shared;
use crate::error::StateError;
use crate::expiry::Horizon;
use crate::ledger::Change;
use crate::positions::LocalState;
use crate::{groups, layout, row};

/// Files a database keeps open.
const OPEN_FILES_MAX: i32 = 256;
/// Largest memtable of a database; the process-wide limit usually acts before.
const MEMTABLE_BYTES: usize = 16 << 20;
/// Memtables that may wait for their flush before writes stop.
const MEMTABLES_MAX: i32 = 6;
/// Young tables at which writes are slowed down, and at which they stop: late, as persisting comes in bursts.
const YOUNG_TABLES: (i32, i32) = (40, 64);
/// Memtables grow in these steps, which small databases hardly exceed.
const ARENA_BYTES: usize = 128 << 10;
/// Block size before compression.
const BLOCK_BYTES: usize = 8 << 10;
/// Bits per key of the bloom filters: 1 % false positives.
const BLOOM_BITS: f64 = 10.0;
/// Background threads that flush and compact, for all databases of the process together.
const BACKGROUND_JOBS: i32 = 2;
/// Range deletions slow down reads of a memtable; it is flushed beyond this many.
const RANGE_DELETIONS_MAX: &str = "128";
/// A clear removes this many rows one by one before it resorts to a range deletion.
const CLEAR_ROWS_MAX: usize = 64;

const OPEN: &str = "open";
const CHECKPOINT: &str = "make a checkpoint";

/// One partition's database.
pub(crate) struct Database {
    db: DB,
    dir: PathBuf,
    unlogged: WriteOptions,
}

/// Whether a folder holds a database.
pub(crate) fn exists(dir: &Path) -> bool {
    dir.join("CURRENT").exists()
}

impl Database {
    /// Opens or creates the database in `dir`. Rows that have expired by the horizon are dropped by compactions.
    pub fn open(dir: &Path, shared: &Shared, horizon: &Arc<Horizon>) -> Result<Self, StateError> {
        std::fs::create_dir_all(dir).map_err(|source| StateError::Io {
            action: "create",
            path: dir.to_owned(),
            source,
        })?;
        let families = [ColumnFamilyDescriptor::new("default", family_options(shared, horizon))];
        let db = DB::open_cf_descriptors(&database_options(shared), dir, families)
            .map_err(|source| classify(dir, OPEN, source))?;
        db.set_options(&[("memtable_max_range_deletions", RANGE_DELETIONS_MAX)])
            .map_err(|source| classify(dir, "set options", source))?;
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        Ok(Self { db, dir: dir.to_owned(), unlogged })
    }

    pub fn damaged(&self, fact: impl Into<String>) -> StateError {
        StateError::Damaged { dir: self.dir.clone(), fact: fact.into() }
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>, StateError> {
        self.db.get_pinned(key).map_err(|source| classify(&self.dir, "read", source))
    }

    /// Reads rows whose keys are given in ascending order; one answer per key.
    pub fn multi_get<'a>(
        &self,
        sorted: impl Iterator<Item = &'a [u8]>,
    ) -> impl Iterator<Item = Result<Option<DBPinnableSlice<'_>>, StateError>> {
        let family = self.db.cf_handle("default").expect("the default family always exists");
        self.db
            .batched_multi_get_cf(family, sorted, true)
            .into_iter()
            .map(|answer| answer.map_err(|source| classify(&self.dir, "read", source)))
    }

    /// An iterator over the rows that start with `prefix`; to be positioned with `seek`.
    pub fn iterate(&self, prefix: &[u8]) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(layout::successor(prefix));
        self.db.raw_iterator_opt(options)
    }

    /// An iterator over all rows; to be positioned with `seek`. What it reads does not stay in memory.
    pub fn iterate_all(&self) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        self.db.raw_iterator_opt(options)
    }

    /// Tells why an iterator stopped.
    pub fn check(&self, iterator: &DBRawIterator<'_>) -> Result<(), StateError> {
        iterator.status().map_err(|source| classify(&self.dir, "read", source))
    }

    /// Writes memtables to disk; waits for it if told so.
    pub fn flush(&self, wait: bool) -> Result<(), StateError> {
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        self.db.flush_opt(&options).map_err(|source| classify(&self.dir, "flush", source))
    }

    /// Flushes and makes a copy by hard links in `target`, which must not exist.
    pub fn checkpoint(&self, target: &Path) -> Result<(), StateError> {
        rocksdb::checkpoint::Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(target))
            .map_err(|source| classify(&self.dir, CHECKPOINT, source))
    }

    /// Where the database in `dir`, which nobody writes to, stands.
    pub fn read_positions(dir: &Path) -> Result<LocalState, StateError> {
        let failed = |source| classify(dir, "read", source);
        let db = DB::open_for_read_only(&Options::default(), dir, false).map_err(failed)?;
        match db.get(layout::POSITIONS).map_err(failed)? {
            Some(positions) => LocalState::decode(&positions, dir),
            None => Err(StateError::Damaged {
                dir: dir.to_owned(),
                fact: "it has no log positions".to_owned(),
            }),
        }
    }

    /// Whether a write would wait because flushes or compactions are behind.
    pub fn is_stalled(&self) -> bool {
        let property = |name: &str| self.db.property_int_value(name).ok().flatten().unwrap_or(0);
        property("rocksdb.is-write-stopped") != 0
            || property("rocksdb.actual-delayed-write-rate") != 0
    }

    /// Bytes of table files on disk, and bytes of memtables.
    pub fn sizes(&self) -> (u64, u64) {
        let property = |name: &str| self.db.property_int_value(name).ok().flatten().unwrap_or(0);
        (property("rocksdb.total-sst-files-size"), property("rocksdb.cur-size-all-mem-tables"))
    }

    /// The positions and the catalogue; `None` if nothing was ever written.
    pub fn anchor(&self) -> Result<Option<(LocalState, Vec<u8>)>, StateError> {
        let positions = self.get(layout::POSITIONS)?;
        let catalogue = self.get(layout::CATALOGUE)?;
        match (positions, catalogue) {
            (Some(positions), Some(catalogue)) => {
                Ok(Some((LocalState::decode(&positions, &self.dir)?, catalogue.to_vec())))
            }
            (None, None) => {
                let mut rows = self.db.raw_iterator();
                rows.seek_to_first();
                self.check(&rows)?;
                if rows.valid() {
                    Err(self.damaged("it has rows but no log positions"))
                } else {
                    Ok(None)
                }
            }
            (None, _) => Err(self.damaged("it has a catalogue but no log positions")),
            (_, None) => Err(self.damaged("it has log positions but no catalogue")),
        }
    }

    /// Removes all rows of a list or map. `touched`: the batch may hold rows of it, which a read would not show.
    fn clear(
        &self,
        batch: &mut WriteBatch,
        prefix: &[u8],
        touched: bool,
    ) -> Result<(), StateError> {
        if !touched {
            let mut rows = self.iterate(prefix);
            rows.seek(prefix);
            let mut keys = Vec::new();
            while keys.len() <= CLEAR_ROWS_MAX
                && let Some(key) = rows.key()
            {
                keys.push(key.to_vec());
                rows.next();
            }
            self.check(&rows)?;
            if keys.len() <= CLEAR_ROWS_MAX {
                for key in keys {
                    batch.delete(key);
                }
                return Ok(());
            }
        }
        batch.delete_range(prefix, &layout::successor(prefix));
        Ok(())
    }
}

/// Changes to be written together.
#[derive(Default)]
pub(crate) struct Batch {
    batch: WriteBatch,
    /// Hashes of the groups that the batch writes to.
    touched: HashSet<u64>,
}

impl Batch {
    /// Adds a change.
    pub fn add(&mut self, db: &Database, change: &Change) -> Result<(), StateError> {
        match change {
            Change::Put { key, value } => {
                self.touch(key);
                self.batch.put(key, value);
            }
            Change::Delete { key } => self.batch.delete(key),
            Change::Clear { prefix } => {
                let touched = self.touched.contains(&key_hash(prefix));
                db.clear(&mut self.batch, prefix, touched)?;
            }
        }
        Ok(())
    }

    fn touch(&mut self, key: &[u8]) {
        if let Some(length) = layout::group_prefix_length(key) {
            self.touched.insert(key_hash(&key[..length]));
        }
    }

    pub fn bytes(&self) -> usize {
        self.batch.size_in_bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Writes and empties the batch; `positions` go with it, and the catalogue when it is new.
    pub fn write(
        &mut self,
        db: &Database,
        positions: &LocalState,
        catalogue: Option<&[u8]>,
    ) -> Result<(), StateError> {
        let mut batch = std::mem::take(&mut self.batch);
        self.touched.clear();
        batch.put(layout::POSITIONS, positions.encode());
        if let Some(catalogue) = catalogue {
            batch.put(layout::CATALOGUE, catalogue);
        }
        db.db.write_opt(batch, &db.unlogged).map_err(|source| classify(&db.dir, "write", source))
    }
}

/// Whether RocksDB's complaint is about the folder's content or about the machine.
fn classify(dir: &Path, action: &'static str, source: rocksdb::Error) -> StateError {
    let text = source.as_ref();
    let is_damage = match source.kind() {
        rocksdb::ErrorKind::Corruption => true,
        // A checkpoint's target, too, may be missing or unfit.
        _ if action == CHECKPOINT => false,
        rocksdb::ErrorKind::InvalidArgument => action == OPEN,
        _ => text.contains("No such file") || text.contains("does not exist"),
    };
    if is_damage {
        StateError::Damaged { dir: dir.to_owned(), fact: text.to_owned() }
    } else {
        StateError::Database { dir: dir.to_owned(), action, source }
    }
}

fn database_options(shared: &Shared) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_manager(&shared.write_buffers);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_file_opening_threads(1);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_paranoid_checks(true);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_bytes_per_sync(1 << 20);
    options.set_max_manifest_file_size(4 << 20);
    options
}

fn family_options(shared: &Shared, horizon: &Arc<Horizon>) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&shared.block_cache);
    table.set_block_size(BLOCK_BYTES);
    table.set_bloom_filter(BLOOM_BITS, false);
    table.set_checksum_type(rocksdb::ChecksumType::XXH3);
    // Index and filters count against the shared budget, and those of the top level stay.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_write_buffer_number(MEMTABLES_MAX);
    options.set_level_zero_slowdown_writes_trigger(YOUNG_TABLES.0);
    options.set_level_zero_stop_writes_trigger(YOUNG_TABLES.1);
    options.set_arena_block_size(ARENA_BYTES);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(32 << 20);
    let horizon = Arc::clone(horizon);
    options.set_compaction_filter("millstream-ttl", move |_level, key, value| {
        if is_expired(key, value, &horizon) { Decision::Remove } else { Decision::Keep }
    });
    options
}

/// Whether nothing of a row is left by the horizon.
fn is_expired(key: &[u8], value: &[u8], horizon: &Horizon) -> bool {
    match key.first() {
        Some(&layout::VALUES) => row::is_expired(value, horizon),
        Some(&layout::ELEMENTS) => groups::decode(value)
            .is_some_and(|stored| stored.expiry <= horizon.times().of(stored.event_time)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budgets;
    use crate::expiry::{NEVER, Times};
    use crate::row::KeyedRow;

    #[test]
    fn compactions_drop_what_has_expired_by_the_horizon() {
        let dir = tempfile::tempdir().unwrap();
        let horizon = Arc::new(Horizon::new());
        horizon.follow_event_time(2);
        let db = Database::open(dir.path(), &Shared::new(Budgets::default()), &horizon).unwrap();
        let item = |time: i64| [&time.to_le_bytes()[..], b"item"].concat();
        let cells = |times: &[i64], event_time: Option<i64>| {
            let mut row = KeyedRow::new(b"");
            times.iter().enumerate().for_each(|(i, time)| row.set(i, Some(b"value"), *time));
            row.set(2, event_time.map(item).as_deref(), NEVER);
            row.cells().to_vec()
        };
        let element = |n| vec![layout::ELEMENTS, 0, 1, 0, 0, n];
        let rows = [
            (vec![layout::VALUES, 1], cells(&[100, 200], None)),
            (vec![layout::VALUES, 2], cells(&[100, NEVER], None)),
            (vec![layout::VALUES, 3], cells(&[100], Some(1))),
            (element(1), groups::encode(b"v", 150, false)),
            (element(2), groups::encode(b"v", NEVER, false)),
            (element(3), groups::encode(&item(2), 2, true)),
            (element(4), groups::encode(b"head", 3, true)),
            (vec![layout::TIMERS, 0, 0], Vec::new()),
        ];
        for (key, value) in &rows {
            db.db.put(key, value).unwrap();
        }
        let left = |processing: i64, watermark: i64| {
            horizon.advance(Times { processing, watermark });
            db.flush(true).unwrap();
            db.db.compact_range::<&[u8], &[u8]>(None, None);
            rows.iter().filter(|(key, _)| db.get(key).unwrap().is_some()).count()
        };
        assert_eq!(left(99, i64::MIN), 8);
        assert_eq!(left(150, 0), 7);
        assert_eq!(left(199, 1), 6);
        assert_eq!(left(199, 2), 5);
        assert_eq!(left(200, 3), 3);
    }

    #[test]
    fn a_clear_voids_rows_of_its_own_batch() {
        let dir = tempfile::tempdir().unwrap();
        let horizon = Arc::new(Horizon::new());
        let db = Database::open(dir.path(), &Shared::new(Budgets::default()), &horizon).unwrap();
        let mut prefix = Vec::new();
        layout::group_prefix(&mut prefix, 0, b"k");
        let key = [&prefix[..], b"entry"].concat();
        let positions = LocalState {
            redo_from: Default::default(),
            newest: Default::default(),
            processing_time: 0,
            watermark: 0,
        };
        let mut batch = Batch::default();
        batch
            .add(&db, &Change::Put { key: key.clone(), value: groups::encode(b"v", NEVER, false) })
            .unwrap();
        batch.add(&db, &Change::Clear { prefix }).unwrap();
        batch.write(&db, &positions, Some(b"{}")).unwrap();
        assert!(db.get(&key).unwrap().is_none());
        assert_eq!(db.anchor().unwrap().unwrap().0, positions);
    }
}
