//! Reads the lines of a file.

use std::io::Read;

use bytes::{Bytes, BytesMut};

use crate::error::EngineError;

/// Bytes read from the input at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// Lines of an input, without their ends and without the empty ones.
pub struct Lines {
    input: Box<dyn Read + Send>,
    /// Read and not yet part of `block`.
    rest: BytesMut,
    /// Whole lines; those before `at` are passed on.
    block: Bytes,
    at: usize,
    ended: bool,
}

impl Lines {
    pub fn new(input: Box<dyn Read + Send>) -> Self {
        Self { input, rest: BytesMut::new(), block: Bytes::new(), at: 0, ended: false }
    }

    /// The next line; `None`: the input has ended.
    pub fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        loop {
            while self.at < self.block.len() {
                let left = &self.block[self.at..];
                let end = memchr::memchr(b'\n', left).unwrap_or(left.len());
                let line = left[..end].strip_suffix(b"\r").unwrap_or(&left[..end]);
                let line = self.at..self.at + line.len();
                self.at += end + 1;
                if !line.is_empty() {
                    return Ok(Some(self.block.slice(line)));
                }
            }
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Reads the next block behind what is left.
    fn fill(&mut self) -> Result<(), EngineError> {
        let from = self.rest.len();
        self.rest.resize(from + BLOCK_BYTES, 0);
        let mut read = 0;
        while read < BLOCK_BYTES && !self.ended {
            match self.input.read(&mut self.rest[from + read..]) {
                Ok(0) => self.ended = true,
                Ok(n) => read += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(EngineError::Io { what: "reading the input", cause }),
            }
        }
        self.rest.truncate(from + read);
        let whole = match self.ended {
            true => self.rest.len(),
            false => memchr::memrchr(b'\n', &self.rest).map_or(0, |at| at + 1),
        };
        (self.block, self.at) = (self.rest.split_to(whole).freeze(), 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut lines = Lines::new(Box::new(Cursor::new(text.as_bytes().to_vec())));
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(String::from_utf8(line.to_vec()).unwrap());
        }
        all
    }

    #[test]
    fn ends_of_both_kinds_and_none_at_the_end() {
        assert_eq!(lines("a\r\n\n\r\nb\nc"), ["a", "b", "c"]);
        assert_eq!(lines(""), [""; 0]);
        assert_eq!(lines("\n"), [""; 0]);
    }

    #[test]
    fn lines_across_blocks() {
        let long = "x".repeat(BLOCK_BYTES - 1);
        assert_eq!(lines(&format!("{long}yz\n{long}")), [format!("{long}yz"), long]);
    }
}
