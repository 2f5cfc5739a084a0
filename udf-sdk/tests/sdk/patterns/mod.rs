//! Patterns: the results of Apache Flink, a brute-force model with every skip strategy, and what a key keeps.

mod brute;
mod flink;
mod keeping;
mod search;
mod skips;
