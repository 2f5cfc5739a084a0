//! The fenced blocks of a Markdown page.

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub struct Fence {
    /// What stands behind the opening fence: the language, and perhaps more.
    pub info: String,
    /// Line of the opening fence, from 1.
    pub line: usize,
    /// The lines between the fences.
    pub body: String,
}

/// Takes the blocks out of a page. A block in a list is indented as its fence is; that indent is not part of it.
pub fn fences(page: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let opening = line.trim_start();
        let Some(info) = opening.strip_prefix("```") else { continue };
        let indent = line.len() - opening.len();
        let inside =
            lines.by_ref().map(|(_, line)| line.get(indent..).unwrap_or(line.trim_start()));
        let body: Vec<&str> = inside.take_while(|line| *line != "```").collect();
        fences.push(Fence { info: info.to_owned(), line: index + 1, body: body.join("\n") });
    }
    fences
}

#[test]
fn blocks_are_taken_out_of_a_page() {
    let page = "a\n```sh\ncd x\n  ls\n```\nb `c`\n\n- item\n  ```yaml\n  a:\n    b\n\n  ```\n```text\n```\n";
    let fence = |info: &str, line, body: &str| Fence { info: info.into(), line, body: body.into() };
    assert_eq!(
        fences(page),
        [fence("sh", 2, "cd x\n  ls"), fence("yaml", 9, "a:\n  b\n"), fence("text", 14, "")]
    );
}
