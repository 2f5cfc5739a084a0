//! One validating pass over a JSON document that notes where the wanted values are.
//!
//! Written by hand because it is what the host spends most of a record's time on:
//! strings are searched eight bytes at a time, nothing is copied, and values that nobody
//! wants are only checked.

use super::error::DecodeError;
use super::paths::{NONE, Paths, head_of};
use super::text;

/// Most containers inside one another. The same as `serde_json`'s.
pub(super) const MAX_DEPTH: usize = 127;

/// What stands where a pointer leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    Null,
    True,
    False,
    /// A number without fraction and exponent.
    Integer,
    /// A number with either.
    Fraction,
    /// A string without escapes.
    Plain,
    /// A string with escapes.
    Escaped,
    Object,
    Array,
}

/// A value's place in the payload; for strings, what is between the quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
}

impl Found {
    pub const MISSING: Self = Self { kind: Kind::Missing, start: 0, end: 0 };

    /// Its text.
    #[inline]
    pub fn of<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        &payload[self.start as usize..self.end as usize]
    }
}

/// Notes in `found`, one per target of `paths`, where its value is in `payload`.
pub(super) fn scan(payload: &[u8], paths: &Paths, found: &mut [Found]) -> Result<(), DecodeError> {
    found.fill(Found::MISSING);
    run(payload, paths, found, 0)
}

/// Checks that `text` is a document.
pub(super) fn check(text: &[u8]) -> Result<(), DecodeError> {
    run(text, &Paths { nodes: Vec::new(), targets: 0 }, &mut [], NONE)
}

/// Whether all of `text` is a JSON number.
pub(super) fn is_number(text: &[u8]) -> bool {
    let paths = Paths { nodes: Vec::new(), targets: 0 };
    let mut scanner = Scanner { buf: text, at: 0, paths: &paths, found: &mut [] };
    scanner.number().is_ok() && scanner.at == text.len()
}

fn run(payload: &[u8], paths: &Paths, found: &mut [Found], root: u32) -> Result<(), DecodeError> {
    let mut scanner = Scanner { buf: payload, at: 0, paths, found };
    // Places are 32-bit numbers.
    if payload.len() > u32::MAX as usize {
        return Err(scanner.expected("a document of less than 4 GiB"));
    }
    scanner.space();
    scanner.value(root, 0)?;
    scanner.space();
    if scanner.at < payload.len() {
        return Err(scanner.expected("the end of the document"));
    }
    Ok(())
}

struct Scanner<'a, 'p> {
    buf: &'a [u8],
    at: usize,
    paths: &'p Paths,
    found: &'p mut [Found],
}

impl Scanner<'_, '_> {
    #[cold]
    fn expected(&self, expected: &'static str) -> DecodeError {
        DecodeError::Syntax { expected, offset: self.at }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.buf.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Any value; `node` is its place in the tree, or [`NONE`].
    #[inline]
    fn value(&mut self, node: u32, depth: usize) -> Result<(), DecodeError> {
        let start = self.at;
        let (kind, from, to) = match self.peek() {
            Some(b'"') => {
                let (escaped, from, to) = self.string()?;
                (if escaped { Kind::Escaped } else { Kind::Plain }, from, to)
            }
            Some(b'-' | b'0'..=b'9') => (self.number()?, start, self.at),
            Some(b'{') => {
                self.object(node, depth)?;
                (Kind::Object, start, self.at)
            }
            Some(b'[') => {
                self.array(node, depth)?;
                (Kind::Array, start, self.at)
            }
            Some(b't') => (self.literal(b"true", Kind::True)?, start, self.at),
            Some(b'f') => (self.literal(b"false", Kind::False)?, start, self.at),
            Some(b'n') => (self.literal(b"null", Kind::Null)?, start, self.at),
            _ => return Err(self.expected("a value")),
        };
        if node != NONE {
            let target = self.paths.nodes[node as usize].target;
            if target != NONE {
                self.found[target as usize] = Found { kind, start: from as u32, end: to as u32 };
            }
        }
        Ok(())
    }

    fn enter(&mut self, node: u32, depth: usize) -> Result<(), DecodeError> {
        if depth == MAX_DEPTH {
            return Err(DecodeError::Depth { limit: MAX_DEPTH, offset: self.at });
        }
        if node != NONE {
            self.forget_below(node);
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// The last of duplicate keys wins, also over what was found below an earlier one.
    #[inline]
    fn forget_below(&mut self, node: u32) {
        let below = &self.paths.nodes[node as usize].below;
        self.found[below.start as usize..below.end as usize].fill(Found::MISSING);
    }

    fn object(&mut self, node: u32, depth: usize) -> Result<(), DecodeError> {
        self.enter(node, depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key"));
            }
            let (escaped, from, to) = self.string()?;
            let child = if node == NONE { NONE } else { self.member(node, escaped, from, to) };
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.expected("a colon"));
            }
            self.at += 1;
            self.space();
            if child != NONE {
                self.forget_below(child);
            }
            self.value(child, depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("a comma or }")),
            }
            self.space();
        }
    }

    #[inline]
    fn member(&self, node: u32, escaped: bool, from: usize, to: usize) -> u32 {
        let node = &self.paths.nodes[node as usize];
        let name = &self.buf[from..to];
        if escaped {
            return member_escaped(node, name);
        }
        // The quote, the colon and a value follow a key, so eight bytes are nearly always there.
        let head = match self.buf.get(from..from + 8) {
            Some(word) if name.len() >= 8 => read_word(word),
            Some(word) => read_word(word) & ((1 << (8 * name.len())) - 1),
            None => head_of(name),
        };
        node.member(head, name)
    }

    fn array(&mut self, node: u32, depth: usize) -> Result<(), DecodeError> {
        self.enter(node, depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        let mut index = 0;
        loop {
            let child =
                if node == NONE { NONE } else { self.paths.nodes[node as usize].element(index) };
            self.value(child, depth + 1)?;
            index += 1;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("a comma or ]")),
            }
            self.space();
        }
    }

    fn literal(&mut self, word: &'static [u8], kind: Kind) -> Result<Kind, DecodeError> {
        if self.buf[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(kind)
        } else {
            Err(self.expected("true, false or null"))
        }
    }

    #[inline]
    fn digits(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    #[inline]
    fn number(&mut self) -> Result<Kind, DecodeError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut kind = Kind::Integer;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            kind = Kind::Fraction;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            kind = Kind::Fraction;
        }
        Ok(kind)
    }

    /// A string from its opening quote: whether it has escapes, and the range between the quotes.
    #[inline]
    fn string(&mut self) -> Result<(bool, usize, usize), DecodeError> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        let mut high = 0;
        loop {
            let special = loop {
                match self.buf.get(self.at..self.at + 8) {
                    Some(word) => {
                        let word = read_word(word);
                        let special = specials(word);
                        if special == 0 {
                            high |= word;
                            self.at += 8;
                            continue;
                        }
                        let n = special.trailing_zeros() / 8;
                        high |= word & ((1 << (8 * n)) - 1);
                        self.at += n as usize;
                        break self.buf[self.at];
                    }
                    None => match self.peek() {
                        None => return Err(self.expected("the end of a string")),
                        Some(b @ (b'"' | b'\\' | 0..0x20)) => break b,
                        Some(b) => {
                            high |= u64::from(b);
                            self.at += 1;
                        }
                    },
                }
            };
            match special {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.expected("no control character in a string")),
            }
        }
        let end = self.at;
        if high & HIGHS != 0 && std::str::from_utf8(&self.buf[start..end]).is_err() {
            return Err(self.expected("UTF-8 in the string that ends here"));
        }
        self.at += 1;
        Ok((escaped, start, end))
    }

    #[cold]
    fn escape(&mut self) -> Result<(), DecodeError> {
        let length = match self.buf.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => match self.buf.get(self.at + 2..self.at + 6) {
                Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => 6,
                _ => return Err(self.expected("four hexadecimal digits behind \\u")),
            },
            _ => return Err(self.expected("an escape sequence")),
        };
        self.at += length;
        Ok(())
    }
}

