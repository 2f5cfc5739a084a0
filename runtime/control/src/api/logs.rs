//! `logs.last`: what the functions of a pipeline said lately. What they say from now on is published, a [`LogLine`] as JSON
//! each, to the pipeline's [`subject`].

use serde::{Deserialize, Serialize};

use super::{about_pipeline, operations};

pub use millstream_engine::logs::{LINES_MAX, LogLine};

/// First part of the subjects of log lines; the pipeline follows.
const SUBJECT_PREFIX: &str = "millstream.logs";

/// Subject of a pipeline's log lines.
pub fn subject(pipeline: &str) -> String {
    format!("{SUBJECT_PREFIX}.{pipeline}")
}

/// The last lines. They are kept in the node's memory, at most [`LINES_MAX`] and 256 KiB per stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Last {
    /// The pipeline.
    pub pipeline: String,
    /// One stage; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Lines, oldest first; fewer than asked for if more do not fit an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// The lines.
    pub lines: Vec<LogLine>,
}

operations! {
    Last => LogsLast => Lines { about_pipeline!(); },
}
