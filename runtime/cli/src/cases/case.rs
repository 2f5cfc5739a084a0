//! One test case: its folder, its run, and what came of it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_control::errors;
use millstream_engine::spec::PipelineSpec;
use serde::{Deserialize, Serialize};

use super::comparison::Comparison;
use crate::failure::Failure;
use crate::local::{self, Written};

/// What the outputs of all sinks are expected to be.
const EXPECTED: &str = "expected.ndjson";
/// What the dead letters are expected to be; without the file none are.
const DEAD_LETTERS: &str = "dead-letters.ndjson";
/// The input of a pipeline with one source.
const INPUT: &str = "input.ndjson";

/// A test case.
pub struct Case {
    /// Name of its folder.
    pub name: String,
    folder: PathBuf,
}

/// What came of a case's input.
pub struct Produced {
    /// Lines read.
    pub records: u64,
    /// Lines of all sinks.
    pub outputs: Vec<String>,
    /// Dead letters, each a JSON document of what does not change from build to build.
    pub dead_letters: Vec<String>,
}

/// The cases in a folder whose names contain one of `filters`, or all if there are none, by name.
///
/// # Errors
/// MS1522 if there are none.
pub fn find(tests: &Path, filters: &[String]) -> Result<Vec<Case>, Failure> {
    let unreadable = |error: &io::Error| Failure::file("list the test cases in", tests, error);
    let entries = match fs::read_dir(tests) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>().map_err(|e| unreadable(&e))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut cases: Vec<Case> = entries
        .iter()
        .map(|entry| entry.path())
        .filter(|folder| folder.is_dir() && holds_records(folder))
        .filter_map(|folder| {
            let name = folder.file_name()?.to_str()?.to_owned();
            Some(Case { name, folder })
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    if cases.is_empty() {
        return Err(Failure::coded(
            errors::NO_CASE,
            format!("there is no test case in {}", tests.display()),
        )
        .help(format!(
            "make a folder with the input, such as {}/first/{INPUT};\n\
             `millstream test --update` writes what is expected",
            tests.display()
        )));
    }
    let names: Vec<_> = cases.iter().map(|case| case.name.clone()).collect();
    if !filters.is_empty() {
        cases.retain(|case| filters.iter().any(|filter| case.name.contains(filter)));
    }
    match cases.is_empty() {
        false => Ok(cases),
        true => Err(Failure::coded(
            errors::NO_CASE,
            format!("no case has `{}` in its name", filters.join("` or `")),
        )
        .help(format!("the cases are {}", names.join(", ")))),
    }
}

/// Whether a folder is that of a case: `tests` of a cargo package may hold others.
fn holds_records(folder: &Path) -> bool {
    record_files(folder).is_ok_and(|files| !files.is_empty())
}

/// Files of records in a folder, by name.
fn record_files(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".ndjson") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

impl Case {
    /// Runs the pipeline over the case's input.
    pub fn run(&self, spec: &PipelineSpec) -> Result<Produced, Failure> {
        let inputs = self.inputs(spec)?;
        let readers: Vec<Box<dyn Read + Send>> = inputs
            .iter()
            .map(|path| match File::open(path) {
                Ok(file) => Ok(Box::new(file) as Box<dyn Read + Send>),
                Err(error) => Err(Failure::file("read", path, &error)),
            })
            .collect::<Result<_, _>>()?;
        let (outputs, dead_letters) = (Kept::default(), Kept::default());
        let written = Written {
            outputs: Box::new(outputs.clone()),
            dead_letters: Some(Box::new(dead_letters.clone())),
        };
        let stats = local::over(spec, readers, written, 1, None)?;
        let dead_letters = dead_letters.lines().iter().map(|line| stable(line)).collect();
        Ok(Produced {
            records: stats.records,
            outputs: outputs.lines(),
            dead_letters: Result::map_err(dead_letters, |error: serde_json::Error| {
                Failure::coded(errors::LOCAL_RUN, "a dead letter cannot be read").because(&error)
            })?,
        })
    }

    /// The input of each source, in their order.
    fn inputs(&self, spec: &PipelineSpec) -> Result<Vec<PathBuf>, Failure> {
        let wrong = |message: String| Failure::coded(errors::CASE_FILES, message);
        let files = record_files(&self.folder)
            .map_err(|error| Failure::file("list", &self.folder, &error))?;
        let only = spec.sources.len() == 1;
        let named = |source: &str| {
            let own = format!("{source}.ndjson");
            if only && !files.contains(&own) { INPUT.to_owned() } else { own }
        };
        let wanted: Vec<String> = spec.sources.iter().map(|source| named(&source.name)).collect();
        let known = |file: &str| file == EXPECTED || file == DEAD_LETTERS;
        let stray = files.iter().find(|file| !known(file) && !wanted.contains(file));
        if let Some(missing) = wanted.iter().find(|file| !files.contains(file)) {
            let failure = wrong(format!("{} is missing", self.folder.join(missing).display()));
            return Err(match stray {
                Some(stray) => failure.help(format!("is {stray} meant? Rename it")),
                None => failure.help("a source without records has an empty file"),
            });
        }
        if let Some(stray) = stray {
            return Err(wrong(format!("nothing reads {}", self.folder.join(stray).display()))
                .help(format!("the pipeline's inputs are {}", wanted.join(", "))));
        }
        Ok(wanted.iter().map(|file| self.folder.join(file)).collect())
    }

    /// What is expected against what came, per file.
    pub fn compare(&self, produced: &Produced) -> Result<Vec<Comparison>, Failure> {
        self.files(produced)
            .into_iter()
            .map(|(file, lines)| {
                let path = self.folder.join(file);
                let expected = match fs::read_to_string(&path) {
                    Ok(text) => Some(text.lines().map(str::to_owned).collect()),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    Err(error) => return Err(Failure::file("read", &path, &error)),
                };
                // Dead letters are expected only where a file says so; outputs always need one.
                let lacks = expected.is_none() && file == EXPECTED;
                Ok(Comparison::of(file, expected.unwrap_or_default(), lines.clone(), lacks))
            })
            .collect()
    }

    /// Makes what came what is expected.
    pub fn update(&self, produced: &Produced) -> Result<(), Failure> {
        for (file, lines) in self.files(produced) {
            let path = self.folder.join(file);
            let failed = |error: &io::Error| Failure::file("write", &path, error);
            if lines.is_empty() && file == DEAD_LETTERS {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed(&error));
                    }
                    _ => continue,
                }
            }
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            fs::write(&path, text).map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    fn files<'a>(&self, produced: &'a Produced) -> [(&'static str, &'a Vec<String>); 2] {
        [(EXPECTED, &produced.outputs), (DEAD_LETTERS, &produced.dead_letters)]
    }
}