#[cold]
fn member_escaped(node: &super::paths::Node, name: &[u8]) -> u32 {
    let mut plain = Vec::new();
    match text::unescape(name, &mut plain) {
        Ok(()) => node.member(head_of(&plain), &plain),
        // No pointer names a lone surrogate.
        Err(_) => NONE,
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

#[inline]
fn read_word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// Marks bytes that are a quote, a backslash or a control character with their highest bit. The
/// lowest mark is exact; borrows make wrong marks above it only.
#[inline]
fn specials(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let slashes = slash.wrapping_sub(ONES) & !slash;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | slashes | controls) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(document: &str, pointer: &str) -> Option<(Kind, String)> {
        let (paths, targets) = Paths::new(&[pointer]).unwrap();
        let mut found = vec![Found::MISSING; paths.targets];
        scan(document.as_bytes(), &paths, &mut found).unwrap();
        let at = found[targets[0] as usize];
        (at.kind != Kind::Missing)
            .then(|| (at.kind, String::from_utf8(at.of(document.as_bytes()).to_vec()).unwrap()))
    }

    #[test]
    fn finds_nested_values_and_elements() {
        let document =
            r#" {"a": {"b" : [1, {"c":"x"}, -2.5e3]}, "\u0061b":"q\"q", "long-key-123": null } "#;
        assert_eq!(found(document, "/a/b/0"), Some((Kind::Integer, "1".into())));
        assert_eq!(found(document, "/a/b/1/c"), Some((Kind::Plain, "x".into())));
        assert_eq!(found(document, "/a/b/2"), Some((Kind::Fraction, "-2.5e3".into())));
        assert_eq!(found(document, "/a/b/3"), None);
        assert_eq!(found(document, "/ab"), Some((Kind::Escaped, r#"q\"q"#.into())));
        assert_eq!(found(document, "/long-key-123"), Some((Kind::Null, "null".into())));
        assert_eq!(found(document, "/a/b/1"), Some((Kind::Object, r#"{"c":"x"}"#.into())));
    }

    #[test]
    fn the_last_duplicate_wins_with_all_below_it() {
        assert_eq!(found(r#"{"a":1,"a":2}"#, "/a"), Some((Kind::Integer, "2".into())));
        assert_eq!(found(r#"{"a":{"b":1},"a":{}}"#, "/a/b"), None);
        assert_eq!(found(r#"{"a":{"b":1},"a":7}"#, "/a/b"), None);
    }

    #[test]
    fn depth_is_limited() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(check(nested(127).as_bytes()).is_ok());
        assert!(matches!(
            check(nested(128).as_bytes()),
            Err(DecodeError::Depth { limit: 127, .. })
        ));
    }

    #[test]
    fn specials_are_exact_for_every_byte_and_place() {
        for b in 0..=255u8 {
            for place in 0..8 {
                let mut bytes = [b'a'; 8];
                bytes[place] = b;
                let special = specials(u64::from_le_bytes(bytes));
                if matches!(b, b'"' | b'\\' | 0..0x20) {
                    assert_eq!(special.trailing_zeros() / 8, place as u32, "{b}");
                } else {
                    assert_eq!(special, 0, "{b}");
                }
            }
        }
    }
}
