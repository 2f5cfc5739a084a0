//! The guest SDK: what a UDF is written with, and the harness it is tested with.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

// The generated code names this crate from the outside, also when it is in here.
extern crate self as millstream_udf;

mod append;
#[cfg(doctest)]
mod book;
mod call;
mod context;
mod decimal;
#[doc(hidden)]
pub mod describe;
pub mod duration;
mod error;
mod fires;
mod frame;
mod host;
mod input;
pub mod join;
mod json;
pub mod log;
mod metrics;
mod output;
pub mod pattern;
mod random;
mod read;
mod state;
mod timer;
pub mod window;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(not(target_arch = "wasm32"))]
mod vectors;

pub use millstream_udf_macros::{Input, Output, Outputs, States, udf};

pub use call::Udf;
pub use context::{BroadcastContext, Context, TimerContext};
pub use decimal::Decimal;
pub use error::{Error, Result};
pub use fires::FiredContext;
pub use input::Payload;
pub use join::{
    AsOf, BroadcastTable, ByEventTime, Interval, IntervalJoin, Joined, JoinedWindow, Ordered,
    TemporalJoin, Versioned, WindowJoin,
};
pub use json::{Json, RawJson};
pub use metrics::Metrics;
pub use output::Emit;
pub use random::Random;
pub use state::{BroadcastMap, BroadcastValue, List, Map, MapKey, Value, decode_state};
pub use timer::{Clock, EventTime, ProcessingTime, Timer};
pub use window::{Aggregate, Elements, Fired, Window, Windows};

/// The plain data of the contract, for tests that work below the typed level.
pub mod contract {
    pub use crate::describe::*;
    pub use crate::frame::*;
}

/// All that a UDF usually needs.
pub mod prelude {
    pub use crate::{
        Aggregate, AsOf, BroadcastContext, BroadcastMap, BroadcastTable, BroadcastValue,
        ByEventTime, Context, Decimal, Elements, Emit, Error, Fired, FiredContext, Input, Interval,
        IntervalJoin, Joined, JoinedWindow, Json, List, Map, Metrics, Ordered, Output, Outputs,
        Payload, Random, RawJson, Result, States, TemporalJoin, TimerContext, Value, Versioned,
        Window, WindowJoin, Windows, bail, decode_state, ensure, log, udf,
    };
    pub use serde::{Deserialize, Serialize};
}

/// For generated code only; nothing here is stable.
#[doc(hidden)]
pub mod __private {
    pub use crate::append::{AppendField, Builder};
    pub use crate::call::{configuration, on_timer, process, process_broadcast, undeclared};
    pub use crate::context::{Records, Timers};
    pub use crate::describe::{
        self, Capability, Description, FieldSource, FieldType, InputField, OutputField, StateKind,
        TimeDomain,
    };
    pub use crate::error::Outcome;
    pub use crate::fires::{Driver, Fires, FiresBy, prepare};
    pub use crate::frame::{Batch, Column, Effects, Emitted, Failure, TimerBatch, Written};
    pub use crate::input::Input;
    pub use crate::output::{Output, Outputs};
    pub use crate::read::ReadField;
    pub use crate::state::{Layout, Migrates, Now, Opening, StateField, States};

    #[cfg(target_arch = "wasm32")]
    pub use crate::bindings;
    #[cfg(target_arch = "wasm32")]
    pub use crate::component::{Guest, Instance};
    #[cfg(target_arch = "wasm32")]
    pub use wit_bindgen::rt as wit_bindgen_rt;
}
