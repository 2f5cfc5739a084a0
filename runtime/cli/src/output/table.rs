//! How a list looks on a terminal: a heading, one line per thing, no borders, fitted to the width. When stdout is not a
//! terminal nothing is cut, so that `grep` and `awk` see everything.

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, Table, presets};

/// Something that a command lists. The machine formats print its serde form, the tables its cells.
pub trait Listed: serde::Serialize {
    /// Headings of `-o table`.
    const COLUMNS: &'static [&'static str];
    /// Further headings of `-o wide`.
    const WIDE: &'static [&'static str] = &[];

    /// What `-o name` prints; other commands take it as an argument.
    fn name(&self) -> String;

    /// One cell per heading, those of `WIDE` last.
    fn cells(&self) -> Vec<Cell>;
}

/// How a cell is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Just a value.
    Plain,
    /// All is well.
    Good,
    /// Deserves a look.
    Warn,
    /// Is wrong.
    Bad,
}

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

impl Cell {
    /// Text. Control characters, which a terminal would obey, are escaped.
    pub fn text(text: impl Into<String>) -> Self {
        Cell { text: printable(&text.into()), tone: Tone::Plain, right: false }
    }

    /// Text with a meaning.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Cell { tone, ..Cell::text(text) }
    }

    /// A number: aligned to the right.
    pub fn number(text: impl Into<String>) -> Self {
        Cell { right: true, ..Cell::text(text) }
    }

    /// A number with a meaning.
    pub fn toned_number(text: impl Into<String>, tone: Tone) -> Self {
        Cell { right: true, ..Cell::toned(text, tone) }
    }

    /// A value, or a dash for none.
    pub fn optional<T: std::fmt::Display>(value: Option<T>) -> Self {
        Cell::text(value.map_or_else(|| "-".to_owned(), |value| value.to_string()))
    }
}

/// Escapes control characters other than line ends: what the cluster stores must not steer a terminal.
pub fn printable(text: &str) -> String {
    if !text.chars().any(|c| c.is_control() && c != '\n') {
        return text.to_owned();
    }
    text.chars()
        .map(|c| match c {
            '\n' => "\n".to_owned(),
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        })
        .collect()
}

/// Draws a list. `width` is the terminal's, or none when stdout is not one.
pub fn draw<T: Listed>(items: &[T], wide: bool, width: Option<u16>, colours: bool) -> String {
    let shown = T::COLUMNS.len() + if wide { T::WIDE.len() } else { 0 };
    let mut table = empty(width, colours);
    let headings = T::COLUMNS.iter().chain(T::WIDE).take(shown);
    table.set_header(headings.map(|heading| dressed(heading, colours)));
    for item in items {
        table.add_row(item.cells().into_iter().take(shown).map(|cell| cell.into_comfy(colours)));
    }
    finish(table)
}

/// Draws pairs of label and value, one below the other.
pub fn draw_pairs(pairs: &[(String, Cell)], width: Option<u16>, colours: bool) -> String {
    let mut table = empty(width, colours);
    for (label, value) in pairs {
        table.add_row([dressed(label, colours), value.clone().into_comfy(colours)]);
    }
    finish(table)
}

impl Cell {
    fn into_comfy(self, colours: bool) -> comfy_table::Cell {
        let mut cell = comfy_table::Cell::new(self.text);
        if self.right {
            cell = cell.set_alignment(CellAlignment::Right);
        }
        match self.tone {
            _ if !colours => cell,
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::Green),
            Tone::Warn => cell.fg(Color::Yellow),
            Tone::Bad => cell.fg(Color::Red),
        }
    }
}

fn dressed(heading: &str, colours: bool) -> comfy_table::Cell {
    let cell = comfy_table::Cell::new(heading);
    if colours { cell.add_attribute(Attribute::Dim) } else { cell }
}

fn empty(width: Option<u16>, colours: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    if colours {
        table.enforce_styling();
    }
    match width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table
}

fn finish(mut table: Table) -> String {
    // Columns stand two spaces apart, and the first one at the edge.
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize)]
    struct Row(&'static str, u64);

    impl Listed for Row {
        const COLUMNS: &'static [&'static str] = &["NAME", "COUNT"];
        const WIDE: &'static [&'static str] = &["NOTE"];

        fn name(&self) -> String {
            self.0.to_owned()
        }

        fn cells(&self) -> Vec<Cell> {
            vec![Cell::text(self.0), Cell::number(self.1.to_string()), Cell::text("all good here")]
        }
    }

    const ROWS: [Row; 2] = [Row("fraud", 7), Row("credit-score", 12345)];

    #[test]
    fn columns_line_up() {
        assert_eq!(
            draw(&ROWS, false, None, false),
            "NAME          COUNT\nfraud             7\ncredit-score  12345"
        );
    }

    #[test]
    fn wide_adds_columns_and_a_terminal_folds_them() {
        let wide = draw(&ROWS, true, None, false);
        assert!(wide.lines().next().is_some_and(|line| line.ends_with("NOTE")), "{wide}");
        let narrow = draw(&ROWS, true, Some(30), false);
        assert!(narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
    }

    #[test]
    fn a_terminal_is_not_steered() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\nc");
    }
}
