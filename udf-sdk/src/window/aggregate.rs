//! What a window holds: an [`Aggregate`], or all [`Elements`](super::Elements).

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::span::Span;
use crate::describe;
use crate::state::Opening;

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

/// What the windows of a state hold: an [`Aggregate`], or [`Elements`](super::Elements).
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
    fn add(&mut self, input: &Self::Input<'_>, window: Span, beside: &mut Self::Beside);
    #[doc(hidden)]
    fn merge(&mut self, later: Self, beside: &mut Self::Beside);
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
    fn add(&mut self, input: &Self::Input<'_>, _: Span, (): &mut ()) {
        Aggregate::add(self, input);
    }

    fn merge(&mut self, later: Self, (): &mut ()) {
        Aggregate::merge(self, later);
    }

    fn result(&self, (): &()) -> Self::Result {
        Aggregate::result(self)
    }

    fn discard(self, (): &mut ()) {}
}
