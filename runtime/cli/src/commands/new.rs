//! `millstream new`: a folder with a UDF that builds, its test and its pipeline.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use millstream_control::errors;

use crate::cli::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;

/// Where the SDK lay when this binary was built. It is not published, so projects name it by path.
const SDK_AT_BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../udf-sdk");

/// Name and content of a file. `{{...}}` is filled in.
type File = (&'static str, &'static str);

/// The files of a template that lie in its folder of `templates`.
macro_rules! files {
    ($template:literal: $($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../../templates/", $template, "/", $file)))),*]
    };
}

/// What all templates share.
const COMMON: &[File] = &[
    ("Cargo.toml", include_str!("../../templates/common/Cargo.toml")),
    (".gitignore", include_str!("../../templates/common/gitignore")),
];

/// Longest name: it becomes the pipeline's, and parts of subjects.
const NAME_LENGTH_MAX: usize = 40;

/// Start a UDF: a folder with code, tests, a pipeline and sample data
#[derive(Args)]
pub struct New {
    /// Name of the folder, the package and the pipeline: a-z, 0-9 and dashes
    name: String,

    /// What to start from
    #[arg(long, value_enum, default_value = "keyed")]
    template: Template,

    /// Folder of the Rust SDK (`udf-sdk` of the Millstream sources); by default the one that this binary
    /// was built beside, if it is still there
    #[arg(long, value_name = "FOLDER", env = "MILLSTREAM_SDK")]
    sdk: Option<PathBuf>,
}

/// What a new project starts from.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Template {
    /// Rust: maps and filters; nothing is kept
    Stateless,
    /// Rust: state per key, configuration, two outputs
    Keyed,
    /// Rust: counts and sums per window of event time, with late records
    Windowed,
    /// Rust: a sequence of records of a key within a time
    Pattern,
    /// Rust: two inputs, brought together in event time
    Join,
}

impl Template {
    /// Its files, without those that all share.
    fn files(self) -> &'static [File] {
        match self {
            Template::Stateless => files!(
                "stateless": "src/lib.rs", "src/tests.rs", "pipeline.yaml", "README.md",
                "tests/sample/input.ndjson", "tests/sample/expected.ndjson",
                "tests/sample/dead-letters.ndjson",
            ),
            Template::Keyed => files!(
                "keyed": "src/lib.rs", "src/tests.rs", "pipeline.yaml", "README.md",
                "tests/sample/input.ndjson", "tests/sample/expected.ndjson",
                "tests/sample/dead-letters.ndjson",
            ),
            Template::Windowed => files!(
                "windowed": "src/lib.rs", "src/tests.rs", "pipeline.yaml", "README.md",
                "tests/sample/input.ndjson", "tests/sample/expected.ndjson",
                "tests/sample/dead-letters.ndjson",
            ),
            Template::Pattern => files!(
                "pattern": "src/lib.rs", "src/tests.rs", "pipeline.yaml", "README.md",
                "tests/sample/input.ndjson", "tests/sample/expected.ndjson",
            ),
            Template::Join => files!(
                "join": "src/lib.rs", "src/tests.rs", "pipeline.yaml", "README.md",
                "tests/sample/orders.ndjson", "tests/sample/payments.ndjson",
                "tests/sample/expected.ndjson",
            ),
        }
    }
}

impl New {
    /// Writes the folder.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        check_name(&self.name)?;
        let sdk = sdk(self.sdk.as_deref())?;
        let folder = Path::new(&self.name);
        let files = COMMON.iter().chain(self.template.files());
        fs::create_dir(folder).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::coded(
                errors::FOLDER_EXISTS,
                format!("{} exists already", folder.display()),
            )
            .help("choose another name, or remove it first: nothing is overwritten"),
            _ => Failure::file("create", folder, &error),
        })?;
        for (name, text) in files {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)
                    .map_err(|error| Failure::file("create", parent, &error))?;
            }
            let text = fill(text, &self.name, &sdk);
            fs::write(&path, text).map_err(|error| Failure::file("write", &path, &error))?;
        }
        match app.out.is_for_people() {
            true => say(&format!(
                "created {name}/; next:\n  cd {name}\n  cargo test\n  millstream test\n  \
                 millstream dev --watch",
                name = self.name
            )),
            false => app.out.line(&self.name)?,
        }
        Ok(Exit::Ok)
    }
}

/// The SDK's folder, made absolute: a project may be moved, the SDK is not.
fn sdk(given: Option<&Path>) -> Result<String, Failure> {
    let missing = |what: String| {
        Failure::coded(errors::NO_SDK, what).help(
            "the SDK is not published as a crate: get the Millstream sources and name their folder `udf-sdk`\n\
             with `--sdk FOLDER`",
        )
    };
    let folder = given.unwrap_or(Path::new(SDK_AT_BUILD));
    let manifest = folder.join("Cargo.toml");
    let is_sdk =
        fs::read_to_string(&manifest).is_ok_and(|text| text.contains("name = \"millstream-udf\""));
    if !is_sdk {
        return Err(missing(match given {
            Some(folder) => format!("{} is not the Millstream SDK", folder.display()),
            None => {
                "the SDK is no longer beside the sources that this binary was built from".to_owned()
            }
        }));
    }
    let folder = fs::canonicalize(folder).map_err(|error| Failure::file("use", folder, &error))?;
    folder
        .into_os_string()
        .into_string()
        .map_err(|folder| missing(format!("the SDK's folder {} is not UTF-8", folder.display())))
}

/// Fills in the names. The SDK's path becomes the inside of a TOML string.
fn fill(text: &str, name: &str, sdk: &str) -> String {
    text.replace("{{name}}", name)
        .replace("{{module}}", &name.replace('-', "_"))
        .replace("{{sdk}}", &sdk.replace('\\', "\\\\").replace('"', "\\\""))
}

fn check_name(name: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = name.len() <= NAME_LENGTH_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(allowed);
    match fits {
        true => Ok(()),
        false => {
            Err(Failure::coded(errors::USAGE, format!("`{name}` cannot be the name of a project"))
                .help(format!(
                    "use a-z, 0-9 and dashes, a letter first, at most {NAME_LENGTH_MAX} characters"
                )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["fraud", "card-fraud-2"] {
            check_name(name).expect(name);
        }
        for name in ["", "Fraud", "2fraud", "-f", "f-", "a.b", "../x", &"x".repeat(41)] {
            assert_eq!(check_name(name).expect_err(name).exit, Exit::Usage);
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for template in Template::value_variants() {
            for (name, text) in COMMON.iter().chain(template.files()) {
                let text = fill(text, "my-udf", "/sdk");
                assert!(!text.contains("{{"), "{template:?}, {name}: {text}");
            }
        }
    }
}
