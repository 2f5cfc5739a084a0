//! The manifest's grammar: which fields there are, field by field.

use std::collections::BTreeMap;

use super::decode::{Field, Fields};
use super::model::*;
use super::text;
use super::units::Duration;
use crate::errors;

const MODULE_EXAMPLE: &str = "`module: card-fraud@1.0.0` or `module: { file: ./card-fraud.wasm }`";
const KEY_EXAMPLE: &str = "`{ pointer: /id }`, `{ header: Id }`, `{ subject-token: 2 }` or `none`";
const START_EXAMPLE: &str =
    "`beginning`, `new`, `{ sequence: 42 }` or `{ time: 2026-01-31T00:00:00Z }`";
const TIME_EXAMPLE: &str = "`{ pointer: /ts }`, `{ header: Event-Time }` or `broker`";

/// The whole manifest. None if something was reported.
pub fn manifest(root: &Field<'_>) -> Option<Manifest> {
    if root.is_null() {
        root.refuse(
            errors::EMPTY_SECTION,
            "the manifest is empty",
            "begin with `name: my-pipeline`",
        );
        return None;
    }
    let fields = root.fields(
        &["name", "checkpoint-interval", "checkpoints", "sources", "stages", "sinks"],
        "a mapping with `name`, `sources`, `stages` and `sinks`",
    )?;
    let name = fields.require("name", "name: my-pipeline").and_then(|field| {
        let name = field.text("`name: my-pipeline`")?;
        named(name, |message, help| field.refuse(errors::INVALID_NAME, message, help))
    });
    let checkpoint_interval =
        or_default(&fields, "checkpoint-interval", CHECKPOINT_INTERVAL, |field| {
            field.duration(CHECKPOINT_INTERVAL_MIN..=CHECKPOINT_INTERVAL_MAX)
        });
    let checkpoints =
        or_default(&fields, "checkpoints", Checkpoints::default(), |field| checkpoints(&field));
    let sources = fields
        .require("sources", "sources: { orders: { stream: ORDERS } }")
        .and_then(|field| section(&field, 1, "`orders: { stream: ORDERS }`", source));
    let stages = fields
        .require(
            "stages",
            "stages: { count: { module: count@1.0.0, inputs: { orders: { key: none } } } }",
        )
        .and_then(|field| section(&field, 1, "`count: { module: ..., inputs: ... }`", stage));
    let sinks = or_default(&fields, "sinks", BTreeMap::new(), |field| {
        section(&field, 0, "`counts: { subject: orders.counts }`", sink)
    });
    Some(Manifest {
        name: name?,
        checkpoint_interval: checkpoint_interval?,
        checkpoints: checkpoints?,
        sources: sources?,
        stages: stages?,
        sinks: sinks?,
    })
}

/// A field with a default. None only if the field is there and wrong.
fn or_default<'a, T>(
    fields: &Fields<'a>,
    name: &str,
    default: T,
    read: impl FnOnce(Field<'a>) -> Option<T>,
) -> Option<T> {
    fields.get(name).map_or(Some(default), read)
}

