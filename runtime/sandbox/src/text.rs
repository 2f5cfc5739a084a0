//! Text that guests and their files choose, made fit to be shown: short, and nothing that a terminal or a protocol acts on.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The longest prefix of at most `bytes` that ends with a character.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// At most `bytes` of a text. Control characters other than the end of a line and the tabulator are written as escapes:
/// they would move a terminal's cursor, or end a header.
pub(crate) fn plain(text: &str, bytes: usize) -> Cow<'_, str> {
    let text = cut(text, bytes);
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown.truncate(shown.floor_char_boundary(bytes));
    Cow::Owned(shown)
}

fn acts(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

/// What `shown` displays, at most `bytes` of it. It is asked for no more than that: a mangled name of a few hundred bytes may
/// stand for megabytes.
pub(crate) fn display(shown: impl fmt::Display, alternate: bool, bytes: usize) -> String {
    let mut room = Room { text: String::new(), bytes };
    // The only error is that the room is full.
    let _ = if alternate { write!(room, "{shown:#}") } else { write!(room, "{shown}") };
    room.text
}

struct Room {
    text: String,
    bytes: usize,
}

impl fmt::Write for Room {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let fits = cut(part, self.bytes - self.text.len());
        self.text.push_str(fits);
        if fits.len() == part.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(plain("aä", 3), "aä");
        assert_eq!(display("aäb", false, 2), "a");
        assert_eq!(display(format_args!("{}{}", "ab", "cd"), false, 3), "abc");
        assert_eq!(display("abc", true, 10), "abc");
    }

    #[test]
    fn what_acts_is_escaped_and_lines_stay() {
        assert_eq!(plain("a\n\tb", 100), "a\n\tb");
        assert_eq!(plain("\x1b[2J\r\nx\0\u{9b}", 100), "\\u{1b}[2J\\u{d}\nx\\u{0}\\u{9b}");
        assert_eq!(plain("\r\r\r", 8), "\\u{d}\\u{");
    }
}
