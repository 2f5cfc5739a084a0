//! Everything that decodes bytes from outside the process, as functions over any bytes: none may panic, hang or take memory out
//! of proportion, and what one accepts must mean the same when it is written and read again.
//!
//! | target | what comes from outside |
//! |---|---|
//! | `commit_record` | a record of the log, which whoever may write the stream can forge |
//! | `cursor_record` | the record of a transactional sink, beside its outputs |
//! | `payload` | a record of a source: what JSON it is, and what its fields are |
//! | `effects` | what a guest returns from a call |
//! | `envelope` | what an ingest stage reads from a log, and a dead letter |
//! | `stored` | the documents of savepoints and checkpoints |
//! | `manifest` | a manifest, as a team writes it |
//! | `request` | a request to the API, and its signature |
//! | `audit_export` | an export of the audit trail |
//!
//! The same functions run in two ways. The tests go through the corpus and a bounded number of mutations of it. With a
//! nightly toolchain, `cargo fuzz run --features libfuzzer TARGET` lets libFuzzer look for more, guided by coverage; what it finds
//! goes to the corpus, where the tests keep it.

mod control;
mod guest;
mod log;
mod record;
mod stored;

/// A target: its name, which is that of its corpus, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("commit_record", log::commit_record),
    ("cursor_record", log::cursor_record),
    ("payload", record::payload),
    ("effects", guest::effects),
    ("envelope", record::envelope),
    ("stored", stored::stored),
    ("manifest", control::manifest),
    ("request", control::request),
    ("audit_export", control::audit_export),
];

/// Runs the target of this name.
///
/// # Panics
/// If there is none, or if the target finds a fault.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(of, _)| *of == name);
    let (_, target) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    target(data);
}
