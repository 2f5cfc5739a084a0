//! Rule: a source file past 800 lines, its tests not counted, wants a second room.

use super::Finding;
use super::files::TextFile;

/// Lines of a file that are not its test module.
const LINES_MAX: usize = 800;

/// Checks one source file. A file `tests.rs` is a test module as a whole.
pub fn check(file: &TextFile) -> Option<Finding> {
    if file.path.ends_with("/tests.rs") {
        return None;
    }
    let lines = lines_without_tests(&file.text);
    (lines > LINES_MAX).then(|| {
        Finding::new(
            &file.path,
            format!("{lines} lines without tests, at most {LINES_MAX}: divide it by purpose"),
        )
    })
}

/// The part of a source before its test module, which stands last by convention.
pub fn without_tests(text: &str) -> &str {
    let mut offset = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let opens_module = lines.peek().is_some_and(|next| next.trim_start().starts_with("mod "));
        if line.trim_end() == "#[cfg(test)]" && opens_module {
            return &text[..offset];
        }
        offset += line.len();
    }
    text
}

fn lines_without_tests(text: &str) -> usize {
    without_tests(text).lines().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(code: usize, tests: usize) -> TextFile {
        let text = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            "code();\n".repeat(code),
            "test();\n".repeat(tests)
        );
        TextFile { path: "a/src/lib.rs".into(), text }
    }

    #[test]
    fn tests_do_not_count() {
        assert_eq!(check(&file(800, 2000)), None);
        let finding = check(&file(801, 0)).expect("801 lines are too many");
        assert!(finding.message.starts_with("801 lines"), "{finding}");
    }

    #[test]
    fn an_item_for_tests_is_not_the_test_module() {
        let text = "#[cfg(test)]\nuse std::fs;\nfn a() {}\n";
        assert_eq!(without_tests(text), text);
    }
}
