//! States that work by themselves: they take what a handler gives them, set timers of their own, and
//! give what they fire to a handler of its own. `#[udf]` drives them through [`Fires`].

use crate::context::{Context, TimerContext};
use crate::error::Result;
use crate::timer::{EventTime, Timer};

/// The times at which a handler is called, in milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Event time of the record, or the time of the timer.
    pub event_time: i64,
    /// The operator's watermark.
    pub watermark: i64,
    /// The watermark of the record's own source, if others make the operator's too.
    pub own_watermark: Option<i64>,
    /// Processing time.
    pub processing_time: i64,
    /// All event-time timers up to here have fired. A timer's handler does not know: others of the same advance
    /// come behind it.
    pub fired_through: i64,
}

impl Moment {
    /// What decides whether a record is late: the watermark of its own source.
    #[inline]
    pub fn late_by(&self) -> i64 {
        self.own_watermark.unwrap_or(self.watermark)
    }
}

/// A field's own timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FiresBy {
    /// The one that is named like its handler. It follows the watermark.
    Main,
    /// The one beside it: of windows `NAME_early`, which follows processing time; of joins `NAME_expired`, which
    /// follows the watermark and fires behind the other of the same time.
    Beside,
}

/// A field of a [`States`](crate::States) struct that fires.
///
/// The generated code sets it up once per call, tells it the moment before each handler, and behind each
/// handler passes on what it fired and sets its timers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` fires nothing, so it needs no handler of its own",
    label = "neither `Windows<A>` nor a join",
    note = "`#[window(field = ...)]` names a field of the state whose type is `Windows<A>`, and `#[join(field = ...)]` one that is a join"
)]
pub trait Fires {
    /// How it works: what the handler's attribute says.
    type Setup;
    /// What its handler takes.
    type Fired;
    /// Whether it was set up in this call.
    fn is_set_up(&self) -> bool;
    /// Sets it up.
    fn set_up(&mut self, setup: Self::Setup);
    /// The handler that is called next is called at this moment.
    fn at(&mut self, moment: Moment);
    /// Its own timer, set for this time, fires.
    fn on_timer(&mut self, timer: FiresBy, time: i64);
    /// Takes what was fired first and not taken yet.
    fn next_fired(&mut self) -> Option<Self::Fired>;
    /// Takes the timers to set, in milliseconds since 1970 UTC.
    fn new_timers(&mut self) -> std::vec::Drain<'_, (FiresBy, i64)>;
}

/// Before each handler.
#[inline]
pub fn prepare<F: Fires>(field: &mut F, setup: impl FnOnce() -> F::Setup, moment: Moment) {
    if !field.is_set_up() {
        field.set_up(setup());
    }
    field.at(moment);
}

/// The key and the times at which something fires: by a record that came, or by a timer. All times are
/// milliseconds since 1970 UTC.
#[derive(Clone, Copy)]
pub struct FiredContext<'c> {
    cause: Cause<'c>,
}

#[derive(Clone, Copy)]
enum Cause<'c> {
    Record(&'c Context<'c>),
    Timer(&'c TimerContext<'c>),
}

impl<'c> FiredContext<'c> {
    /// Event time of the record that made it fire, or the time of the timer: the event time of what is emitted.
    #[inline]
    pub fn time(&self) -> i64 {
        match self.cause {
            Cause::Record(context) => context.event_time(),
            Cause::Timer(context) => context.time(),
        }
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &'c [u8] {
        match self.cause {
            Cause::Record(context) => context.key(),
            Cause::Timer(context) => context.key(),
        }
    }

    /// The key as text; an error if it is not UTF-8.
    #[inline]
    pub fn key_text(&self) -> Result<&'c str> {
        match self.cause {
            Cause::Record(context) => context.key_text(),
            Cause::Timer(context) => context.key_text(),
        }
    }

    /// The operator's watermark.
    #[inline]
    pub fn watermark(&self) -> i64 {
        match self.cause {
            Cause::Record(context) => context.watermark(),
            Cause::Timer(context) => context.watermark(),
        }
    }

    /// Processing time of the whole batch; the same at a replay.
    #[inline]
    pub fn processing_time(&self) -> i64 {
        match self.cause {
            Cause::Record(context) => context.processing_time(),
            Cause::Timer(context) => context.processing_time(),
        }
    }
}

/// What generated code needs of a handler's context.
pub trait Driver {
    /// The moment of the handler.
    fn moment(&self) -> Moment;
    /// The context for what fires now.
    fn fired(&self) -> FiredContext<'_>;
    /// Sets timers of a field, which are declared with these indexes.
    fn set_timers(&mut self, main: u32, beside: u32, timers: std::vec::Drain<'_, (FiresBy, i64)>);
}

macro_rules! driver {
    ($context:ident, $cause:ident, $event_time:ident, $own_watermark:expr, $fired_through:expr) => {
        impl Driver for $context<'_> {
            #[inline]
            fn moment(&self) -> Moment {
                Moment {
                    event_time: self.$event_time(),
                    watermark: self.watermark(),
                    own_watermark: $own_watermark(self),
                    processing_time: self.processing_time(),
                    fired_through: $fired_through(self),
                }
            }

            #[inline]
            fn fired(&self) -> FiredContext<'_> {
                FiredContext { cause: Cause::$cause(self) }
            }

            #[inline]
            fn set_timers(
                &mut self,
                main: u32,
                beside: u32,
                timers: std::vec::Drain<'_, (FiresBy, i64)>,
            ) {
                for (timer, time) in timers {
                    let index = match timer {
                        FiresBy::Main => main,
                        FiresBy::Beside => beside,
                    };
                    // The declaration says which clock it follows.
                    self.set_timer(Timer::<EventTime>::declared(index), time);
                }
            }
        }
    };
}

driver!(Context, Record, event_time, Context::own_watermark, Context::watermark);
driver!(TimerContext, Timer, time, |_: &Self| None, |_: &Self| i64::MIN);
