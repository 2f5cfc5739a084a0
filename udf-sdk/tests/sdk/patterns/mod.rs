//! Patterns: the results of Apache Flink, a brute-force model, and what a key keeps.

mod flink;
mod search;
