//! Compiling modules that nobody has vetted, where it can do no harm.
//!
//! A compiler cannot be interrupted, nor its memory bounded, within a process. So a node lets a process of its own
//! compile, which may be killed, and then loads the code from the folder that both share.

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::problem::Problem;

/// Compiles modules outside this process.
pub trait Compiler: fmt::Debug + Send + Sync {
    /// Puts the compiled code of a module into the folder from which the node's sandbox loads. Says why it could not: the
    /// module is no UDF, or compiling it took more than it may.
    fn compile(&self, wasm: Bytes) -> BoxFuture<'_, Result<(), Problem>>;
}
