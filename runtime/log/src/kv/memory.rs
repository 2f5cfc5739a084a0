//! A bucket in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::key::check_key;
use super::{BucketOptions, Kv, KvChange, KvEntry, KvError, KvEvent, Revision};

/// A bucket in memory. Clones are handles of the same one. Time stands still until it is set.
#[derive(Clone)]
pub struct MemoryKv {
    bucket: String,
    options: BucketOptions,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    now_ns: i64,
    /// Change number n has the revision n + 1.
    changes: Vec<KvChange>,
    /// The last change of each key, and when its value goes.
    last: BTreeMap<String, (Revision, Option<i64>)>,
}

impl State {
    fn change(&self, revision: Revision) -> Option<&KvChange> {
        self.changes.get(usize::try_from(revision.0.checked_sub(1)?).ok()?)
    }

    fn entry(&self, key: &str) -> Option<&KvEntry> {
        match self.change(self.last.get(key)?.0) {
            Some(KvChange::Put(entry)) => Some(entry),
            _ => None,
        }
    }

    fn put(&mut self, key: &str, value: Bytes, ends_ns: Option<i64>) -> Revision {
        let revision = Revision(self.changes.len() as u64 + 1);
        let entry = KvEntry { key: key.to_owned(), value, revision, time_ns: self.now_ns };
        self.changes.push(KvChange::Put(entry));
        self.last.insert(key.to_owned(), (revision, ends_ns));
        revision
    }

    fn delete(&mut self, key: &str) {
        let revision = Revision(self.changes.len() as u64 + 1);
        self.changes.push(KvChange::Deleted {
            key: key.to_owned(),
            revision,
            time_ns: self.now_ns,
        });
        self.last.insert(key.to_owned(), (revision, None));
    }
}

impl MemoryKv {
    /// An empty bucket.
    pub fn new(bucket: &str, options: BucketOptions) -> MemoryKv {
        MemoryKv { bucket: bucket.to_owned(), options, shared: Arc::default() }
    }

    /// Sets the time: nanoseconds since the epoch. Values whose time has passed go.
    pub fn set_time(&self, now_ns: i64) {
        let mut state = self.shared.state.lock();
        state.now_ns = now_ns;
        let over = |(_, (_, ends_ns)): &(&String, &(Revision, Option<i64>))| {
            ends_ns.is_some_and(|end| end <= now_ns)
        };
        let ended: Vec<String> =
            state.last.iter().filter(over).map(|(key, _)| key.clone()).collect();
        for key in ended {
            state.delete(&key);
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }

    fn write<T>(
        &self,
        key: &str,
        act: impl FnOnce(&mut State) -> Result<T, KvError>,
    ) -> Result<T, KvError> {
        check_key(key)?;
        let done = act(&mut self.shared.state.lock())?;
        self.shared.changed.notify_waiters();
        Ok(done)
    }

    /// When a value written now goes.
    fn end(&self, state: &State, ttl: Option<Duration>) -> Result<Option<i64>, KvError> {
        if ttl.is_some() && !self.options.value_ttl {
            return Err(KvError::NoTtl { bucket: self.bucket.clone() });
        }
        let ttl_ns =
            ttl.or(self.options.ttl).map(|ttl| i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX));
        Ok(ttl_ns.map(|ttl_ns| state.now_ns.saturating_add(ttl_ns)))
    }

    fn conflict(&self, key: &str, expected: Revision) -> KvError {
        KvError::Conflict { bucket: self.bucket.clone(), key: key.to_owned(), expected: expected.0 }
    }
}

impl Kv for MemoryKv {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>> {
        Box::pin(async move {
            check_key(key)?;
            Ok(self.shared.state.lock().entry(key).cloned())
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> BoxFuture<'a, Result<Revision, KvError>> {
        Box::pin(async move {
            self.write(key, |state| {
                let end = self.end(state, None)?;
                Ok(state.put(key, value, end))
            })
        })
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<Revision, KvError>> {
        Box::pin(async move {
            self.write(key, |state| {
                let end = self.end(state, ttl)?;
                if state.entry(key).is_some() {
                    return Err(KvError::Exists {
                        bucket: self.bucket.clone(),
                        key: key.to_owned(),
                    });
                }
                Ok(state.put(key, value, end))
            })
        })
    }

    fn update<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expected: Revision,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<Revision, KvError>> {
        Box::pin(async move {
            self.write(key, |state| {
                let end = self.end(state, ttl)?;
                if state.last.get(key).map_or(Revision(0), |last| last.0) != expected {
                    return Err(self.conflict(key, expected));
                }
                Ok(state.put(key, value, end))
            })
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        expected: Option<Revision>,
    ) -> BoxFuture<'a, Result<(), KvError>> {
        Box::pin(async move {
            self.write(key, |state| {
                let last = state.last.get(key).map_or(Revision(0), |last| last.0);
                if let Some(expected) = expected.filter(|expected| *expected != last) {
                    return Err(self.conflict(key, expected));
                }
                state.delete(key);
                Ok(())
            })
        })
    }

    fn keys<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, KvError>> {
        Box::pin(async move {
            let state = self.shared.state.lock();
            let matching = state
                .last
                .keys()
                .filter(|key| key.starts_with(prefix) && state.entry(key).is_some());
            Ok(matching.cloned().collect())
        })
    }

    fn history<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Vec<KvChange>, KvError>> {
        Box::pin(async move {
            check_key(key)?;
            let state = self.shared.state.lock();
            let changes: Vec<_> =
                state.changes.iter().filter(|change| change.key() == key).cloned().collect();
            let forgotten = changes.len().saturating_sub(self.options.history.into());
            Ok(changes[forgotten..].to_vec())
        })
    }

    fn watch<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<KvEvent, KvError>>, KvError>> {
        Box::pin(async move {
            let (mut first, next) = {
                let state = self.shared.state.lock();
                let entries = state
                    .last
                    .keys()
                    .filter(|key| key.starts_with(prefix))
                    .filter_map(|key| state.entry(key));
                (entries.cloned().collect::<Vec<_>>(), state.changes.len())
            };
            first.sort_by_key(|entry| entry.revision);
            let first: Vec<_> = first
                .into_iter()
                .map(|entry| Ok(KvEvent::Change(KvChange::Put(entry))))
                .chain([Ok(KvEvent::Current)])
                .collect();
            let (shared, prefix) = (Arc::clone(&self.shared), prefix.to_owned());
            let later = futures::stream::unfold(
                (shared, prefix, next),
                async |(shared, prefix, mut next)| {
                    loop {
                        let changed = shared.changed.notified();
                        let change = shared.state.lock().changes.get(next).cloned();
                        match change {
                            Some(change) => {
                                next += 1;
                                if change.key().starts_with(&prefix) {
                                    drop(changed);
                                    return Some((
                                        Ok(KvEvent::Change(change)),
                                        (shared, prefix, next),
                                    ));
                                }
                            }
                            None => changed.await,
                        }
                    }
                },
            );
            let events = futures::StreamExt::chain(futures::stream::iter(first), later);
            Ok(Box::pin(events) as BoxStream<'static, Result<KvEvent, KvError>>)
        })
    }
}
