//! Windows: records of a key, grouped by event time.
//!
//! A field [`Windows<C>`](Windows) in the state, and a handler with `#[window(field = layout)]` that gets what
//! fires. The handler of records decides what goes in, and where a late record goes:
//!
//! ```
//! use std::time::Duration;
//!
//! use millstream_udf::prelude::*;
//!
//! #[derive(Input)]
//! struct Payment<'a> {
//!     id: &'a str,
//!     cents: i64,
//! }
//!
//! /// What a window holds of the payments.
//! #[derive(Default, Serialize, Deserialize)]
//! struct Total(i64);
//!
//! impl Aggregate for Total {
//!     type Input<'i> = Payment<'i>;
//!     type Result = i64;
//!
//!     fn add(&mut self, payment: &Payment<'_>) {
//!         self.0 += payment.cents;
//!     }
//!
//!     fn merge(&mut self, other: Self) {
//!         self.0 += other.0;
//!     }
//!
//!     fn result(&self) -> i64 {
//!         self.0
//!     }
//! }
//!
//! #[derive(States)]
//! struct Account {
//!     minutes: Windows<Total>,
//! }
//!
//! #[derive(Output)]
//! struct Minute<'a> {
//!     account: &'a str,
//!     start: i64,
//!     cents: i64,
//! }
//!
//! #[derive(Output)]
//! struct Late<'a> {
//!     id: &'a str,
//! }
//!
//! #[derive(Outputs)]
//! struct Out {
//!     minutes: Emit<Minute<'static>>,
//!     late: Emit<Late<'static>>,
//! }
//!
//! #[derive(Default)]
//! struct Minutes;
//!
//! #[udf(version = "1.0.0", state = Account, outputs = Out)]
//! impl Minutes {
//!     fn process(&self, payment: Payment<'_>, account: &mut Account, out: &mut Out) {
//!         if account.minutes.add(&payment).is_late() {
//!             out.late.emit(Late { id: payment.id });
//!         }
//!     }
//!
//!     #[window(minutes = Window::tumbling(Duration::from_secs(60)))]
//!     fn minute(&self, minute: Fired<i64>, out: &mut Out, ctx: &FiredContext<'_>) -> Result<()> {
//!         let Fired { start, result: cents, .. } = minute;
//!         out.minutes.emit(Minute { account: ctx.key_text()?, start, cents });
//!         Ok(())
//!     }
//! }
//!
//! use millstream_udf::testing::Harness;
//! use serde_json::json;
//!
//! let mut harness = Harness::<Minutes>::new().key_from("/account").event_time_from("/ts");
//! for (id, cents, ts) in [("p1", 500, 1_000), ("p2", 250, 59_999), ("p3", 100, 60_000)] {
//!     harness.send(json!({"account": "a", "id": id, "cents": cents, "ts": ts})).unwrap();
//! }
//! harness.advance_watermark(59_999);
//! assert_eq!(harness.take_lines("minutes"), [r#"{"account":"a","cents":750,"start":0}"#]);
//! harness.send(json!({"account": "a", "id": "p4", "cents": 1, "ts": 30_000})).unwrap();
//! assert_eq!(harness.take_lines("late"), [r#"{"id":"p4"}"#]);
//! harness.with_state("a", |account| assert_eq!(account.minutes.open().count(), 1));
//! ```
//!
//! The layout is an expression that may use `self`, so it may come from the stage's configuration: [`Window`] is
//! `Deserialize`. A UDF may have windows of several kinds, beside other states and timers.
//!
//! # Semantics
//!
//! They are those of Apache Flink's `WindowOperator` with event-time windows:
//!
//! - A window fires when the watermark has reached its last millisecond, `end - 1`.
//! - It is kept until the watermark reaches `end - 1` plus the allowed lateness, and fires again with each record that
//!   comes in that time.
//! - A record is late if all windows that it belongs to were dropped before it came. A session is looked at as it is
//!   after merging.
//! - Sessions of a key that overlap or touch are one; a record between two of them makes them one.
//! - A window that holds nothing does not fire.
//!
//! With several inputs a record is late by the watermark of its own input, whatever the others have come to. For sessions it
//! is late when that has reached its event time (plus the allowed lateness), whatever session is open, and sessions that only
//! touch (exactly the gap apart) stay two. Otherwise the result would depend on how the records of the inputs come among
//! each other.
//!
//! Results do not depend on how records are batched, and windows of different keys do not see each other.
//! If a handler refuses what a window fired at its end, that is a dead letter, and the window is dropped.
//!
//! # State
//!
//! Windows `minutes` are kept in the states `minutes` (open windows), `minutes_past` (windows kept for
//! late records) and, with [`Elements`], `minutes_elements`. `#[state(version = 2)]` is the version of all of
//! them. An open window costs about 12 bytes and its aggregate. A window that was opened under another layout still
//! fires at its own end.
//!
//! A key has few open windows, and each record reads and writes one: as a `value` they come and go with the batch. As map
//! entries they would cost two calls of the host per record, which more than doubled the work of the whole job with
//! one-minute windows. Windows that are past their end are many if much lateness is allowed, and records rarely
//! meet them: those are map entries.

mod aggregate;
mod config;
mod elements;
mod fired;
mod layout;
mod open;
mod span;
mod windows;

pub use self::aggregate::{Aggregate, Contents};
pub use self::elements::Elements;
pub use self::fired::{Added, Fired, Timing};
pub use self::layout::{Trigger, WINDOWS_PER_RECORD_MAX, Window};
pub use self::windows::Windows;
