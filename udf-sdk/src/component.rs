//! The component: one instance of the UDF, made at the first call, and the panic hook.

use std::sync::OnceLock;

use crate::bindings::exports::millstream::udf::guest;
use crate::call::Udf;
use crate::describe::Description;
use crate::frame::{Batch, Effects, Failure, TimerBatch};
use crate::log::{Level, write};

pub use guest::Guest;

/// The instance of a UDF.
pub struct Instance<U>(OnceLock<U>);

impl<U: Udf> Instance<U> {
    /// No instance yet.
    #[allow(
        clippy::new_without_default,
        reason = "made in a static by the generated export, never by hand"
    )]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The exported function of this name. The host calls it first, so it installs the panic hook.
    pub fn describe(&self) -> Description {
        report_panics();
        U::description()
    }

    /// The exported function of this name.
    pub fn process(&self, batch: Batch) -> Result<Effects, Failure> {
        self.get().process_batch(batch)
    }

    /// The exported function of this name.
    pub fn on_timer(&self, batch: TimerBatch) -> Result<Effects, Failure> {
        self.get().fire_timers(batch)
    }

    #[inline]
    fn get(&self) -> &U {
        match self.0.get() {
            Some(udf) => udf,
            None => self.create(),
        }
    }

    #[cold]
    fn create(&self) -> &U {
        report_panics();
        self.0.get_or_init(|| {
            let config = if U::CONFIGURED { Some(crate::host::config()) } else { None };
            U::create(config.as_deref()).unwrap_or_else(|error| panic!("{error}"))
        })
    }
}

/// Writes a panic's message and place to the log before the trap, so that the host can attach it.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| match (panic.payload_as_str(), panic.location()) {
        (Some(message), Some(location)) => {
            write(Level::Error, format_args!("panicked at {location}: {message}"))
        }
        (_, location) => write(Level::Error, format_args!("panicked at {location:?}")),
    }));
}
