//! One validating pass over a JSON document that notes where the wanted values are.
//!
//! Written by hand because it is what the host spends most of a record's time on. Strings are
//! searched and digits read eight bytes at a time, nothing is copied, values that nobody wants
//! are only checked, and an object's keys are first compared with those of the record before: most
//! streams hold one kind of record, written by one program.

use super::error::DecodeError;
use super::number::Digits;
use super::paths::{NONE, NOTHING, Paths, head_of};
use super::text::{self, HIGHS, specials};

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
    /// Of a number: what was read on the way.
    pub digits: Digits,
}

impl Found {
    pub const MISSING: Self = Self { kind: Kind::Missing, start: 0, end: 0, digits: Digits::NONE };

    /// Its text.
    #[inline]
    pub fn of<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        &payload[self.start as usize..self.end as usize]
    }
}

/// Notes in `found`, one per target of `paths`, where its value is in `payload`.
pub(super) fn scan(
    payload: &[u8],
    paths: &Paths,
    habits: &mut Habits,
    found: &mut [Found],
) -> Result<(), DecodeError> {
    found.fill(Found::MISSING);
    run(payload, paths, habits, found, 0)
}

/// Checks that `text` is a document.
pub(super) fn check(text: &[u8]) -> Result<(), DecodeError> {
    run(text, &NOTHING, &mut Habits::default(), &mut [], NONE)
}

/// Whether all of `text` is a JSON number, and its digits.
pub(super) fn number(text: &[u8]) -> Option<Digits> {
    let mut habits = Habits::default();
    let mut scanner = Scanner::new(text, &NOTHING, &mut habits, &mut []);
    match scanner.number(0) {
        Ok((end, _, digits)) if end == text.len() => Some(digits),
        _ => None,
    }
}

fn run(
    payload: &[u8],
    paths: &Paths,
    habits: &mut Habits,
    found: &mut [Found],
    root: u32,
) -> Result<(), DecodeError> {
    let mut scanner = Scanner::new(payload, paths, habits, found);
    scanner.document(root).map_err(|Failed| scanner.failure)
}

/// The keys of the records before, by their place in their object. A key that is here in its place
/// need not be searched for its end nor looked up.
#[derive(Debug, Default)]
pub(super) struct Habits {
    /// Per node of the paths, per member of the object there.
    nodes: Vec<Vec<Habit>>,
}

/// A key with its quotes and colon, and the child it leads to.
#[derive(Debug, Default)]
struct Habit {
    /// The text in words, with zeros behind it.
    words: [u64; HABIT_WORDS],
    /// Ones where the last word that is used has text.
    last_mask: u64,
    /// Words that are used; none in a place that has no habit yet.
    used: usize,
    /// Bytes of the text.
    length: usize,
    child: u32,
}

/// Members of an object that become habits.
const HABITS: usize = 64;
/// Words of a key that does.
const HABIT_WORDS: usize = 4;

/// Something is wrong; the scanner knows what. Without content, so that results stay in registers.
struct Failed;

type Scanned<T> = Result<T, Failed>;

struct Scanner<'a, 'p> {
    buf: &'a [u8],
    paths: &'p Paths,
    habits: &'p mut Habits,
    found: &'p mut [Found],
    failure: DecodeError,
}

impl<'a, 'p> Scanner<'a, 'p> {
    fn new(
        buf: &'a [u8],
        paths: &'p Paths,
        habits: &'p mut Habits,
        found: &'p mut [Found],
    ) -> Self {
        let failure = DecodeError::Syntax { expected: "", offset: 0 };
        Self { buf, paths, habits, found, failure }
    }

    fn document(&mut self, root: u32) -> Scanned<()> {
        // Places are 32-bit numbers.
        if self.buf.len() > u32::MAX as usize {
            return self.fail("a document of less than 4 GiB", 0);
        }
        let at = self.value(self.space(0), root, 0)?;
        let at = self.space(at);
        if at < self.buf.len() { self.fail("the end of the document", at) } else { Ok(()) }
    }

    #[cold]
    fn fail<T>(&mut self, expected: &'static str, offset: usize) -> Scanned<T> {
        self.failure = DecodeError::Syntax { expected, offset };
        Err(Failed)
    }

