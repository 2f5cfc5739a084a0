//! Joins: records of several inputs with the same key, brought together in event time.
//!
//! A join is a field of the state, like [`Windows`](crate::Windows). The handlers of the inputs put records in, and a
//! handler with `#[join(field = ...)]` gets what belongs together:
//!
//! ```
//! use std::time::Duration;
//!
//! use millstream_udf::prelude::*;
//!
//! /// Records are kept, so the types own what they hold.
//! #[derive(Clone, Input, Serialize, Deserialize)]
//! struct Payment {
//!     cents: i64,
//! }
//!
//! #[derive(Clone, Input, Serialize, Deserialize)]
//! struct Settlement {
//!     fee: i64,
//! }
//!
//! #[derive(States)]
//! struct Transfer {
//!     settlement: IntervalJoin<Payment, Settlement>,
//! }
//!
//! #[derive(Output)]
//! struct Settled {
//!     cents: i64,
//!     after: i64,
//! }
//!
//! #[derive(Output)]
//! struct Open {
//!     cents: i64,
//! }
//!
//! #[derive(Outputs)]
//! struct Out {
//!     settled: Emit<Settled>,
//!     open: Emit<Open>,
//!     late: Emit<Open>,
//! }
//!
//! #[derive(Default)]
//! struct Settling;
//!
//! #[udf(version = "1.0.0", state = Transfer, outputs = Out)]
//! impl Settling {
//!     #[input]
//!     fn payments(&self, payment: Payment, transfer: &mut Transfer, out: &mut Out) {
//!         if let Some(Payment { cents }) = transfer.settlement.left(payment) {
//!             out.late.emit(Open { cents });
//!         }
//!     }
//!
//!     #[input]
//!     fn settlements(&self, settlement: Settlement, transfer: &mut Transfer) {
//!         if transfer.settlement.right(settlement).is_some() {
//!             log::warn!("a settlement came too late");
//!         }
//!     }
//!
//!     #[join(settlement = Interval::within(Duration::from_secs(60)).left_outer())]
//!     fn settled(&self, joined: Joined<Payment, Settlement>, out: &mut Out) {
//!         match joined {
//!             Joined::Pair { left, left_time, right, right_time } => out
//!                 .settled
//!                 .emit(Settled { cents: left.cents - right.fee, after: right_time - left_time }),
//!             Joined::Left { left, .. } => out.open.emit(Open { cents: left.cents }),
//!             Joined::Right { .. } => {}
//!         }
//!     }
//! }
//!
//! use millstream_udf::testing::Harness;
//! use serde_json::json;
//!
//! let mut harness = Harness::<Settling>::new().key_from("/id").event_time_from("/ts");
//! harness.send_to("settlements", json!({"id": "a", "fee": 1, "ts": 5_000})).unwrap();
//! harness.send_to("payments", json!({"id": "a", "cents": 500, "ts": 2_000})).unwrap();
//! harness.send_to("payments", json!({"id": "b", "cents": 700, "ts": 3_000})).unwrap();
//! harness.end_of_input();
//! assert_eq!(harness.take_lines("settled"), [r#"{"after":3000,"cents":499}"#]);
//! assert_eq!(harness.take_lines("open"), [r#"{"cents":700}"#]);
//! ```
//!
//! # Order
//!
//! Records wait until the watermark has reached their event time, and meet in the order of event time. The operator's
//! watermark is the least of the inputs', so by then both have sent all they had for that time: what is given, and in which
//! order for a key, depends neither on batches nor on how the records of the inputs came among each other. What is emitted has
//! the event time at which it was complete. An input that falls silent holds the join up.
//!
//! A record is late if the watermark of its own input has reached its event time; the join gives it back. A slow
//! input does not make a fast one's records any later.
//!
//! # Interval join
//!
//! [`IntervalJoin`]: of two records one lies in an [`Interval`] of the other, as in Apache Flink's `intervalJoin`
//! with `between`, `lowerBoundExclusive` and `upperBoundExclusive`; the time of a pair is that of its later record. Flink
//! has inner joins only. [`Interval::left_outer`] and [`Interval::right_outer`] also give what has found nothing when
//! the watermark has passed its interval, at the time of the interval's end.
//!
//! All that a key keeps goes when the watermark has passed its interval. If the handler refuses what was joined at a
//! time, that is a dead letter, and the records themselves still go at their time.
//!
//! # Windowed join
//!
//! [`WindowJoin`]: the records of both inputs that lie in the same [`Window`](crate::Window), tumbling, sliding or
//! session. It takes the attribute of windows, `#[window(field = Window::...)]`, and gives a [`JoinedWindow`] at the
//! window's end: both sides' records, as Flink's `coGroup`, or [each pair](JoinedWindow::pairs), as its `join`.
//!
//! # Temporal join
//!
//! [`TemporalJoin`] with `#[join(field = AsOf)]`: one input is a table, a row per key, whose versions are valid from their event
//! time on; each record of the other gets the one that was valid at its own. That is Flink's `FOR SYSTEM_TIME AS OF`
//! in event time. [`Versioned::version`] is empty where there was no row: an inner join leaves those out.
//!
//! # Broadcast tables
//!
//! If the table has another key than the records, such as rates by currency or rules for all, it goes to every partition:
//! [`BroadcastTable`] is a field of the broadcast state, changed in a handler with `#[input(broadcast)]`. The records wait in an
//! [`Ordered`] field until the watermark has reached their event time, and its handler looks up the versions
//! of that time:
//!
//! ```
//! use millstream_udf::prelude::*;
//!
//! #[derive(Input, Serialize, Deserialize)]
//! struct Trade {
//!     currency: String,
//!     cents: i64,
//! }
//!
//! #[derive(Input)]
//! struct Rate<'a> {
//!     currency: &'a str,
//!     rate: f64,
//! }
//!
//! #[derive(States)]
//! struct Account {
//!     trades: Ordered<Trade>,
//! }
//!
//! #[derive(States)]
//! struct Rates {
//!     by_currency: BroadcastTable<String, f64>,
//! }
//!
//! #[derive(Output)]
//! struct Valued {
//!     euros: f64,
//! }
//!
//! #[derive(Default)]
//! struct Valuing;
//!
//! #[udf(version = "1.0.0", state = Account, broadcast = Rates, outputs = Emit<Valued>)]
//! impl Valuing {
//!     #[input]
//!     fn trades(&self, trade: Trade, account: &mut Account) {
//!         if account.trades.push(trade).is_some() {
//!             log::warn!("a trade came too late");
//!         }
//!     }
//!
//!     #[input(broadcast)]
//!     fn rates(&self, rate: Rate<'_>, rates: &mut Rates, ctx: &mut BroadcastContext<'_>) {
//!         if rates.by_currency.set(rate.currency, rate.rate, ctx).is_some() {
//!             log::warn!("a rate came too late");
//!         }
//!     }
//!
//!     #[join(trades = ByEventTime)]
//!     fn valued(&self, trade: Trade, rates: &Rates, out: &mut Emit<Valued>, ctx: &FiredContext<'_>) {
//!         if let Some(rate) = rates.by_currency.at(&trade.currency, ctx.time()) {
//!             out.emit(Valued { euros: trade.cents as f64 / 100.0 * *rate });
//!         }
//!     }
//! }
//!
//! use millstream_udf::testing::Harness;
//! use serde_json::json;
//!
//! let mut harness = Harness::<Valuing>::new().key_from("/account").event_time_from("/ts");
//! harness.send_to("trades", json!({"account": "a", "currency": "USD", "cents": 1000, "ts": 20})).unwrap();
//! harness.send_to("rates", json!({"currency": "USD", "rate": 0.9, "ts": 21})).unwrap();
//! harness.send_to("rates", json!({"currency": "USD", "rate": 0.8, "ts": 10})).unwrap();
//! harness.end_of_input();
//! assert_eq!(harness.take_lines("output"), [r#"{"euros":8.0}"#]);
//! ```
//!
//! A handler of broadcast records writes the broadcast state and nothing else; all other handlers take it as `&Rates` and read it.
//! Every partition does the same with a broadcast record; what it emits, and its dead letter, count once.
//!
//! # Limits
//!
//! What a record meets comes out of one call: at most 100 items per timer on average over a call, unless the operator allows
//! more. A key that has thousands of records in an interval of each other is better served by a [window](crate::window).

mod half;
mod interval;
mod interval_join;
mod ordered;
mod table;
mod temporal;
mod window_join;

pub use self::interval::{Interval, Joined};
pub use self::interval_join::IntervalJoin;
pub use self::ordered::{ByEventTime, Ordered};
pub use self::table::{BroadcastTable, Version};
pub use self::temporal::{AsOf, TemporalJoin, Versioned};
pub use self::window_join::{JoinedWindow, WindowJoin};

/// What a join says that is used where no UDF drives it.
const NOT_DRIVEN: &str =
    "a join takes records while a handler of its UDF runs, and at no other time";
