//! Patterns: the results of Apache Flink, a brute-force model, and what a key keeps.

mod brute;
mod flink;
mod keeping;
mod search;