/// A dead letter as `run --local` writes it, as far as it is compared: the module's digest changes with each build.
#[derive(Deserialize)]
struct Line {
    letter: Letter,
    payload: String,
}

#[derive(Deserialize)]
struct Letter {
    source: String,
    sequence: u64,
    kind: String,
    cause: String,
}

/// A dead letter as it is compared.
#[derive(Serialize)]
struct Stable<'a> {
    source: &'a str,
    /// The record's number in its input; 0 for a timer.
    sequence: u64,
    kind: &'a str,
    cause: &'a str,
    payload: &'a str,
}

/// The line of a dead letter without what changes from build to build.
fn stable(line: &str) -> Result<String, serde_json::Error> {
    let Line { letter, payload } = serde_json::from_str(line)?;
    let Letter { source, sequence, kind, cause } = &letter;
    serde_json::to_string(&Stable { source, sequence: *sequence, kind, cause, payload: &payload })
}

/// Bytes that are written by a run and read after it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(folder: &Path, files: &[(&str, &str)]) -> Case {
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("write");
        }
        Case { name: "one".into(), folder: folder.to_owned() }
    }

    #[test]
    fn a_dead_letter_is_compared_without_the_modules_digest() {
        let line = r#"{"letter":{"attempts":1,"cause":"no","kind":"failed","module":"ab","sequence":4,"source":"in","subject":"","time_ns":0},"payload":"{}"}"#;
        let shown = stable(line).expect("a dead letter");
        assert_eq!(
            shown,
            r#"{"source":"in","sequence":4,"kind":"failed","cause":"no","payload":"{}"}"#
        );
    }

    #[test]
    fn an_update_writes_what_is_then_expected() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let case = case(folder.path(), &[("input.ndjson", "")]);
        let mut produced = Produced {
            records: 2,
            outputs: vec!["1".into(), "2".into()],
            dead_letters: vec!["3".into()],
        };
        let comparisons = case.compare(&produced).expect("compare");
        assert!(comparisons.iter().all(|file| !file.agrees()));
        case.update(&produced).expect("update");
        assert!(case.compare(&produced).expect("compare").iter().all(Comparison::agrees));
        assert_eq!(fs::read_to_string(folder.path().join(EXPECTED)).expect("read"), "1\n2\n");

        produced.dead_letters.clear();
        case.update(&produced).expect("update");
        assert!(!folder.path().join(DEAD_LETTERS).exists());
    }

    #[test]
    fn cases_are_chosen_by_a_part_of_their_name() {
        let tests = tempfile::tempdir().expect("a temporary folder");
        for name in ["limit-passed", "limit-kept", "refused", "support"] {
            fs::create_dir(tests.path().join(name)).expect("create");
        }
        // A folder without records is none of ours.
        for name in ["limit-passed", "limit-kept", "refused"] {
            case(&tests.path().join(name), &[("input.ndjson", "")]);
        }
        let names = |filters: &[&str]| {
            let filters: Vec<_> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            find(tests.path(), &filters)
                .map(|cases| cases.into_iter().map(|case| case.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).expect("cases"), ["limit-kept", "limit-passed", "refused"]);
        assert_eq!(names(&["passed", "ref"]).expect("cases"), ["limit-passed", "refused"]);
        let none = names(&["nope"]).expect_err("there is none");
        assert!(none.to_string().contains("limit-kept, limit-passed, refused"), "{none}");
    }
}
