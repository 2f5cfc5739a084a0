//! The state of a windowed join: the elements of two inputs in the same windows.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::describe::{self, StateKind};
use crate::fires::{Fires, FiresBy, Moment};
use crate::frame::Written;
use crate::state::{Opening, StateField};
use crate::window::{Added, Elements, Fired, Timing, Window, Windows};

/// Windows over the records of two inputs, as a field of a [`States`](macro@crate::States) struct.
/// `#[window(field = Window::...)]` on a function of the UDF lays them out, and makes it the handler of what they
/// fire: a [`JoinedWindow`]. See [the module](super).
///
/// It is kept as [`Windows`] of [`Elements`] are.
pub struct WindowJoin<L, R>
where
    L: Clone + Serialize + DeserializeOwned,
    R: Clone + Serialize + DeserializeOwned,
{
    windows: Windows<Elements<Element<L, R>>>,
    time: i64,
}

/// A record and its event time.
#[derive(Clone, Serialize, Deserialize)]
#[doc(hidden)]
pub enum Element<L, R> {
    Left(i64, L),
    Right(i64, R),
}

impl<L, R> Element<L, R> {
    fn time(&self) -> i64 {
        match self {
            Self::Left(time, _) | Self::Right(time, _) => *time,
        }
    }
}

/// A window that fires, with the records of both inputs in the order of event time (of arrival, where that is equal).
/// Times are milliseconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedWindow<L, R> {
    /// Start of the window; `i64::MIN` for the global one.
    pub start: i64,
    /// End of the window: its first millisecond behind it. `i64::MAX` for the global one.
    pub end: i64,
    /// When it fires.
    pub timing: Timing,
    /// The records of the left input.
    pub left: Vec<L>,
    /// The records of the right input.
    pub right: Vec<R>,
}

impl<L, R> JoinedWindow<L, R> {
    /// Each left record with each right one: an inner join. Nothing if either side is empty.
    pub fn pairs(&self) -> impl Iterator<Item = (&L, &R)> {
        self.left.iter().flat_map(|left| self.right.iter().map(move |right| (left, right)))
    }
}

impl<L, R> WindowJoin<L, R>
where
    L: Clone + Serialize + DeserializeOwned,
    R: Clone + Serialize + DeserializeOwned,
{
    /// Adds a record of the left input to the windows that its event time belongs to. As
    /// [`Windows::add`].
    pub fn left(&mut self, record: L) -> Added {
        self.windows.add(&Element::Left(self.time, record))
    }

    /// As [`Self::left`], of the right input.
    pub fn right(&mut self, record: R) -> Added {
        self.windows.add(&Element::Right(self.time, record))
    }
}

impl<L, R> Fires for WindowJoin<L, R>
where
    L: Clone + Serialize + DeserializeOwned,
    R: Clone + Serialize + DeserializeOwned,
{
    type Setup = Window;
    type Fired = JoinedWindow<L, R>;

    #[inline]
    fn is_set_up(&self) -> bool {
        self.windows.is_set_up()
    }

    fn set_up(&mut self, window: Window) {
        self.windows.set_up(window);
    }

    #[inline]
    fn at(&mut self, moment: Moment) {
        self.time = moment.event_time;
        self.windows.at(moment);
    }

    fn on_timer(&mut self, timer: FiresBy, time: i64) {
        self.windows.on_timer(timer, time);
    }

    fn next_fired(&mut self) -> Option<Self::Fired> {
        let Fired { start, end, timing, result: mut elements } = self.windows.next_fired()?;
        // They came in an order that says nothing, and sessions that merged put one before the other. Those of the same
        // time and input are in the order of that input.
        elements.sort_by_key(Element::time);
        let mut joined = JoinedWindow { start, end, timing, left: Vec::new(), right: Vec::new() };
        for element in elements {
            match element {
                Element::Left(_, record) => joined.left.push(record),
                Element::Right(_, record) => joined.right.push(record),
            }
        }
        Some(joined)
    }

    #[inline]
    fn new_timers(&mut self) -> std::vec::Drain<'_, (FiresBy, i64)> {
        self.windows.new_timers()
    }
}

impl<L, R> StateField for WindowJoin<L, R>
where
    L: Clone + Serialize + DeserializeOwned,
    R: Clone + Serialize + DeserializeOwned,
{
    const KIND: StateKind = <Windows<Elements<Element<L, R>>> as StateField>::KIND;
    const FIRING: usize = 1;

    fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        Windows::<Elements<Element<L, R>>>::declare(named, states);
    }

    fn open(opening: &mut Opening) -> Self {
        Self { windows: StateField::open(opening), time: 0 }
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.windows.select(key);
    }

    fn close(self, written: &mut Vec<Written>) {
        self.windows.close(written);
    }
}
