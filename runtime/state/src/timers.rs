//! Timers on disk. Their order in memory is the owner's; here they are rows to be written and loaded.

use crate::dirty::Dirt;
use crate::error::StateError;
use crate::expiry::NEVER;
use crate::keyed::KeyedState;
use crate::layout;

impl KeyedState {
    /// Notes that declared timer `timer` is set for `key` at `time` (milliseconds). Setting it again changes nothing.
    pub fn set_timer(&mut self, timer: u16, key: &[u8], time: i64) {
        self.write_timer(timer, key, time, Some(&[]));
    }

    /// Notes that the timer has fired or was deleted.
    pub fn delete_timer(&mut self, timer: u16, key: &[u8], time: i64) {
        self.write_timer(timer, key, time, None);
    }

    fn write_timer(&mut self, timer: u16, key: &[u8], time: i64, value: Option<&[u8]>) {
        self.prefix.clear();
        self.prefix.push(layout::TIMERS);
        self.by_event_time = false;
        let mut entry = std::mem::take(&mut self.key);
        layout::timer_entry(&mut entry, self.timers[usize::from(timer)], time, key);
        self.put_element(&entry, value, NEVER);
        self.key = entry;
    }

    /// Visits all pending timers of the declared ones as (timer, key, time), in the order of (timer's id, time, key).
    /// For the start, after the redo; reads them all.
    pub fn timers(&self, mut visit: impl FnMut(u16, &[u8], i64)) -> Result<(), StateError> {
        let malformed = || StateError::Damaged {
            dir: self.dir.clone(),
            fact: "a timer row is malformed".to_owned(),
        };
        let mut tell = |entry: &[u8]| {
            let (id, time, key) = layout::read_timer_entry(entry).ok_or_else(malformed)?;
            if let Some(timer) = self.timers.iter().position(|&timer| timer == id) {
                visit(timer as u16, key, time);
            }
            Ok(())
        };
        let group = self.groups.peek(&[layout::TIMERS]).map(|group| &self.groups.groups[group]);
        let mut cached = group.iter().flat_map(|group| &group.entries).peekable();
        if let Some(db) = &self.db {
            let mut rows = db.iterate(&[layout::TIMERS]);
            rows.seek([layout::TIMERS]);
            while let Some(key) = rows.key() {
                let entry = &key[1..];
                let mut overlaid = false;
                while let Some((other, id)) = cached.next_if(|(other, _)| &other[..] <= entry) {
                    overlaid |= &other[..] == entry;
                    if self.groups.elements[*id].value.is_some() {
                        tell(other)?;
                    }
                }
                if !overlaid {
                    tell(entry)?;
                }
                rows.next();
            }
            db.check(&rows)?;
        }
        for (entry, id) in cached {
            let element = &self.groups.elements[*id];
            debug_assert_ne!(element.dirt, Dirt::CLEAN, "persisted timers are not cached");
            if element.value.is_some() {
                tell(entry)?;
            }
        }
        Ok(())
    }
}
