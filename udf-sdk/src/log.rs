//! Messages for the operator (`millstream logs`).
//!
//! ```no_run
//! # let (seen, limit) = (3, 2);
//! use millstream_udf::log;
//! log::warn!("{seen} open disputes, more than {limit}");
//! ```
//!
//! At most 100 messages and 64 KiB per call are kept. Payloads and keys do not belong in them. A
//! log line is not part of the result: a call that is rolled back may have logged.

pub use crate::{__debug as debug, __error as error, __info as info, __warn as warn};

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the author.
    Debug,
    /// Worth knowing.
    Info,
    /// Should be looked at.
    Warn,
    /// Someone must act.
    Error,
}

/// Writes a message; the macros of this module are shorter.
pub fn write(level: Level, message: std::fmt::Arguments<'_>) {
    match message.as_str() {
        Some(message) => crate::host::log_write(level, message),
        None => crate::host::log_write(level, &message.to_string()),
    }
}

/// Logs at the level `debug`.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Debug, ::core::format_args!($($message)+)) };
}

/// Logs at the level `info`.
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Info, ::core::format_args!($($message)+)) };
}

/// Logs at the level `warn`.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Warn, ::core::format_args!($($message)+)) };
}

/// Logs at the level `error`.
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Error, ::core::format_args!($($message)+)) };
}
