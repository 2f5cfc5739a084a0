//! Patterns: sequences of records of a key, in event time (complex event processing).
//!
//! A [`Pattern`] is a sequence of stages with conditions. Records wait until the watermark has reached their
//! event time, and are handled in the order of event time (of arrival, where that is equal), so the result does
//! not depend on the order in which they came. A record that comes too late for that is given back.
//! Semantics are those of Apache Flink's CEP library, down to the order in which matches are found.
//!
//! ```
//! use std::time::Duration;
//!
//! use millstream_udf::pattern::{Found, Pattern, PatternState};
//! use millstream_udf::prelude::*;
//!
//! /// Records are kept, so the type owns what it holds.
//! #[derive(Input, Serialize, Deserialize)]
//! struct Login {
//!     id: i64,
//!     ok: bool,
//! }
//!
//! #[derive(Output)]
//! struct Guessed {
//!     failed: i64,
//!     first: i64,
//!     id: i64,
//! }
//!
//! #[derive(States)]
//! struct User {
//!     guessing: PatternState<Login>,
//! }
//!
//! struct PasswordGuessing {
//!     pattern: Pattern<Login>,
//! }
//!
//! impl Default for PasswordGuessing {
//!     fn default() -> Self {
//!         let pattern = Pattern::begin("failed")
//!             .when(|login: &Login| !login.ok)
//!             .times(3..)
//!             .consecutive()
//!             .greedy()
//!             .next("in")
//!             .when(|login| login.ok)
//!             .within(Duration::from_secs(60))
//!             .build();
//!         Self { pattern }
//!     }
//! }
//!
//! #[udf(state = User, outputs = Emit<Guessed>)]
//! impl PasswordGuessing {
//!     fn process(&self, login: Login, user: &mut User, ctx: &mut Context<'_>) -> Result<()> {
//!         if let Some(late) = user.guessing.accept(login, Self::GUESSING, ctx) {
//!             log::warn!("login {} came too late", late.id);
//!         }
//!         Ok(())
//!     }
//!
//!     #[timer(event_time)]
//!     fn guessing(&self, user: &mut User, out: &mut Emit<Guessed>, ctx: &mut TimerContext<'_>) -> Result<()> {
//!         for found in user.guessing.advance(&self.pattern, Self::GUESSING, ctx)? {
//!             if let Found::Match(login) = found {
//!                 let failed = login.all("failed").len() as i64;
//!                 out.emit(Guessed { failed, first: login["failed"].id, id: login["in"].id });
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//! # fn main() {
//! use millstream_udf::testing::Harness;
//! use serde_json::json;
//!
//! let mut harness = Harness::<PasswordGuessing>::new().key_from("/user").event_time_from("/ts").with_bound(5_000);
//! for (id, ok, ts) in [(1, false, 0), (4, true, 300), (3, false, 200), (2, false, 100)] {
//!     harness.send(json!({"user": "u", "id": id, "ok": ok, "ts": ts})).unwrap();
//! }
//! harness.end_of_input();
//! assert_eq!(harness.take_lines("output"), [r#"{"failed":3,"first":1,"id":4}"#]);
//! # }
//! ```
//!
//! # From Flink
//!
//! | Flink | here |
//! |---|---|
//! | `Pattern.<E>begin("a")` | [`Pattern::begin("a")`](Pattern::begin) |
//! | `.where(SimpleCondition)` | [`.when(\|record\| ...)`](Stages::when) |
//! | `.where(IterativeCondition)`, `ctx.getEventsForPattern("a")` | [`.given(\|record, so_far\| ...)`](Stages::given), [`so_far.all("a")`](Matched::all) |
//! | `next`, `followedBy`, `followedByAny`, `notNext`, `notFollowedBy` | the same |
//! | `times(2)`, `times(2, 4)`, `timesOrMore(2)`, `oneOrMore()` | [`times(2)`](Stages::times), `times(2..=4)`, `times(2..)`, `one_or_more()` |
//! | `optional`, `greedy`, `consecutive`, `allowCombinations` | the same |
//! | `within(Duration)` | [`within(Duration)`](Stages::within) |
//! | `AfterMatchSkipStrategy` | [`after_match(AfterMatch)`](Stages::after_match) |
//! | `TimedOutPartialMatchHandler`, late side output | [`Found::Timeout`], what [`PatternState::accept`] gives back |
//!
//! There are no groups of stages, no `until`, and no time between two stages other than that of the whole.
//!
//! # What a key keeps
//!
//! Each record once, from its arrival until it is handled or no sequence holds it any more; and the partial
//! matches, which share the steps they have in common. [`within`](Stages::within) ends them, and
//! [`limit`](Stages::limit) bounds their number; without `within` a sequence waits for ever.

mod builder;
mod compile;
mod graph;
mod matched;
mod matches;
mod queue;
mod run;
mod stage;
mod state;

pub use self::builder::{Count, Forbidden, Once, Pattern, Repeated, Stages, Takes};
pub use self::matched::{Found, Matched, Taken};
pub use self::stage::AfterMatch;
pub use self::state::PatternState;

/// Sequences of a key, unless the pattern says otherwise.
const SEQUENCES_MAX: usize = 1_000;

/// Records that the sequences of a key may have taken together, per sequence of the limit.
const STEPS_PER_SEQUENCE: usize = 16;

/// A call handles records until they and the sequences they met come to this: a call's fuel is bounded. The rest
/// goes to another call.
const WORK_PER_CALL: usize = 4_096;

/// Version of the encoding of partial matches.
const FORMAT: u32 = 1;
