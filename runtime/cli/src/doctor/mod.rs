//! What `millstream doctor` looks at and how it judges.
//!
//! - `facts` is what was read, plain data.
//! - `gather` reads it from the server, the runtime and the file system.
//! - `checks` judges: pure functions from facts to findings.
//! - `finding` is one judgement, with what to do.

pub mod checks;
pub mod facts;
pub mod finding;
pub mod gather;

pub use finding::{Finding, Level};
