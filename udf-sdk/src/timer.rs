//! Timers: the handles that `#[udf]` makes, and the changes of a call.

use std::marker::PhantomData;

use crate::describe::TimeDomain;
use crate::frame::{TimerChanges, push_presence};

/// A declared timer. `#[timer(event_time)] fn small_expired(...)` in an `impl` with `#[udf]`
/// declares one, and makes the constant `Self::SMALL_EXPIRED` to set it with.
///
/// Per key there is at most one pending timer of a name and a time; different times are different
/// timers. An event-time timer fires when the watermark is at or past its time. One whose time is
/// already past when it is set fires when the watermark advances next.
pub struct Timer<D> {
    index: u32,
    domain: PhantomData<D>,
}

impl<D> Clone for Timer<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Timer<D> {}

impl<D> Timer<D> {
    #[doc(hidden)]
    pub const fn declared(index: u32) -> Self {
        Self { index, domain: PhantomData }
    }
}

/// The clock of a timer that follows the watermark.
pub enum EventTime {}

/// The clock of a timer that follows processing time.
pub enum ProcessingTime {}

/// The clock a timer follows.
pub trait Clock {
    #[doc(hidden)]
    const DOMAIN: TimeDomain;
}

impl Clock for EventTime {
    const DOMAIN: TimeDomain = TimeDomain::EventTime;
}

impl Clock for ProcessingTime {
    const DOMAIN: TimeDomain = TimeDomain::ProcessingTime;
}

/// The changes that a call makes to timers.
#[derive(Default)]
pub(crate) struct Changes(pub TimerChanges);

impl Changes {
    #[inline]
    pub fn add<D>(&mut self, cause: usize, timer: Timer<D>, time: i64, set: bool) {
        push_presence(&mut self.0.present, self.0.causes.len(), set);
        self.0.causes.push(cause as u32);
        self.0.timers.push(timer.index);
        self.0.times.push(time);
    }
}
