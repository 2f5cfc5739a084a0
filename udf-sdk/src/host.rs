//! The imports: the component's on wasm, the test harness's double elsewhere.

#[cfg(target_arch = "wasm32")]
pub(crate) use self::component::*;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::double::*;

#[cfg(target_arch = "wasm32")]
mod component {
    use crate::bindings::millstream::udf::{config, log, metrics};
    use crate::log::Level;

    pub(crate) use crate::bindings::millstream::udf::state::{
        list_append, list_clear, list_length, list_read, list_set, map_clear, map_delete, map_get,
        map_put, map_scan,
    };

    pub(crate) use config::get as config;
    pub(crate) use metrics::{counter_add, histogram_record};

    pub(crate) fn log_write(level: Level, message: &str) {
        let level = match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::write(level, message);
    }
}
