//! The sandbox with real components: those of `tests/guests`.

mod calls;
mod codec;
mod contract;
mod faults;
mod hostile;
mod imports;
mod modules;
mod support;
