//! `dlq.*`: dead letters, and the streams and headers that carry them.
//!
//! A dead letter is one message in the stream [`DEAD_LETTER_STREAM`]: the original payload and
//! headers, and beside them the headers below. A redriven one is a message in
//! [`REDRIVE_STREAM`], which every stage reads as one more source per input.

use serde::{Deserialize, Serialize};

use super::{Data, operations};
use crate::access::Target;

/// Stream of all dead letters of an account.
pub const DEAD_LETTER_STREAM: &str = "MILLSTREAM_DLQ";
/// Stream of all redriven records of an account.
pub const REDRIVE_STREAM: &str = "MILLSTREAM_REDRIVE";
/// First part of dead letters' subjects; pipeline and stage follow.
pub const DEAD_LETTER_PREFIX: &str = "millstream.dlq";
/// First part of redriven records' subjects; pipeline, stage and input follow.
pub const REDRIVE_PREFIX: &str = "millstream.redrive";

/// Why the record was refused, one line.
pub const CAUSE: &str = "Millstream-Cause";
/// How often the record was processed and refused, from 1.
pub const ATTEMPTS: &str = "Millstream-Attempts";
/// SHA-256 of the module that refused it, hexadecimal.
pub const MODULE: &str = "Millstream-Module";
/// The stream it came from.
pub const SOURCE: &str = "Millstream-Source";
/// Its sequence there; 0 for a timer.
pub const SEQUENCE: &str = "Millstream-Sequence";
/// Its subject there.
pub const SUBJECT: &str = "Millstream-Subject";
/// Its broker time there, milliseconds since 1970 UTC.
pub const TIME: &str = "Millstream-Time";
/// Name of the stage's input it came from (of the timer, if one failed); a redriven record is read as if it came from
/// there.
pub const INPUT: &str = "Millstream-Input";

/// Subject of a stage's dead letters.
pub fn dead_letter_subject(pipeline: &str, stage: &str) -> String {
    format!("{DEAD_LETTER_PREFIX}.{pipeline}.{stage}")
}

/// Subject of the redriven records of a stage's input.
pub fn redrive_subject(pipeline: &str, stage: &str, input: &str) -> String {
    format!("{REDRIVE_PREFIX}.{pipeline}.{stage}.{input}")
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The pipeline.
    pub pipeline: String,
    /// One stage; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// These sequences of [`DEAD_LETTER_STREAM`]; empty: all of the pipeline and stage.
    #[serde(default)]
    pub sequences: Vec<u64>,
}

/// Lists dead letters without their payloads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct List {
    /// One pipeline; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// One stage; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Those behind this sequence.
    #[serde(default)]
    pub after: u64,
    /// At most so many, and at most [`LETTERS_MAX`].
    pub limit: u32,
}

/// Dead letters in the order of their sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// Whether there are more; ask again with `after` set to the last sequence.
    pub more: bool,
}

/// One dead letter with its payload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Show {
    /// Its sequence in [`DEAD_LETTER_STREAM`].
    pub sequence: u64,
}

/// A record that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its sequence in [`DEAD_LETTER_STREAM`].
    pub sequence: u64,
    /// The pipeline.
    pub pipeline: String,
    /// The stage.
    pub stage: String,
    /// Why.
    pub cause: String,
    /// How often it was processed and refused.
    pub attempts: u32,
    /// SHA-256 of the module that refused it, hexadecimal.
    pub module: String,
    /// The stage's input it came from; the timer, if one failed.
    #[serde(default)]
    pub input: String,
    /// The stream it came from; empty for a timer.
    pub source: String,
    /// Its sequence there; 0 for a timer.
    pub source_sequence: u64,
    /// Its subject there.
    pub subject: String,
    /// Its broker time there, milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// When it was refused, milliseconds since 1970 UTC.
    pub refused_at_ms: i64,
    /// Bytes of the payload.
    pub size: u64,
    /// The payload; only from `dlq.show`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Data>,
}

/// Hands dead letters to their stage again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redrive {
    /// Which ones.
    pub letters: Selection,
    /// At most so many in one request, and at most [`LETTERS_MAX`].
    pub limit: u32,
}

/// Deletes dead letters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drop {
    /// Which ones.
    pub letters: Selection,
    /// At most so many in one request, and at most [`LETTERS_MAX`].
    pub limit: u32,
}

/// How many dead letters a request handled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// Redriven or dropped.
    pub handled: u64,
    /// Whether the selection holds more; ask again.
    pub more: bool,
    /// Letters of a selection without sequences that were passed over because they cannot be redriven.
    #[serde(default)]
    pub left: u64,
}

/// Most dead letters that one request lists or handles.
pub const LETTERS_MAX: u32 = 1_000;

operations! {
    List => DeadLetterList => Listing {
        fn target(&self) -> Target {
            Target { pipeline: self.pipeline.clone(), what: None }
        }
    },
    Show => DeadLetterShow => DeadLetter {
        fn target(&self) -> Target {
            Target::named(self.sequence.to_string())
        }
    },
    Redrive => DeadLetterRedrive => Handled {
        fn target(&self) -> Target {
            Target::pipeline(&self.letters.pipeline)
        }
    },
    Drop => DeadLetterDrop => Handled {
        fn target(&self) -> Target {
            Target::pipeline(&self.letters.pipeline)
        }
    },
}