/// A mapping of names that the user chooses.
fn section<T>(
    field: &Field<'_>,
    min: usize,
    example: &str,
    read: fn(&Field<'_>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    section_of(field, min, example, |name| name, read)
}

/// A mapping of names of which the user chooses a part.
fn section_of<T>(
    field: &Field<'_>,
    min: usize,
    example: &str,
    chosen: fn(&str) -> &str,
    read: fn(&Field<'_>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let entries = field.entries("a mapping of names", example)?;
    if entries.len() < min {
        field.refuse_name(
            errors::EMPTY_SECTION,
            "at least one entry is needed",
            format!("add {example}"),
        );
        return None;
    }
    if entries.len() > SECTION_MAX {
        field.refuse_name(
            errors::OUT_OF_RANGE,
            format!("{} entries are too many", entries.len()),
            format!("use at most {SECTION_MAX}, or several pipelines"),
        );
    }
    let read = entries.iter().map(|(name, field)| {
        // Both are read, so that a wrong name does not hide what else is wrong.
        let refuse = |message, help| field.refuse_name(errors::INVALID_NAME, message, help);
        let (checked, value) = (named(chosen(name), refuse), read(field));
        checked.and(Some((String::from(*name), value?)))
    });
    // No short-circuit: every entry reports.
    read.collect::<Vec<_>>().into_iter().collect()
}

fn named(name: &str, refuse: impl FnOnce(String, String)) -> Option<String> {
    match text::check_name(name) {
        Ok(()) => Some(name.to_owned()),
        Err(message) => {
            let rule = format!("use 1 to {NAME_LENGTH_MAX} lower-case letters, digits and dashes");
            let help = text::allowed_name(name)
                .map_or(rule.clone(), |allowed| format!("{rule}, such as `{allowed}`"));
            refuse(message, help);
            None
        }
    }
}

fn checkpoints(field: &Field<'_>) -> Option<Checkpoints> {
    let fields = field.fields(&["store"], "`{ store: file:///mnt/checkpoints }`")?;
    let store = or_default(&fields, "store", None, |field| {
        let url = field.text("`store: file:///mnt/checkpoints`")?;
        let help = "write `s3://bucket/folder` or `file:///mnt/checkpoints`, or leave `checkpoints` out for the JetStream object store";
        checked(&field, errors::INVALID_STORE, text::check_store(url), help)?;
        Some(Some(url.to_owned()))
    })?;
    Some(Checkpoints { store })
}

fn source(field: &Field<'_>) -> Option<Source> {
    let known = ["stream", "subject", "start", "event-time", "watermark", "on-gap"];
    let fields = field.fields(&known, "`{ stream: ORDERS }`")?;
    let stream = fields.require("stream", "stream: ORDERS").and_then(|field| stream_name(&field));
    let subject = or_default(&fields, "subject", None, |field| {
        let subject = field.text("`subject: \"orders.>\"`")?;
        checked(
            &field,
            errors::INVALID_SUBJECT,
            text::check_subject(subject, true),
            "write `orders.>` or `orders.*.eu`",
        )?;
        Some(Some(subject.to_owned()))
    });
    let start = or_default(&fields, "start", Start::default(), |field| start(&field));
    let event_time =
        or_default(&fields, "event-time", EventTime::default(), |field| event_time(&field));
    let watermark = or_default(&fields, "watermark", Watermark::default(), |field| {
        let known = ["bound", "idle-after", "align-within"];
        let fields = field.fields(&known, "`{ bound: 5s }`")?;
        let (none, max) = (Duration::default(), WATERMARK_BOUND_MAX);
        let limit = |name| {
            or_default(&fields, name, None, |field| {
                field.duration(Duration { ms: 1 }..=max).map(Some)
            })
        };
        let bound = or_default(&fields, "bound", none, |field| field.duration(none..=max));
        let (idle_after, align_within) = (limit("idle-after"), limit("align-within"));
        Some(Watermark { bound: bound?, idle_after: idle_after?, align_within: align_within? })
    });
    let on_gap = or_default(&fields, "on-gap", OnGap::default(), |field| {
        field.word(&[("stop", OnGap::Stop), ("skip", OnGap::Skip)])
    });
    Some(Source {
        stream: stream?,
        subject: subject?,
        start: start?,
        event_time: event_time?,
        watermark: watermark?,
        on_gap: on_gap?,
    })
}

fn stream_name(field: &Field<'_>) -> Option<String> {
    let stream = field.text("`stream: ORDERS`")?;
    let is_bad =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\');
    let fault = match stream.chars().find(|c| is_bad(*c)) {
        _ if stream.is_empty() => Err("the stream's name is empty".to_owned()),
        Some(found) => Err(format!("the stream's name {stream:?} contains {found:?}")),
        None => Ok(()),
    };
    checked(
        field,
        errors::INVALID_NAME,
        fault,
        "write the name that `nats stream ls` shows; subjects go into `subject`",
    )?;
    Some(stream.to_owned())
}

fn start(field: &Field<'_>) -> Option<Start> {
    if !field.is_mapping() {
        let Some(word) = field.as_text() else {
            field.refuse(
                errors::WRONG_TYPE,
                "this is not a place to start at",
                format!("write {START_EXAMPLE}"),
            );
            return None;
        };
        if !matches!(word, "beginning" | "new") && word.parse::<super::Timestamp>().is_ok() {
            field.refuse(
                errors::WRONG_TYPE,
                "a time needs its name",
                format!("write `start: {{ time: {word} }}`"),
            );
            return None;
        }
        return field.word(&[("beginning", Start::Beginning), ("new", Start::New)]);
    }
    match field.alternative(&["sequence", "time"], START_EXAMPLE)? {
        ("sequence", field) => field.integer(1..=u64::MAX).map(Start::Sequence),
        (_, field) => {
            let text = field.text("`time: 2026-01-31T00:00:00Z`")?;
            let time = text.parse().map_err(|error: super::InvalidTimestamp| error.to_string());
            checked(&field, errors::INVALID_TIME, time, "write `2026-01-31T00:00:00Z`")
                .map(Start::Time)
        }
    }
}

fn event_time(field: &Field<'_>) -> Option<EventTime> {
    if !field.is_mapping() {
        return field.word(&[("broker", ())]).map(|()| EventTime::Broker);
    }
    match field.alternative(&["pointer", "header"], TIME_EXAMPLE)? {
        ("pointer", field) => pointer(&field).map(EventTime::Pointer),
        (_, field) => header(&field).map(EventTime::Header),
    }
}

fn pointer(field: &Field<'_>) -> Option<String> {
    let pointer = field.text("`pointer: /id`")?;
    let help =
        format!("write `/{}`", pointer.trim_start_matches(['$', '.', '/']).replace('.', "/"));
    checked(field, errors::INVALID_POINTER, text::check_pointer(pointer), &help)?;
    Some(pointer.to_owned())
}

fn header(field: &Field<'_>) -> Option<String> {
    let name = field.text("`header: Event-Time`")?;
    checked(field, errors::INVALID_HEADER, text::check_header(name), "write `header: Event-Time`")?;
    Some(name.to_owned())
}

fn stage(field: &Field<'_>) -> Option<Stage> {
    let known = ["module", "partitions", "standbys", "inputs", "config", "outputs", "on-error"];
    let fields = field.fields(&known, "`{ module: ..., inputs: ..., outputs: ... }`")?;
    let module =
        fields.require("module", "module: card-fraud@1.0.0").and_then(|field| module(&field));
    let partitions = or_default(&fields, "partitions", PARTITIONS, |field| {
        let number = field.integer(1..=u64::from(PARTITIONS_MAX))?;
        u16::try_from(number).ok()
    });
    let standbys = or_default(&fields, "standbys", 0, |field| {
        let number = field.integer(0..=u64::from(STANDBYS_MAX))?;
        u16::try_from(number).ok()
    });
    let inputs = fields
        .require("inputs", "inputs: { orders: { key: { pointer: /customer } } }")
        .and_then(|field| {
            // Outputs are named by modules.
            section_of(&field, 1, "`orders: { key: { pointer: /customer } }`", of_stage, input)
        });
    let config = or_default(&fields, "config", serde_json::json!({}), |field| {
        field.entries("a mapping", "`config: { limit: 5 }`").map(|_| field.json())
    });
    let outputs = or_default(&fields, "outputs", BTreeMap::new(), |field| {
        let entries =
            field.entries("a mapping of output names to sink names", "`alert: alerts`")?;
        let read = entries.into_iter().map(|(name, field)| {
            field.texts("the name of a sink").map(|sinks| (name.to_owned(), sinks))
        });
        read.collect::<Vec<_>>().into_iter().collect()
    });
    let on_error = or_default(&fields, "on-error", OnError::default(), |field| {
        field.word(&[("dead-letter", OnError::DeadLetter), ("stop", OnError::Stop)])
    });
    Some(Stage {
        module: module?,
        partitions: partitions?,
        standbys: standbys?,
        inputs: inputs?,
        config: config?,
        outputs: outputs?,
        on_error: on_error?,
    })
}

/// The part of an input's name that is the name of a source or a stage.
fn of_stage(name: &str) -> &str {
    name.split_once('.').map_or(name, |(stage, _)| stage)
}

fn module(field: &Field<'_>) -> Option<ModuleRef> {
    if let Some(short) = field.as_text() {
        let help =
            if std::path::Path::new(short).extension().is_some_and(|extension| extension == "wasm")
            {
                format!("a file is written `module: {{ file: {short} }}`")
            } else {
                format!("write {MODULE_EXAMPLE}")
            };
        return checked(field, errors::INVALID_MODULE, text::parse_module(short), &help);
    }
    let fields = field.fields(&["file", "name", "version", "sha256"], MODULE_EXAMPLE)?;
    let texts = ["file", "name", "version", "sha256"].map(|name| fields.get(name));
    match texts {
        [Some(file), None, None, None] => {
            let path = file.text("`file: ./card-fraud.wasm`")?;
            Some(ModuleRef::File { file: path.to_owned() })
        }
        [None, Some(name), Some(version), None] => {
            let (name, version) =
                (name.text("`name: card-fraud`"), version.text("`version: \"1.0.0\"`"));
            Some(ModuleRef::Named { name: name?.to_owned(), version: version?.to_owned() })
        }
        [None, None, None, Some(sha256)] => {
            let digest = sha256.text("the digest")?;
            checked(
                &sha256,
                errors::INVALID_MODULE,
                text::check_digest(digest),
                "`millstream module ls` shows digests",
            )?;
            Some(ModuleRef::Digest { sha256: digest.to_owned() })
        }
        [None, Some(_), None, None] => {
            fields.require("version", "version: \"1.0.0\"");
            None
        }
        [None, None, Some(_), None] => {
            fields.require("name", "name: card-fraud");
            None
        }
        _ => {
            let message =
                "a module is named in one way: `file`, `name` with `version`, or `sha256`";
            field.refuse(errors::ONE_OF, message, format!("write {MODULE_EXAMPLE}"));
            None
        }
    }
}

fn input(field: &Field<'_>) -> Option<Input> {
    let fields = field.fields(&["key", "as"], "`{ key: { pointer: /id } }`")?;
    let key = fields.require("key", "key: { pointer: /id }").and_then(|field| key(&field));
    let declared = or_default(&fields, "as", None, |field| {
        field
            .text("the name of an input that the module declares")
            .map(|name| Some(name.to_owned()))
    });
    Some(Input { key: key?, r#as: declared? })
}

fn key(field: &Field<'_>) -> Option<Key> {
    if let Some(word) = field.as_text() {
        if text::check_pointer(word).is_ok() && word.starts_with('/') {
            field.refuse(
                errors::WRONG_TYPE,
                "a pointer needs its name",
                format!("write `{{ pointer: {word} }}`"),
            );
            return None;
        }
        let same = field.word(&[("none", false), ("same", true)])?;
        return Some(if same { Key::Same } else { Key::None });
    }
    match field.alternative(&["pointer", "header", "subject-token"], KEY_EXAMPLE)? {
        ("pointer", field) => pointer(&field).map(Key::Pointer),
        ("header", field) => header(&field).map(Key::Header),
        (_, field) => {
            let number = field.integer(1..=u64::from(SUBJECT_TOKEN_MAX))?;
            u16::try_from(number).ok().map(Key::SubjectToken)
        }
    }
}

fn sink(field: &Field<'_>) -> Option<Sink> {
    let fields =
        field.fields(&["subject", "delivery", "stream"], "`{ subject: orders.counts }`")?;
    let subject = fields.require("subject", "subject: orders.counts")?;
    let text = subject.text("`subject: orders.counts`")?;
    let help = "write `orders.counts` or, with the record's key, `orders.{key}.counts`";
    checked(&subject, errors::INVALID_SUBJECT, text::check_sink_subject(text), help)?;
    let deliveries =
        [("deduplicated", Delivery::Deduplicated), ("transactional", Delivery::Transactional)];
    let delivery =
        or_default(&fields, "delivery", Delivery::default(), |field| field.word(&deliveries));
    let delivery = delivery?;
    let stream = match (delivery, fields.get("stream")) {
        (Delivery::Transactional, _) => {
            let stream = fields.require("stream", "stream: ORDER_COUNTS")?;
            Some(stream_name(&stream)?)
        }
        (Delivery::Deduplicated, Some(stream)) => {
            stream.refuse_name(
                errors::UNKNOWN_FIELD,
                "a deduplicated sink names no stream: the one that captures its subject takes its outputs",
                "remove `stream`, or write `delivery: transactional`",
            );
            return None;
        }
        (Delivery::Deduplicated, None) => None,
    };
    Some(Sink { subject: text.to_owned(), delivery, stream })
}

/// The value, or the fault as a problem of the field.
fn checked<T>(
    field: &Field<'_>,
    code: errors::Code,
    result: Result<T, String>,
    help: &str,
) -> Option<T> {
    result.map_err(|message| field.refuse(code, message, help)).ok()
}
