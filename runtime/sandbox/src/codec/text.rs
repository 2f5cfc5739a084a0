//! JSON string escapes, both ways.

/// A string holds half of a surrogate pair.
#[derive(Debug)]
pub(super) struct LoneSurrogate;

/// Appends the text of a well-formed string (what is between its quotes) to `out`. On an error
/// `out` holds part of it.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), LoneSurrogate> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let code = rest[at + 1];
        rest = &rest[at + 2..];
        let plain = match code {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let (c, behind) = unicode(rest)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind;
                continue;
            }
            other => other,
        };
        out.push(plain);
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// The character of `XXXX` or `XXXX\uXXXX`, and what is behind it.
fn unicode(raw: &[u8]) -> Result<(char, &[u8]), LoneSurrogate> {
    let first = hex(&raw[..4]);
    if !(0xd800..0xe000).contains(&first) {
        return Ok((char::from_u32(first).ok_or(LoneSurrogate)?, &raw[4..]));
    }
    match raw.get(4..10) {
        Some(pair) if first < 0xdc00 && pair.starts_with(b"\\u") => {
            let second = hex(&pair[2..]);
            if !(0xdc00..0xe000).contains(&second) {
                return Err(LoneSurrogate);
            }
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            Ok((char::from_u32(code).ok_or(LoneSurrogate)?, &raw[10..]))
        }
        _ => Err(LoneSurrogate),
    }
}

fn hex(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |n, &d| {
        let value = match d {
            b'0'..=b'9' => d - b'0',
            b'a'..=b'f' => d - b'a' + 10,
            _ => d.wrapping_sub(b'A') + 10,
        };
        n << 4 | u32::from(value)
    })
}

const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte of a word.
pub(super) const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes of a word that cannot stand in a JSON string as they are (quotes, backslashes, control
/// characters) with their highest bit. The lowest mark is exact; borrows make wrong marks above it
/// only.
#[inline]
pub(super) fn specials(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let slashes = slash.wrapping_sub(ONES) & !slash;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | slashes | controls) & HIGHS
}

/// Whether no byte must be escaped.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    words.iter().all(|word| specials(u64::from_le_bytes(*word)) == 0)
        && rest.iter().all(|b| !matches!(b, b'"' | b'\\' | 0..0x20))
}

/// Appends `text` (UTF-8) as a JSON string with its quotes, escaping only what must be.
#[inline]
pub(super) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        escape(text, out);
    }
    out.push(b'"');
}

#[cold]
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for &b in text {
        match b {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(&[
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    HEX[(b >> 4) as usize],
                    HEX[(b & 15) as usize],
                ]);
            }
            _ => out.push(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates() {
        let plain = |raw: &str| {
            let mut out = Vec::new();
            unescape(raw.as_bytes(), &mut out).map(|()| String::from_utf8(out).unwrap()).ok()
        };
        assert_eq!(plain(r"\ud83d\ude00!").as_deref(), Some("\u{1f600}!"));
        assert_eq!(plain(r"\u00E4\/\\\n").as_deref(), Some("\u{e4}/\\\n"));
        for lone in [r"\ud83d", r"\ud83dx", r"\ude00", r"\ud83d\u0041", r"\ud83d\n12345"] {
            assert_eq!(plain(lone), None, "{lone}");
        }
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

    #[test]
    fn quoting_agrees_with_serde_json() {
        for code in 0..0x300u32 {
            for before in ["a", "", "123456789"] {
                let text = format!("{before}{}b", char::from_u32(code).unwrap());
                let mut out = Vec::new();
                quote(text.as_bytes(), &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
            }
        }
    }
}
