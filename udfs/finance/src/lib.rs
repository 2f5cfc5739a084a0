//! What the banking UDFs share: money in minor units of ISO 4217, exact decimals, rounding rules, splitting an amount
//! without losing a cent, values that fade, limits, charts and calendars. Integers only: the same bits natively and
//! in the sandbox.
//!
//! | module | what is there |
//! |---|---|
//! | [`currency`] | codes and minor units of ISO 4217 |
//! | [`money`] | an amount with its currency; conversion by a rate |
//! | [`rounding`] | modes of rounding; `a * b / c` in 128 bits, rounded once |
//! | [`exact`] | decimal text to units and back; numbers in a configuration and in JSON |
//! | [`allocation`] | the method of the largest remainder |
//! | [`limits`] | limits with hysteresis: raised above, cleared lower |
//! | [`fading`] | exponential decay, and counters of events in any order |
//! | [`charts`] | control charts: EWMA and CUSUM in fixed point |
//! | [`calendar`] | dates, business days, conventions; weekends and holidays from the configuration |
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod allocation;
pub mod calendar;
pub mod charts;
pub mod currency;
pub mod exact;
pub mod fading;
pub mod limits;
pub mod money;
pub mod rounding;

pub use allocation::allocate;
pub use calendar::Calendar;
pub use currency::Currency;
pub use exact::{Exact, ExactError};
pub use money::{Money, MoneyError};
pub use rounding::{Rounding, divide, mul_div};
