//! The stream of a transactional sink: made when it is missing, and checked for all that its guarantee rests on.

use async_nats::jetstream::stream::{Config, DiscardPolicy};

use super::facts::{facts_of, sink_error};
use super::{SinkError, SinkFacts};
use crate::api::{self, ApiError, code};
use crate::connect::{Connection, ServerVersion};

/// Servers before it have no atomic batches.
const VERSION_REQUIRED: ServerVersion = ServerVersion { major: 2, minor: 12, patch: 0 };
/// What the subjects of cursor records begin with.
const CURSORS: &str = "millstream.cursor";

/// What the stream of a transactional sink must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedStream {
    /// Its name.
    pub name: String,
    /// The subject of the outputs, with `*` where it differs from one to the next.
    pub subject: String,
    /// Replicas, if it is made.
    pub replicas: usize,
}

impl CreatedStream {
    /// What it captures: outputs, and cursor records.
    fn subjects(&self) -> [String; 2] {
        [self.subject.clone(), format!("{CURSORS}.{}.>", self.name)]
    }
}

/// The subject of the cursor records of one partition. It is the same in every life of the pipeline, so that each life is in the way
/// of those before.
pub fn cursor_subject(
    stream: &str,
    pipeline: &str,
    stage: &str,
    sink: &str,
    partition: u16,
) -> String {
    format!("{CURSORS}.{stream}.{pipeline}.{stage}.{sink}.{partition}")
}

/// Makes the stream of a transactional sink if it is missing, and checks it.
pub async fn open_created_stream(
    connection: &Connection,
    wanted: &CreatedStream,
) -> Result<SinkFacts, SinkError> {
    let version = connection.version();
    if version < VERSION_REQUIRED {
        return Err(SinkError::ServerTooOld { version, required: VERSION_REQUIRED });
    }
    let found = api::stream_info(connection, &wanted.name).await;
    let info = match found {
        Err(error) if error.code() == code::STREAM_NOT_FOUND => {
            match api::create_stream(connection, &config(wanted)).await {
                // Another node may have been faster, with other subjects.
                Err(ApiError::Server { code: code::STREAM_NAME_IN_USE, .. }) => {
                    api::stream_info(connection, &wanted.name).await
                }
                created => created,
            }
        }
        found => found,
    };
    let info = info.map_err(|error| sink_error(&wanted.name, "open the stream", error))?;
    check(&info.config, wanted)?;
    facts_of(connection, &info)
}

fn config(wanted: &CreatedStream) -> Config {
    Config {
        name: wanted.name.clone(),
        subjects: wanted.subjects().to_vec(),
        num_replicas: wanted.replicas,
        allow_atomic_publish: true,
        allow_rollup: true,
        allow_message_ttl: true,
        ..Config::default()
    }
}

fn check(config: &Config, wanted: &CreatedStream) -> Result<(), SinkError> {
    let refused = |setting: String, needed: String| {
        let stream = wanted.name.clone();
        Err(SinkError::NotTransactional { stream, setting, needed })
    };
    let allowed = [
        ("allow_atomic", config.allow_atomic_publish),
        ("allow_rollup_hdrs", config.allow_rollup),
        ("allow_msg_ttl", config.allow_message_ttl),
    ];
    if let Some((name, _)) = allowed.iter().find(|(_, allowed)| !allowed) {
        return refused(format!("{name} = false"), format!("{name} = true"));
    }
    for subject in wanted.subjects() {
        if !config.subjects.iter().any(|captured| covers(captured, &subject)) {
            let captured = config.subjects.join(", ");
            return refused(format!("subjects = {captured}"), format!("subject {subject} as well"));
        }
    }
    // A record that makes room for others may be a cursor.
    let limits = [("max_bytes", config.max_bytes), ("max_msgs", config.max_messages)];
    let limit = limits.iter().find(|(_, limit)| *limit > 0);
    if let Some((name, limit)) = limit.filter(|_| config.discard == DiscardPolicy::Old) {
        return refused(format!("{name} = {limit} and discard = old"), "discard = new".to_owned());
    }
    if config.discard_new_per_subject {
        let needed = "discard_new_per_subject = false".to_owned();
        return refused("discard_new_per_subject = true".to_owned(), needed);
    }
    Ok(())
}

/// Whether all that matches one subject with wildcards also matches another.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_cover_others() {
        for (wide, narrow, expected) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a.*", true),
            ("a.>", "a.*.c", true),
            (">", "a", true),
            ("a.*", "a.>", false),
            ("a.b", "a.*", false),
            ("a.>", "a", false),
            ("a", "a.b", false),
        ] {
            assert_eq!(covers(wide, narrow), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn what_the_guarantee_rests_on_is_checked_and_what_is_made_has_it() {
        let wanted = CreatedStream { name: "OUT".into(), subject: "out.*".into(), replicas: 1 };
        let good = config(&wanted);
        check(&good, &wanted).unwrap();
        check(&Config { max_bytes: 9, discard: DiscardPolicy::New, ..good.clone() }, &wanted)
            .unwrap();
        let message = |config: Config| check(&config, &wanted).unwrap_err().to_string();
        assert_eq!(
            message(Config { allow_atomic_publish: false, ..good.clone() }),
            "stream OUT has allow_atomic = false; a transactional sink needs allow_atomic = true: change the stream, or remove it and it is made"
        );
        for bad in [
            Config { allow_rollup: false, ..good.clone() },
            Config { allow_message_ttl: false, ..good.clone() },
            Config { subjects: vec!["out.*".into()], ..good.clone() },
            Config { subjects: vec!["millstream.cursor.OUT.>".into()], ..good.clone() },
            Config { max_bytes: 9, ..good.clone() },
            Config { max_messages: 9, ..good.clone() },
            Config { discard_new_per_subject: true, ..good.clone() },
        ] {
            message(bad);
        }
    }
}
