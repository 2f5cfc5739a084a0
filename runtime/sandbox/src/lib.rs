//! Where guest code runs: wasmtime, configured once, and the codec between payloads
//! and columns.
//!
//! A process makes one [`Sandbox`], compiles [`Module`]s with it and makes [`Instance`]s of
//! them; an instance is a [`Udf`](millstream_core::udf::Udf). The engine decodes payloads with
//! [`codec`], calls the instance with a batch and encodes what it emitted.
//!
//! Architecture invariants:
//! - Nothing a guest does can panic, hang or exhaust the host: code is bounded by fuel, memory and
//!   stack by limits, and everything that comes back is checked before anything looks at it.
//! - A guest sees no clock, no randomness, no file and no network but what its batch holds, so
//!   that the same call gives the same bytes again.
//! - What a guest did wrong is [`Fault::Trapped`](millstream_core::udf::Fault), what it refused is
//!   `Failed`, and what the host could not do is `Host`. The three are told apart here and never mixed.
//! - Only code that this process compiled, kept in its own cache folder, is ever loaded.

mod cache;
pub mod codec;
mod describe;
#[doc(hidden)]
pub mod effects;
mod engine;
mod error;
mod fault;
mod guest;
mod host;
mod imports;
mod instance;
mod interfaces;
mod limits;
mod module;
mod observer;
mod sandbox;
mod scope;
mod text;
mod wasi;
mod wire;

pub use error::{ModuleError, SandboxError};
pub use instance::Instance;
pub use limits::{Limits, MODULE_BYTES, MODULE_BYTES_MAX};
pub use module::Module;
pub use observer::{GuestObserver, LogLevel, Unobserved};
pub use sandbox::Sandbox;
