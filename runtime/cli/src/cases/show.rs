//! A comparison as text: changed lines with some of their neighbours, and the fields that differ.

use std::fmt::Write as _;
use std::ops::Range;

use super::comparison::{Comparison, Step};
use super::fields::FieldDifference;
use crate::output::style::{Paint, Style};
use crate::output::table::printable;

/// Equal lines shown on either side of a change.
const CONTEXT_LINES: usize = 2;
/// Lines that differ, shown per file.
const SHOWN_MAX: usize = 20;

/// The text, without an end of line; empty if the file agrees.
pub fn show(comparison: &Comparison, paint: Paint) -> String {
    if comparison.agrees() {
        return String::new();
    }
    let differing =
        comparison.steps.iter().filter(|step| !matches!(step, Step::Equal { .. })).count();
    let mut text = match comparison.is_missing {
        true => format!("  {} is missing; this came:", comparison.file),
        false => {
            let lines = if differing == 1 { "line differs" } else { "lines differ" };
            format!("  {}: {differing} {lines} (- expected, + came)", comparison.file)
        }
    };
    if comparison.is_reordered() {
        text.push_str("\n  the lines are the same, their order is another");
    }
    let mut page = Page { comparison, paint, text, shown: 0 };
    for (index, step) in comparison.steps.iter().enumerate() {
        if page.shown == SHOWN_MAX {
            let rest = differing - SHOWN_MAX;
            if rest > 0 {
                // Writing to a string cannot fail.
                let _ = write!(page.text, "\n         ... {rest} more (all: `-o json`)");
            }
            break;
        }
        page.step(*step, index == 0, index + 1 == comparison.steps.len());
    }
    page.text
}

struct Page<'a> {
    comparison: &'a Comparison,
    paint: Paint,
    text: String,
    shown: usize,
}

impl Page<'_> {
    fn step(&mut self, step: Step, is_first: bool, is_last: bool) {
        let Comparison { expected, came, .. } = self.comparison;
        match step {
            Step::Equal { expected: from, lines, .. } => {
                let before = if is_first { 0 } else { CONTEXT_LINES.min(lines) };
                let after = if is_last { 0 } else { CONTEXT_LINES.min(lines - before) };
                self.context(from..from + before);
                if before + after < lines && !is_first && !is_last {
                    self.text.push_str("\n         ...");
                }
                self.context(from + lines - after..from + lines);
            }
            Step::Missing { expected: index } => {
                self.shown += 1;
                self.line('-', index, &expected[index]);
            }
            Step::Extra { came: index } => {
                self.shown += 1;
                self.line('+', index, &came[index]);
            }
            Step::Changed { expected: old, came: new } => {
                self.shown += 1;
                self.line('-', old, &expected[old]);
                self.line('+', new, &came[new]);
                match self.comparison.fields(old, new) {
                    Some(fields) if fields.is_empty() => {
                        self.note("the values are the same, written differently");
                    }
                    Some(fields) => fields.iter().for_each(|field| self.note(&sentence(field))),
                    None => {}
                }
            }
        }
    }

    fn context(&mut self, lines: Range<usize>) {
        for index in lines {
            self.line(' ', index, &self.comparison.expected[index]);
        }
    }

    fn line(&mut self, mark: char, index: usize, line: &str) {
        let line = format!("{mark} {:>4}  {}", index + 1, printable(line));
        let line = match mark {
            '-' => self.paint.apply(Style::Error, &line),
            '+' => self.paint.apply(Style::Good, &line),
            _ => self.paint.apply(Style::Label, &line),
        };
        let _ = write!(self.text, "\n  {line}");
    }

    fn note(&mut self, note: &str) {
        let _ = write!(self.text, "\n          {}", printable(note));
    }
}

/// A field that differs, in words.
fn sentence(difference: &FieldDifference) -> String {
    let FieldDifference { field, expected, came } = difference;
    // The pointer of the whole text is empty.
    let field = if field.is_empty() { "the value" } else { field };
    match (expected, came) {
        (Some(expected), Some(came)) => format!("{field}: expected {expected}, came {came}"),
        (Some(expected), None) => format!("{field}: expected {expected}, is not there"),
        (None, Some(came)) => format!("{field}: not expected, came {came}"),
        (None, None) => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expected: &[String], came: &[String]) -> String {
        let comparison = Comparison::of("expected.ndjson", expected.to_vec(), came.to_vec(), false);
        show(&comparison, Paint::plain())
    }

    fn line(id: u32, total: &str) -> String {
        format!(r#"{{"id":{id},"total":{total}}}"#)
    }

    #[test]
    fn a_change_is_shown_with_its_neighbours_and_its_fields() {
        let expected: Vec<_> = (1..=9).map(|id| line(id, "1.00")).collect();
        let mut came = expected.clone();
        came[3] = line(4, "1.50");
        came.push(line(10, "2.00"));
        assert_eq!(
            shown(&expected, &came),
            "  expected.ndjson: 2 lines differ (- expected, + came)\n  \
             \x20    2  {\"id\":2,\"total\":1.00}\n  \
             \x20    3  {\"id\":3,\"total\":1.00}\n  \
             -    4  {\"id\":4,\"total\":1.00}\n  \
             +    4  {\"id\":4,\"total\":1.50}\n          \
             /total: expected 1.00, came 1.50\n  \
             \x20    5  {\"id\":5,\"total\":1.00}\n  \
             \x20    6  {\"id\":6,\"total\":1.00}\n         \
             ...\n  \
             \x20    8  {\"id\":8,\"total\":1.00}\n  \
             \x20    9  {\"id\":9,\"total\":1.00}\n  \
             +   10  {\"id\":10,\"total\":2.00}"
        );
        assert_eq!(shown(&expected, &expected), "");
    }

    #[test]
    fn what_is_only_written_differently_and_another_order_are_named() {
        let text = shown(&[r#"{"a":1,"b":2}"#.into()], &[r#"{"b":2,"a":1}"#.into()]);
        assert!(text.ends_with("the values are the same, written differently"), "{text}");
        let (one, two) = (line(1, "1"), line(2, "2"));
        let text = shown(&[one.clone(), two.clone()], &[two, one]);
        assert!(text.contains("their order is another"), "{text}");
    }

    #[test]
    fn many_differences_are_cut_short() {
        let of = |total| (0..50).map(|id| line(id, total)).collect::<Vec<_>>();
        let text = shown(&of("1"), &of("2"));
        assert!(
            text.contains("50 lines differ") && text.ends_with("30 more (all: `-o json`)"),
            "{text}"
        );
    }
}
