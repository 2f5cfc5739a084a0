//! What a log stream must be, and what would break it.

use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType,
};

use super::{LogError, stream_name, stream_subjects};
use crate::Name;

/// What a log stream is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Copies the broker keeps: 1, 3 or 5.
    pub replicas: usize,
    /// Quota in bytes; `None`: what the account has. A full quota stops the pipeline.
    pub bytes_max: Option<u64>,
}

impl Default for LogOptions {
    /// One copy, no quota.
    fn default() -> LogOptions {
        LogOptions { replicas: 1, bytes_max: None }
    }
}

/// The stream for a pipeline.
pub(super) fn wanted(pipeline: &Name, options: &LogOptions) -> Config {
    Config {
        name: stream_name(pipeline),
        description: Some(format!("Commit log of the Millstream pipeline {pipeline}")),
        subjects: vec![stream_subjects(pipeline)],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: options.replicas,
        max_bytes: options.bytes_max.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_age: Duration::ZERO,
        // Records go by purging the whole stream up to a sequence, never one by one.
        deny_delete: true,
        allow_direct: true,
        ..Config::default()
    }
}

/// Fails with the first setting that differs where it matters. Quota, placement, compression and metadata are
/// the operator's.
pub(super) fn verify(found: &Config, wanted: &Config) -> Result<(), LogError> {
    let check = |setting: &'static str, found_value: String, expected: String| {
        if found_value == expected {
            return Ok(());
        }
        Err(LogError::Setting { stream: found.name.clone(), setting, found: found_value, expected })
    };
    let retention = |config: &Config| format!("{:?}", config.retention).to_lowercase();
    let discard = |config: &Config| format!("{:?}", config.discard).to_lowercase();
    let storage = |config: &Config| format!("{:?}", config.storage).to_lowercase();
    // The server writes "no limit" as -1, 0 or nothing.
    let limit = |value: i64| if value <= 0 { "unlimited".to_owned() } else { value.to_string() };
    let unlimited = || "unlimited".to_owned();
    let no = || "false".to_owned();

    check("subjects", found.subjects.join(","), wanted.subjects.join(","))?;
    check("retention", retention(found), retention(wanted))?;
    check("discard", discard(found), discard(wanted))?;
    check("storage", storage(found), storage(wanted))?;
    check("num_replicas", found.num_replicas.to_string(), wanted.num_replicas.to_string())?;
    check("max_msgs", limit(found.max_messages), unlimited())?;
    check("max_msgs_per_subject", limit(found.max_messages_per_subject), unlimited())?;
    let age = if found.max_age.is_zero() { unlimited() } else { format!("{:?}", found.max_age) };
    check("max_age", age, unlimited())?;
    check("max_msg_size", limit(found.max_message_size.into()), unlimited())?;
    check("no_ack", found.no_ack.to_string(), no())?;
    check("sealed", found.sealed.to_string(), no())?;
    check("deny_purge", found.deny_purge.to_string(), no())?;
    check("deny_delete", found.deny_delete.to_string(), "true".to_owned())?;
    check("allow_direct", found.allow_direct.to_string(), "true".to_owned())?;
    check("allow_rollup_hdrs", found.allow_rollup.to_string(), no())?;
    check("allow_msg_ttl", found.allow_message_ttl.to_string(), no())?;
    let present = |there: bool| if there { "set".to_owned() } else { "none".to_owned() };
    check("mirror", present(found.mirror.is_some()), present(false))?;
    check(
        "sources",
        present(found.sources.as_ref().is_some_and(|list| !list.is_empty())),
        present(false),
    )?;
    check("subject_transform", present(found.subject_transform.is_some()), present(false))?;
    // "async" acknowledges before a record is stored.
    let persist = match found.persist_mode {
        None | Some(PersistenceMode::Default) => "default",
        Some(PersistenceMode::Async) => "async",
    };
    check("persist_mode", persist.to_owned(), "default".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_setting_that_breaks_a_guarantee() {
        let wanted = wanted(&Name::new("p").unwrap(), &LogOptions::default());
        verify(&wanted, &wanted).unwrap();
        verify(&Config { max_bytes: 5, compression: None, ..wanted.clone() }, &wanted).unwrap();
        let says = |found: Config| verify(&found, &wanted).unwrap_err().to_string();
        assert_eq!(
            says(Config { max_age: Duration::from_secs(60), ..wanted.clone() }),
            "log stream MILLSTREAM_LOG_p has max_age = 60s, but unlimited is required"
        );
        assert!(
            says(Config { discard: DiscardPolicy::Old, ..wanted.clone() })
                .contains("discard = old, but new")
        );
        assert!(
            says(Config { num_replicas: 3, ..wanted.clone() }).contains("num_replicas = 3, but 1")
        );
        assert!(
            says(Config { storage: StorageType::Memory, ..wanted.clone() })
                .contains("storage = memory")
        );
        assert!(
            says(Config { persist_mode: Some(PersistenceMode::Async), ..wanted.clone() })
                .contains("persist_mode = async")
        );
        assert!(says(Config { deny_delete: false, ..wanted.clone() }).contains("deny_delete"));
    }
}
