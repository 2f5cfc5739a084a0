//! The memory that all partitions of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rocksdb::{Cache, WriteBufferManager};

/// Memory of a process for keyed state, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// The write-back caches of all partitions together.
    pub cache_bytes: usize,
    /// The memtables of all databases together.
    pub memtable_bytes: usize,
    /// The cache of database blocks, shared by all databases.
    pub block_cache_bytes: usize,
}

/// Default of [`Budgets::cache_bytes`].
pub const CACHE_BYTES_DEFAULT: usize = 256 << 20;
/// Default of [`Budgets::memtable_bytes`].
pub const MEMTABLE_BYTES_DEFAULT: usize = 64 << 20;
/// Default of [`Budgets::block_cache_bytes`].
pub const BLOCK_CACHE_BYTES_DEFAULT: usize = 64 << 20;

impl Default for Budgets {
    fn default() -> Self {
        Self {
            cache_bytes: CACHE_BYTES_DEFAULT,
            memtable_bytes: MEMTABLE_BYTES_DEFAULT,
            block_cache_bytes: BLOCK_CACHE_BYTES_DEFAULT,
        }
    }
}

/// What the partitions of one process share: budgets, block cache, memtable limit.
pub struct Shared {
    budgets: Budgets,
    pub(crate) block_cache: Cache,
    pub(crate) write_buffers: WriteBufferManager,
    cached: AtomicUsize,
    partitions: AtomicUsize,
}

impl Shared {
    /// One per process.
    pub fn new(budgets: Budgets) -> Arc<Self> {
        Arc::new(Self {
            budgets,
            block_cache: Cache::new_lru_cache(budgets.block_cache_bytes),
            // Stalling would let one partition's flush stop all others; flushes start early instead.
            write_buffers: WriteBufferManager::new_write_buffer_manager(
                budgets.memtable_bytes,
                false,
            ),
            cached: AtomicUsize::new(0),
            partitions: AtomicUsize::new(0),
        })
    }

    /// The budgets it was made with.
    pub fn budgets(&self) -> Budgets {
        self.budgets
    }

    /// Bytes in the write-back caches of all partitions, as of their last [`trim`](crate::KeyedState::trim).
    pub fn cached_bytes(&self) -> usize {
        self.cached.load(Ordering::Relaxed)
    }

    /// Bytes of all memtables.
    pub fn memtable_bytes(&self) -> usize {
        self.write_buffers.get_usage()
    }

    /// Bytes of database blocks in memory.
    pub fn block_cache_bytes(&self) -> usize {
        self.block_cache.get_usage()
    }
}

/// One partition's part of the shared cache budget.
pub(crate) struct Account {
    shared: Arc<Shared>,
    reported: usize,
}

impl Account {
    pub fn new(shared: &Arc<Shared>) -> Self {
        shared.partitions.fetch_add(1, Ordering::Relaxed);
        Self { shared: shared.clone(), reported: 0 }
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Reports the partition's cached bytes; returns how many of them it should give up. While all
    /// caches together are within the budget a partition may use more than its share.
    pub fn report(&mut self, bytes: usize) -> usize {
        let total = &self.shared.cached;
        let total = if bytes >= self.reported {
            total.fetch_add(bytes - self.reported, Ordering::Relaxed) + (bytes - self.reported)
        } else {
            total.fetch_sub(self.reported - bytes, Ordering::Relaxed) - (self.reported - bytes)
        };
        self.reported = bytes;
        let budget = self.shared.budgets.cache_bytes;
        let share = budget / self.shared.partitions.load(Ordering::Relaxed).max(1);
        total.saturating_sub(budget).min(bytes.saturating_sub(share))
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.shared.partitions.fetch_sub(1, Ordering::Relaxed);
        self.shared.cached.fetch_sub(self.reported, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_gives_up_only_what_exceeds_its_share() {
        let shared = Shared::new(Budgets { cache_bytes: 100, ..Budgets::default() });
        let (mut a, mut b) = (Account::new(&shared), Account::new(&shared));
        assert_eq!(a.report(90), 0);
        assert_eq!(b.report(20), 0);
        assert_eq!(a.report(90), 10);
        assert_eq!(a.report(200), 120);
        drop(a);
        assert_eq!(shared.cached_bytes(), 20);
        assert_eq!(b.report(101), 1);
    }
}
