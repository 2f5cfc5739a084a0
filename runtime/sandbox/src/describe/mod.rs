//! What a UDF says of itself, and whether it may say so.

mod check;
pub(crate) mod wire;

pub(crate) use check::check;
