//! Another number of partitions in the text of a manifest, the rest of which stays as its author wrote it.

use super::difference::diff;
use super::document::Document;
use crate::errors;
use crate::problem::{Problem, Problems};

/// The field of a stage.
const FIELD: &str = "partitions";

/// The manifest with `partitions` partitions of the stage. It must have one of this name.
///
/// # Errors
/// MS1325 if its text is written in a way that cannot be changed here; what the number makes wrong.
pub fn with_partitions(
    document: &Document,
    text: &str,
    stage: &str,
    partitions: u16,
) -> Result<String, Problems> {
    let changed = changed(document, text, stage, partitions);
    let refused = || {
        let message = format!("the manifest of `{stage}` is not written one field a line");
        let help = format!("write `{FIELD}: {partitions}` below the stage's `module`");
        Problem::new(errors::PARTITIONS_NOT_CHANGED, message).help(help)
    };
    let text = changed.ok_or_else(refused)?;
    let parsed = Document::parse(&document.file, &text)?;
    // Whatever the text looks like: nothing else may have become different.
    let mut wanted = document.manifest.clone();
    if let Some(stage) = wanted.stages.get_mut(stage) {
        stage.partitions = partitions;
    }
    match diff(&wanted, &parsed.manifest).is_empty() {
        true => Ok(text),
        false => Err(refused().into()),
    }
}

fn changed(document: &Document, text: &str, stage: &str, partitions: u16) -> Option<String> {
    let module = document.at_name(&format!("stages.{stage}.module"));
    let field = document.at_name(&format!("stages.{stage}.{FIELD}"));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let line = |number: u64| usize::try_from(number).ok()?.checked_sub(1);
    let new = format!("{FIELD}: {partitions}");
    let own = lines.get(line(field.line)?)?.clone();
    let indent: String = own.chars().take_while(|c| *c == ' ').collect();
    if own.trim_start().starts_with(&format!("{FIELD}:")) {
        let comment = own.find(" #").map(|at| own[at..].to_owned()).unwrap_or_default();
        lines[line(field.line)?] = format!("{indent}{new}{comment}");
    } else {
        let at = line(module.line)?;
        let own = lines.get(at)?;
        if !own.trim_start().starts_with("module:") {
            return None;
        }
        let indent: String = own.chars().take_while(|c| *c == ' ').collect();
        lines.insert(at, format!("{indent}{new}"));
    }
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: cards\nsources:\n  tx: { stream: TX, key: /account }\nstages:\n  # The one.\n  fraud:\n    module: { file: fraud.wasm }\n    inputs: { tx: {} }\n    outputs: { alerts: hits }\nsinks:\n  hits: { subject: hits }\n";

    fn document(text: &str) -> Option<Document> {
        Document::parse("p.yaml", text).ok()
    }

    #[test]
    fn a_number_is_added_or_changed_and_nothing_else() {
        let Some(first) = document(TEXT) else { return check_examples() };
        let text = with_partitions(&first, TEXT, "fraud", 7).unwrap();
        assert_eq!(text, TEXT.replace("    module", "    partitions: 7\n    module"));
        let second = document(&text).unwrap();
        let commented = text.replace("partitions: 7", "partitions: 7 # many");
        let again =
            with_partitions(&document(&commented).unwrap(), &commented, "fraud", 2).unwrap();
        assert_eq!(again, commented.replace("7 #", "2 #"));
        assert_eq!(second.manifest.stages["fraud"].partitions, 7);
        check_examples();
    }

    /// Every manifest among the examples can be changed.
    fn check_examples() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
        let mut checked = 0;
        for example in std::fs::read_dir(folder).unwrap().flatten() {
            let Ok(text) = std::fs::read_to_string(example.path().join("pipeline.yaml")) else {
                continue;
            };
            let Some(found) = document(&text) else { continue };
            for stage in found.manifest.stages.keys() {
                if found.manifest.head_of(stage) != stage {
                    continue;
                }
                let new = with_partitions(&found, &text, stage, 9);
                let new = new.unwrap_or_else(|e| panic!("{}: {e}", example.path().display()));
                assert_eq!(document(&new).unwrap().manifest.stages[stage].partitions, 9);
                checked += 1;
            }
        }
        assert!(checked > 5, "{checked} stages were found");
    }
}