    /// The byte there, or zero behind the end: nothing that is looked for is zero.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.buf.get(at).copied().unwrap_or(0)
    }

    /// The eight bytes there, little-endian, unless the end is nearer.
    #[inline]
    fn word(&self, at: usize) -> Option<u64> {
        let bytes = self.buf.get(at..at + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    #[inline]
    fn space(&self, mut at: usize) -> usize {
        while let b' ' | b'\n' | b'\t' | b'\r' = self.byte(at) {
            at += 1;
        }
        at
    }

    /// Any value; `node` is its place in the tree, or [`NONE`]. Returns where it ends.
    #[inline]
    fn value(&mut self, at: usize, node: u32, depth: usize) -> Scanned<usize> {
        let mut found = Found { start: at as u32, ..Found::MISSING };
        let end = match self.byte(at) {
            b'"' => {
                let (end, escaped) = self.string(at + 1)?;
                found.kind = if escaped { Kind::Escaped } else { Kind::Plain };
                found.start = at as u32 + 1;
                found.end = end as u32;
                self.note(node, found);
                return Ok(end + 1);
            }
            b'-' | b'0'..=b'9' => {
                let (end, kind, digits) = self.number(at)?;
                found.kind = kind;
                found.digits = digits;
                end
            }
            b'{' => {
                found.kind = Kind::Object;
                self.object(at, node, depth)?
            }
            b'[' => {
                found.kind = Kind::Array;
                self.array(at, node, depth)?
            }
            b't' => self.literal(at, b"true", Kind::True, &mut found)?,
            b'f' => self.literal(at, b"false", Kind::False, &mut found)?,
            b'n' => self.literal(at, b"null", Kind::Null, &mut found)?,
            _ => return self.fail("a value", at),
        };
        found.end = end as u32;
        self.note(node, found);
        Ok(end)
    }

    #[inline]
    fn note(&mut self, node: u32, found: Found) {
        if node != NONE {
            let target = self.paths.nodes[node as usize].target;
            if target != NONE {
                self.found[target as usize] = found;
            }
        }
    }

    /// The last of duplicate keys wins, also over what was found below an earlier one.
    #[inline]
    fn forget_below(&mut self, node: u32) {
        let below = &self.paths.nodes[node as usize].below;
        if !below.is_empty() {
            self.found[below.start as usize..below.end as usize].fill(Found::MISSING);
        }
    }

    fn check_depth(&mut self, at: usize, depth: usize) -> Scanned<()> {
        if depth == MAX_DEPTH {
            self.failure = DecodeError::Depth { limit: MAX_DEPTH, offset: at };
            return Err(Failed);
        }
        Ok(())
    }

    fn object(&mut self, at: usize, node: u32, depth: usize) -> Scanned<usize> {
        self.check_depth(at, depth)?;
        let mut at = self.space(at + 1);
        if self.byte(at) == b'}' {
            return Ok(at + 1);
        }
        let mut member = 0;
        loop {
            let (value, child) = match self.habit(at, node, member) {
                Some(known) => known,
                None => self.key(at, node, member)?,
            };
            member += 1;
            if child != NONE {
                self.forget_below(child);
            }
            at = self.value(self.space(value), child, depth + 1)?;
            at = self.space(at);
            match self.byte(at) {
                b',' => at = self.space(at + 1),
                b'}' => return Ok(at + 1),
                _ => return self.fail("a comma or }", at),
            }
        }
    }

    /// The key that was in this place last time, if it is there again: what is behind its
    /// colon, and its child.
    #[inline]
    fn habit(&self, at: usize, node: u32, member: usize) -> Option<(usize, u32)> {
        let habit = self.habits.nodes.get(node as usize)?.get(member)?;
        let (&last, rest) = habit.words[..habit.used].split_last()?;
        let mut place = at;
        for &word in rest {
            if self.word(place)? != word {
                return None;
            }
            place += 8;
        }
        if self.word(place)? & habit.last_mask != last {
            return None;
        }
        Some((at + habit.length, habit.child))
    }

    /// Any key: what is behind its colon, and its child.
    fn key(&mut self, at: usize, node: u32, member: usize) -> Scanned<(usize, u32)> {
        if self.byte(at) != b'"' {
            return self.fail("a key", at);
        }
        let (end, escaped) = self.string(at + 1)?;
        let colon = self.space(end + 1);
        if self.byte(colon) != b':' {
            return self.fail("a colon", colon);
        }
        if node == NONE {
            return Ok((colon + 1, NONE));
        }
        let here = &self.paths.nodes[node as usize];
        let name = &self.buf[at + 1..end];
        if escaped {
            return Ok((colon + 1, member_escaped(here, name)));
        }
        let child = here.member(head_of(name), name);
        let key = &self.buf[at..colon + 1];
        if member < HABITS && key.len() <= 8 * HABIT_WORDS {
            self.habits.learn(node, member, key, child);
        }
        Ok((colon + 1, child))
    }

    fn array(&mut self, at: usize, node: u32, depth: usize) -> Scanned<usize> {
        self.check_depth(at, depth)?;
        let mut at = self.space(at + 1);
        if self.byte(at) == b']' {
            return Ok(at + 1);
        }
        let mut index = 0;
        loop {
            let child =
                if node == NONE { NONE } else { self.paths.nodes[node as usize].element(index) };
            at = self.value(at, child, depth + 1)?;
            index += 1;
            at = self.space(at);
            match self.byte(at) {
                b',' => at = self.space(at + 1),
                b']' => return Ok(at + 1),
                _ => return self.fail("a comma or ]", at),
            }
        }
    }

    fn literal(
        &mut self,
        at: usize,
        word: &'static [u8],
        kind: Kind,
        found: &mut Found,
    ) -> Scanned<usize> {
        if !self.buf[at..].starts_with(word) {
            return self.fail("true, false or null", at);
        }
        found.kind = kind;
        Ok(at + word.len())
    }

    /// Digits from `at` on, appended to `value`: at least one. Returns where they end.
    #[inline]
    fn digits(&mut self, mut at: usize, value: &mut u64) -> Scanned<usize> {
        let start = at;
        while let Some(eight) = self.word(at).and_then(eight_digits) {
            *value = value.wrapping_mul(100_000_000).wrapping_add(eight);
            at += 8;
        }
        loop {
            let digit = self.byte(at).wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            *value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        if at == start { self.fail("a digit", at) } else { Ok(at) }
    }

    /// A number: where it ends, its kind and digits.
    #[inline]
    fn number(&mut self, start: usize) -> Scanned<(usize, Kind, Digits)> {
        let negative = self.byte(start) == b'-';
        let first = start + usize::from(negative);
        let mut value = 0;
        let mut at =
            if self.byte(first) == b'0' { first + 1 } else { self.digits(first, &mut value)? };
        let mut count = at - first;
        let mut kind = Kind::Integer;
        let mut fraction = 0;
        if self.byte(at) == b'.' {
            let point = at + 1;
            at = self.digits(point, &mut value)?;
            fraction = at - point;
            count += fraction;
            kind = Kind::Fraction;
        }
        let digits = Digits::new(negative, value, count, fraction);
        if let b'e' | b'E' = self.byte(at) {
            at += 1;
            if let b'+' | b'-' = self.byte(at) {
                at += 1;
            }
            at = self.digits(at, &mut 0)?;
            return Ok((at, Kind::Fraction, Digits::NONE));
        }
        Ok((at, kind, digits))
    }

    /// A string from behind its opening quote: where its closing quote is, and whether it has escapes.
    #[inline]
    fn string(&mut self, start: usize) -> Scanned<(usize, bool)> {
        let mut at = start;
        let mut escaped = false;
        let mut high = 0;
        loop {
            match self.word(at) {
                Some(word) => {
                    let special = specials(word);
                    if special == 0 {
                        high |= word;
                        at += 8;
                        continue;
                    }
                    let n = special.trailing_zeros() / 8;
                    high |= word & ((1 << (8 * n)) - 1);
                    at += n as usize;
                }
                None => {
                    while let Some(&b) = self.buf.get(at)
                        && !matches!(b, b'"' | b'\\' | 0..0x20)
                    {
                        high |= u64::from(b);
                        at += 1;
                    }
                }
            }
            match self.byte(at) {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at = self.escape(at)?;
                }
                _ if at >= self.buf.len() => return self.fail("the end of a string", at),
                _ => return self.fail("no control character in a string", at),
            }
        }
        if high & HIGHS != 0 && std::str::from_utf8(&self.buf[start..at]).is_err() {
            return self.fail("UTF-8 in the string that ends here", at);
        }
        Ok((at, escaped))
    }

    #[cold]
    fn escape(&mut self, at: usize) -> Scanned<usize> {
        match self.byte(at + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
            b'u' => match self.buf.get(at + 2..at + 6) {
                Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => Ok(at + 6),
                _ => self.fail("four hexadecimal digits behind \\u", at),
            },
            _ => self.fail("an escape sequence", at),
        }
    }
}

impl Habits {
    #[cold]
    fn learn(&mut self, node: u32, member: usize, key: &[u8], child: u32) {
        let node = node as usize;
        if self.nodes.len() <= node {
            self.nodes.resize_with(node + 1, Vec::new);
        }
        let members = &mut self.nodes[node];
        if members.len() <= member {
            members.resize_with(member + 1, Habit::default);
        }
        let used = key.len().div_ceil(8);
        let mut words = [0; HABIT_WORDS];
        for (word, part) in words.iter_mut().zip(key.chunks(8)) {
            *word = head_of(part);
        }
        let last_mask = u64::MAX >> (8 * (8 * used - key.len()));
        members[member] = Habit { words, last_mask, used, length: key.len(), child };
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

/// The value of eight ASCII digits, if that is what they are.
#[inline]
fn eight_digits(word: u64) -> Option<u64> {
    let digits = word.wrapping_sub(ONES * b'0' as u64);
    // A byte below '0' borrows and one above '9' carries: either sets a highest bit.
    if (word | digits | word.wrapping_add(ONES * 0x46)) & HIGHS != 0 {
        return None;
    }
    // Pairs, then fours, then all eight (Lemire 2018).
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    const MASK: u64 = 0x0000_00ff_0000_00ff;
    let high = (pairs & MASK).wrapping_mul(100 + (1_000_000 << 32));
    let low = ((pairs >> 16) & MASK).wrapping_mul(1 + (10_000 << 32));
    Some(high.wrapping_add(low) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(document: &str, pointer: &str) -> Option<(Kind, String)> {
        let (paths, targets) = Paths::new(&[pointer]).unwrap();
        let mut found = vec![Found::MISSING; paths.targets];
        let mut habits = Habits::default();
        // The second time by habit.
        for _ in 0..2 {
            scan(document.as_bytes(), &paths, &mut habits, &mut found).unwrap();
        }
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
    fn eight_digits_are_exact() {
        let value = |text: &[u8; 8]| eight_digits(u64::from_le_bytes(*text));
        assert_eq!(value(b"12345678"), Some(12_345_678));
        assert_eq!(value(b"00000000"), Some(0));
        assert_eq!(value(b"99999999"), Some(99_999_999));
        for place in 0..8 {
            for b in 0..=255u8 {
                let mut text = *b"90909090";
                text[place] = b;
                let expected = std::str::from_utf8(&text)
                    .ok()
                    .and_then(|t| t.parse().ok())
                    .filter(|_| b != b'+');
                assert_eq!(value(&text), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn habits_change_with_the_records() {
        let (paths, targets) = Paths::new(&["/a", "/b/a"]).unwrap();
        let mut habits = Habits::default();
        let mut found = vec![Found::MISSING; paths.targets];
        for (document, a, b) in [
            (r#"{"a":1,"b":{"a":2}}"#, "1", "2"),
            (r#"{"a":3,"b":{"a":4}}"#, "3", "4"),
            (r#"{"b":{"x":0,"a":5},"a":6}"#, "6", "5"),
            (r#"{"b":{"x":0,"a":7},"a" :8}"#, "8", "7"),
            (r#"{"c":{"x":0,"a":7},"a" : 9 , "b":{"a":0}}"#, "9", "0"),
            (r#"{"ab":1,"a":1,"b":{"a":2}}"#, "1", "2"),
        ] {
            scan(document.as_bytes(), &paths, &mut habits, &mut found).unwrap();
            assert_eq!(
                found[targets[0] as usize].of(document.as_bytes()),
                a.as_bytes(),
                "{document}"
            );
            assert_eq!(
                found[targets[1] as usize].of(document.as_bytes()),
                b.as_bytes(),
                "{document}"
            );
        }
        assert!(scan(br#"{"ab":1,"#, &paths, &mut habits, &mut found).is_err());
        assert!(scan(br#"{"ab":"#, &paths, &mut habits, &mut found).is_err());
    }
}
