//! What a window holds: an [`Aggregate`], or all [`Elements`].

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::span::Span;
use crate::describe::{self, StateKind};
use crate::state::{Map, Opening, StateField};

/// An incremental aggregate: it is its own accumulator, and holds what the result needs of the records, not
/// the records.
///
/// ```
/// use millstream_udf::prelude::*;
///
/// /// The mean of amounts.
/// #[derive(Default, Serialize, Deserialize)]
/// struct Mean {
///     count: u64,
///     sum: f64,
/// }
///
/// impl Aggregate for Mean {
///     type Input<'i> = f64;
///     type Result = f64;
///
///     fn add(&mut self, amount: &f64) {
///         self.count += 1;
///         self.sum += amount;
///     }
///
///     fn merge(&mut self, other: Self) {
///         self.count += other.count;
///         self.sum += other.sum;
///     }
///
///     fn result(&self) -> f64 {
///         self.sum / self.count as f64
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "not an `Aggregate`",
    note = "implement `Aggregate` for it, or keep all elements with `Windows<Elements<{Self}>>`"
)]
pub trait Aggregate: Default + Serialize + DeserializeOwned {
    /// What a record contributes, such as a number or the record itself.
    type Input<'i>: ?Sized;
    /// What the handler gets when a window fires.
    type Result;
    /// Takes a record in.
    fn add(&mut self, input: &Self::Input<'_>);
    /// Takes in all that another has: two sessions became one. The other is the later one.
    fn merge(&mut self, other: Self);
    /// The result so far.
    fn result(&self) -> Self::Result;
}

/// What the windows of a state hold: an [`Aggregate`], or [`Elements`].
#[diagnostic::on_unimplemented(
    message = "windows cannot hold `{Self}`",
    label = "not an `Aggregate`",
    note = "implement `Aggregate` for it, or keep all elements with `Windows<Elements<{Self}>>`"
)]
pub trait Contents: Default + Serialize + DeserializeOwned {
    /// What is added.
    type Input<'i>: ?Sized;
    /// What the handler gets.
    type Result;
    /// Where elements are kept that are not in the contents themselves.
    #[doc(hidden)]
    type Beside;
    #[doc(hidden)]
    fn declare(named: &describe::State, states: &mut Vec<describe::State>);
    #[doc(hidden)]
    fn open(opening: &mut Opening) -> Self::Beside;
    #[doc(hidden)]
    fn select(beside: &mut Self::Beside, key: u32);
    #[doc(hidden)]
    fn add(&mut self, input: &Self::Input<'_>, window: (i64, i64), beside: &mut Self::Beside);
    #[doc(hidden)]
    fn merge(&mut self, later: Self);
    #[doc(hidden)]
    fn result(&self, beside: &Self::Beside) -> Self::Result;
    #[doc(hidden)]
    fn discard(self, beside: &mut Self::Beside);
}

impl<A: Aggregate> Contents for A {
    type Input<'i> = A::Input<'i>;
    type Result = A::Result;
    type Beside = ();

    fn declare(_: &describe::State, _: &mut Vec<describe::State>) {}

    fn open(_: &mut Opening) {}

    #[inline]
    fn select((): &mut (), _: u32) {}

    #[inline]
    fn add(&mut self, input: &Self::Input<'_>, _: (i64, i64), (): &mut ()) {
        Aggregate::add(self, input);
    }

    fn merge(&mut self, later: Self) {
        Aggregate::merge(self, later);
    }

    fn result(&self, (): &()) -> Self::Result {
        Aggregate::result(self)
    }

    fn discard(self, (): &mut ()) {}
}

/// All elements of a window, for `Windows<Elements<T>>`: the handler gets a `Fired<Vec<T>>`. Each is a map
/// entry of its own, so that adding one costs the same in a full window as in an empty one; where an
/// [`Aggregate`] will do, it is far cheaper.
///
/// They come in the order of arrival. Where sessions merged, those of the earlier one come first.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Elements<T> {
    parts: Vec<Part>,
    elements: PhantomData<fn() -> T>,
}

/// Elements that were added under one name: a window has more than one part where sessions merged, since elements
/// do not move.
#[derive(Serialize, Deserialize)]
struct Part {
    /// The window as it was first. No two open windows of a key have a part in common.
    window: Span,
    count: u32,
}

impl<T> Default for Elements<T> {
    fn default() -> Self {
        Self { parts: Vec::new(), elements: PhantomData }
    }
}

impl<T> Elements<T> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.count as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry keys, in order.
    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.parts.iter().flat_map(|part| (0..part.count).map(|i| part.entry(i)))
    }
}

impl Part {
    fn entry(&self, i: u32) -> Entry {
        (self.window.start, (self.window.end, i))
    }
}

/// Start and end of a part's window, and the element's number.
type Entry = (i64, (i64, u32));

impl<T: Serialize + DeserializeOwned> Contents for Elements<T> {
    type Input<'i> = T;
    type Result = Vec<T>;
    type Beside = Map<Entry, T>;

    fn declare(named: &describe::State, states: &mut Vec<describe::State>) {
        let name = format!("{}_elements", named.name);
        states.push(describe::State { name, kind: StateKind::Map, ..named.clone() });
    }

    fn open(opening: &mut Opening) -> Self::Beside {
        <Map<Entry, T> as StateField>::open(opening)
    }

    #[inline]
    fn select(beside: &mut Self::Beside, key: u32) {
        StateField::select(beside, key);
    }

    fn add(&mut self, element: &T, (start, end): (i64, i64), beside: &mut Self::Beside) {
        if self.parts.is_empty() {
            self.parts.push(Part { window: Span { start, end }, count: 0 });
        }
        let Some(part) = self.parts.last_mut() else { return };
        beside.insert(&part.entry(part.count), element);
        part.count += 1;
    }

    fn merge(&mut self, later: Self) {
        self.parts.extend(later.parts);
    }

    fn result(&self, beside: &Self::Beside) -> Vec<T> {
        let mut elements = Vec::with_capacity(self.len());
        for part in &self.parts {
            let before = (part.window.start, (part.window.end, 0));
            elements.extend(beside.get(&before));
            let rest = beside.iter_after(&before).take(part.count.saturating_sub(1) as usize);
            elements.extend(rest.map(|(_, element)| element));
        }
        elements
    }

    fn discard(self, beside: &mut Self::Beside) {
        for entry in self.entries() {
            beside.remove(&entry);
        }
    }
}
