//! A multiset of lines, told from others whatever their order.

use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use foldhash::quality::FixedState;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;
/// Two independent hashes make a chance agreement of different files negligible.
const SEEDS: [u64; 2] = [0x6d69_6c6c, 0x7374_7265];

/// A multiset of lines: how many, and sums of the hashes of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Lines that are not empty.
    pub count: u64,
    sums: [u64; 2],
}

impl Lines {
    /// Reads a file.
    pub fn of(path: &Path) -> Result<Self> {
        let failed = || format!("failed to read {}", path.display());
        let file = File::open(path).with_context(failed)?;
        let mut file = BufReader::with_capacity(READ_BYTES, file);
        let mut lines = Lines::default();
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line).with_context(failed)? > 0 {
            lines.add(line.trim_ascii_end());
            line.clear();
        }
        Ok(lines)
    }

    /// Adds a line without its end. An empty one is none.
    pub fn add(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        self.count += 1;
        for (sum, seed) in self.sums.iter_mut().zip(SEEDS) {
            *sum = sum.wrapping_add(FixedState::with_seed(seed).hash_one(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    fn lines(text: &[&str]) -> Lines {
        let mut lines = Lines::default();
        text.iter().for_each(|line| lines.add(line.as_bytes()));
        lines
    }

    #[test]
    fn order_does_not_matter_but_number_does() {
        assert_eq!(lines(&["a", "b", "b"]), lines(&["b", "a", "b"]));
        assert_ne!(lines(&["a", "b", "b"]), lines(&["a", "a", "b"]));
        assert_ne!(lines(&["a", "b"]), lines(&["a", "b", "b"]));
    }
}
