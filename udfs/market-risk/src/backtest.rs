//! The zones of the Basel Committee's backtesting framework: *Supervisory framework for the use of "backtesting" in conjunction with the
//! internal models approach to market risk capital requirements* (January 1996), table 2; today MAR32.

use finance::Exact;

/// The level of confidence that the table is made for, in 1/10000.
pub const LEVEL: i64 = 9_900;

/// What a number of exceptions in 250 days means at 99 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// `green`, `yellow` or `red`.
    pub name: &'static str,
    /// What is added to the multiplication factor of the capital requirement, which is 3 in 1996.
    pub plus: Exact,
}

/// The zone of so many exceptions in 250 days.
pub fn zone(exceptions: usize) -> Zone {
    let (name, hundredths) = match exceptions {
        0..=4 => ("green", 0),
        5 => ("yellow", 40),
        6 => ("yellow", 50),
        7 => ("yellow", 65),
        8 => ("yellow", 75),
        9 => ("yellow", 85),
        _ => ("red", 100),
    };
    Zone { name, plus: Exact::new(hundredths, 2) }
}
