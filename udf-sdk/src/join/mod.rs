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
//! # Limits
//!
//! What a record meets comes out of one call: at most 100 items per timer on average over a call, unless the operator allows
//! more. A key that has thousands of records in an interval of each other is better served by a [window](crate::window).

mod half;
mod interval;
mod interval_join;

pub use self::interval::{Interval, Joined};
pub use self::interval_join::IntervalJoin;
