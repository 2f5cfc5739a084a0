//! The SDK as its users see it: every way to write a UDF, run in the harness; and the compiler's words for the
//! common mistakes.

mod batches;
mod collections;
mod configuration;
mod documents;
mod evolution;
mod fields;
mod functions;
mod inputs;
mod joins;
mod mistakes;
mod patterns;
mod timers;
mod ttl;
mod windows;
