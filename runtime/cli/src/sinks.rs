//! Reads what a pipeline writes to its sinks: for `tail`, and for `dev --watch`.

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::StreamExt;
use futures::stream::BoxStream;
use millstream_control::api::Data;
use millstream_control::errors;
use serde::Serialize;

use crate::connection::Remote;
use crate::failure::Failure;
use crate::output::style::{Paint, Style};
use crate::output::table::printable;
use crate::output::{Format, Output, units};

/// A record of a sink.
#[derive(Serialize)]
struct Record<'a> {
    sink: &'a str,
    subject: &'a str,
    stream: &'a str,
    sequence: u64,
    time_ms: i64,
    payload: Data,
}

/// Records with the name of their sink, as they come.
pub type Records = BoxStream<'static, (String, Result<Message, Failure>)>;

/// Follows a sink of that name and subject: from its next record on, or with `all` from the oldest that its stream holds.
pub async fn open(
    remote: &Remote,
    sink: &str,
    subject: &str,
    all: bool,
) -> Result<Records, Failure> {
    let subject = subject.replace("{key}", "*");
    let jetstream = remote.connection().jetstream();
    let stream = jetstream.stream_by_subject(&subject).await.map_err(|error| {
        Failure::coded(
            errors::NO_STREAM,
            format!("no stream captures subject {subject} of sink {sink}"),
        )
        .because(&error)
        .help(format!("create one: `nats stream add --subjects '{subject}'`"))
    })?;
    let failed = |what: &str, error: &(dyn std::error::Error + 'static)| {
        Failure::coded(errors::STORAGE, format!("cannot {what} stream {stream}")).because(error)
    };
    let deliver_policy = if all { DeliverPolicy::All } else { DeliverPolicy::New };
    let config = pull::OrderedConfig {
        filter_subject: subject,
        deliver_policy,
        ..pull::OrderedConfig::default()
    };
    let handle = jetstream.get_stream(&stream).await.map_err(|error| failed("open", &error))?;
    let consumer = handle.create_consumer(config).await.map_err(|error| failed("read", &error))?;
    let messages = consumer.messages().await.map_err(|error| failed("read", &error))?;
    let sink = sink.to_owned();
    let records = messages.map(move |message| {
        let message = message.map_err(|error| {
            Failure::coded(errors::STORAGE, format!("cannot read on in stream {stream}"))
                .because(&error)
        });
        (sink.clone(), message)
    });
    Ok(records.boxed())
}

/// Prints a record of a sink.
pub fn print(out: &Output, sink: &str, message: &Message) -> Result<(), Failure> {
    let info = message.info().map_err(|error| {
        Failure::coded(errors::BAD_RESPONSE, "a delivered message lacks its position")
            .because(error.as_ref())
    })?;
    let time_ms =
        i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
    let record = Record {
        sink,
        subject: &message.subject,
        stream: info.stream,
        sequence: info.stream_sequence,
        time_ms,
        payload: Data(message.payload.to_vec()),
    };
    let name = format!("{}:{}", record.stream, record.sequence);
    let wide = out.format() == Format::Wide;
    out.event(&record, &name, |paint| line(&record, wide, paint))
}

fn line(record: &Record<'_>, wide: bool, paint: Paint) -> String {
    let mut place = printable(record.subject);
    if wide {
        let time = units::time(record.time_ms);
        place = format!("{time} {}:{} {} {place}", record.stream, record.sequence, record.sink);
    }
    format!("{} {}", paint.apply(Style::Label, &place), printable(&record.payload.display()))
}
