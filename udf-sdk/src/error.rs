//! The error of a handler: a message for the operator.

use std::fmt;

/// Why a record (or timer) is refused. The record becomes a dead letter with this message, or
/// stops the pipeline, as the manifest says; nothing that the handler did for it counts.
///
/// Every [`std::error::Error`] converts with `?`; its chain of sources becomes one line. Must not
/// hold secrets: operators read it. At most 4 KiB are kept.
pub struct Error {
    message: String,
}

/// A [`std::result::Result`] with [`Error`], for handlers.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a message.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string() }
    }

    /// The same error with what was being done in front of it: `context: message`.
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self { message: format!("{context}: {}", self.message) }
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    #[doc(hidden)]
    #[cold]
    pub fn at(self, index: usize) -> crate::frame::Failure {
        crate::frame::Failure { index: index as u32, message: self.message }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// `Error` itself is no `std::error::Error`: that is what makes this blanket conversion possible.
impl<E: std::error::Error> From<E> for Error {
    #[cold]
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { message }
    }
}

/// What a handler may return: nothing, or a `Result` of nothing.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a handler returns `Result<()>`, not `{Self}`",
    label = "this is what it returns",
    note = "emit items through the `outputs` argument; only a UDF without one may return them"
)]
pub trait Outcome {
    fn outcome(self) -> Result<()>;
}

impl Outcome for () {
    #[inline]
    fn outcome(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<Error>> Outcome for std::result::Result<(), E> {
    #[inline]
    fn outcome(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// Returns early with an [`Error`] made from a format string.
#[macro_export]
macro_rules! bail {
    ($($message:tt)+) => {
        return ::core::result::Result::Err(::core::convert::Into::into($crate::Error::new(::core::format_args!($($message)+))))
    };
}

/// Returns early with an [`Error`] unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::bail!($($message)+);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn std_errors_convert_and_context_comes_first() {
        fn fails() -> Result<i32> {
            Ok("x1".parse::<i32>()?)
        }
        let error = fails().unwrap_err().context("amount");
        assert_eq!(error.message(), "amount: invalid digit found in string");
    }

    #[test]
    fn bail_and_ensure_format() {
        fn check(n: i32) -> Result {
            ensure!(n < 3, "{n} is not below 3");
            bail!("always {n}")
        }
        assert_eq!(check(3).unwrap_err().to_string(), "3 is not below 3");
        assert_eq!(check(1).unwrap_err().to_string(), "always 1");
    }
}
