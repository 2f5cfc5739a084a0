//! One input's side of an interval join: how its records meet those of the other.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::state::Map;

/// A record that is kept, and whether it has found another.
#[derive(Serialize, Deserialize)]
pub struct Kept<E> {
    pub found: bool,
    pub record: E,
}

/// The records of an input that are kept, by event time and number.
pub type Records<E> = Map<(i64, u32), Kept<E>>;

/// The records of a key that one input has sent, and what becomes of them.
pub struct Half<'h, E> {
    pub records: &'h mut Records<E>,
    /// How many are kept.
    pub count: &'h mut u32,
    /// How long a record is kept behind its own time, milliseconds.
    pub waits: i64,
    /// Whether one that finds no other is given too.
    pub alone: bool,
}

impl<E: Clone + Serialize + DeserializeOwned> Half<'_, E> {
    /// The records of this time meet those of the other half that have one of `times`. Gives each as often as it
    /// meets one, or by itself if it met none and is not kept on.
    pub fn meet<O: Clone + Serialize + DeserializeOwned>(
        &mut self,
        time: i64,
        other: &mut Half<'_, O>,
        times: RangeInclusive<i64>,
        mut give: impl FnMut(E, Option<(i64, O)>),
    ) {
        if *self.count == 0 {
            return;
        }
        let stays = self.waits > 0;
        // Those that do not stay and have an earlier time were refused by the handler.
        let due = if stays { of(self.records, time..=time) } else { self.take_through(time) };
        for (own_time, number, Kept { found, record }) in due {
            if own_time < time {
                continue;
            }
            let others = other.find(times.clone());
            let alone = others.is_empty() && !found;
            for met in others {
                give(record.clone(), Some(met));
            }
            if stays && !found && !alone && self.alone {
                self.records.insert(&(own_time, number), &Kept { found: true, record });
            } else if !stays && alone && self.alone {
                give(record, None);
            }
        }
    }

    /// Drops the records whose time to wait is over at `time`. Gives those that go now and found none.
    pub fn expire(&mut self, time: i64, mut give: impl FnMut(i64, E)) {
        if self.waits == 0 || *self.count == 0 {
            return;
        }
        let through = time.saturating_sub(self.waits);
        for (own_time, _, Kept { found, record }) in self.take_through(through) {
            if self.alone && !found && own_time == through {
                give(own_time, record);
            }
        }
    }

    /// The records of these times, which have now found another.
    fn find(&mut self, times: RangeInclusive<i64>) -> Vec<(i64, E)> {
        if *self.count == 0 || times.is_empty() {
            return Vec::new();
        }
        let mut records = Vec::new();
        for (time, number, kept) in of(self.records, times) {
            if self.alone && !kept.found {
                let kept = Kept { found: true, record: kept.record.clone() };
                self.records.insert(&(time, number), &kept);
            }
            records.push((time, kept.record));
        }
        records
    }

    /// Removes the records up to this time.
    fn take_through(&mut self, time: i64) -> Vec<(i64, u32, Kept<E>)> {
        let taken = of(self.records, i64::MIN..=time);
        for (time, number, _) in &taken {
            self.records.remove(&(*time, *number));
        }
        *self.count -= taken.len() as u32;
        taken
    }
}

/// The records of these times, in order.
fn of<E: Serialize + DeserializeOwned>(
    records: &Records<E>,
    times: RangeInclusive<i64>,
) -> Vec<(i64, u32, Kept<E>)> {
    let (from, to) = times.into_inner();
    // Nothing has the time `i64::MIN`: the watermark has reached it from the beginning.
    let entries = records.iter_after(&(from.saturating_sub(1), u32::MAX));
    entries
        .take_while(|((time, _), _)| *time <= to)
        .map(|((time, number), kept)| (time, number, kept))
        .collect()
}
