//! Tests of a UDF without wasm and without a server.
//!
//! [`Harness`] plays the host: it takes the declared fields out of JSON records, calls the UDF
//! through the same columns as the component, applies what it did, moves the clocks and fires
//! timers. A plain `cargo test` covers the handlers and their declaration.
//!
//! ```
//! use millstream_udf::prelude::*;
//! use millstream_udf::testing::Harness;
//! use serde_json::json;
//!
//! #[derive(Input)]
//! struct Click<'a> {
//!     page: &'a str,
//! }
//!
//! #[derive(Output)]
//! struct Visits<'a> {
//!     page: &'a str,
//!     visits: i64,
//! }
//!
//! #[derive(States)]
//! struct Visitor {
//!     visits: Value<i64>,
//! }
//!
//! #[udf(version = "1.0.0", state = Visitor)]
//! fn count_visits(click: Click<'_>, visitor: &mut Visitor, out: &mut Emit<Visits<'_>>) {
//!     let visits = visitor.visits.get_or_default();
//!     *visits += 1;
//!     out.emit(Visits { page: click.page, visits: *visits });
//! }
//!
//! let mut harness = Harness::<CountVisits>::new().key_from("/visitor");
//! harness.send(json!({"visitor": "v1", "page": "/"})).unwrap();
//! harness.send(json!({"visitor": "v1", "page": "/shop"})).unwrap();
//! assert_eq!(harness.take_lines("output")[1], r#"{"page":"/shop","visits":2}"#);
//! harness.with_state("v1", |visitor| assert_eq!(visitor.visits.get(), Some(&2)));
//! ```

pub(crate) mod double;
mod extract;
mod harness;
mod record;
mod render;
mod store;
mod timers;

pub use harness::Harness;
pub use record::{Record, Refusal};
pub use render::float;
