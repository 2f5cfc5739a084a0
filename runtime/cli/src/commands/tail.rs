//! `millstream tail`: what a pipeline writes, as it writes it.

use std::collections::BTreeMap;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use clap::Args;
use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use millstream_control::api::Data;
use millstream_control::api::pipelines::Describe;
use millstream_control::errors;
use serde::Serialize;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::style::{Paint, Style};
use crate::output::table::printable;
use crate::output::{Format, units};

/// Show what a pipeline writes to its sinks, as it writes it; ends with ctrl-c
#[derive(Args)]
pub struct Tail {
    /// The pipeline
    name: String,

    /// Only these sinks (names in the manifest); may be given several times
    #[arg(long, value_name = "SINK")]
    sink: Vec<String>,

    /// Begin with the oldest record that the sinks' streams still hold, not with the next one
    #[arg(long)]
    all: bool,

    /// End after so many records
    #[arg(long, value_name = "N")]
    count: Option<usize>,
}

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

type Messages = BoxStream<'static, (String, Result<Message, Failure>)>;

impl Tail {
    /// Follows the sinks.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(self.follow(app))
    }

    async fn follow(self, app: &App) -> Result<Exit, Failure> {
        let remote = Remote::connect(app).await?;
        let described = remote.call(&Describe { pipeline: self.name.clone() }).await?;
        let manifest = crate::manifest::stored(&described)?;
        let subjects: BTreeMap<String, String> =
            manifest.sinks.into_iter().map(|(name, sink)| (name, sink.subject)).collect();

        let mut readers = Vec::new();
        for (sink, subject) in self.chosen(&subjects)? {
            readers.push(self.open(&remote, sink, subject).await?);
        }
        let mut records = select_all(readers);
        let mut left = self.count.unwrap_or(usize::MAX);
        while left > 0 {
            let Some((sink, message)) = records.next().await else {
                break;
            };
            print(app, &sink, &message?)?;
            left -= 1;
        }
        Ok(Exit::Ok)
    }

    fn chosen<'a>(
        &'a self,
        subjects: &'a BTreeMap<String, String>,
    ) -> Result<Vec<(&'a String, &'a String)>, Failure> {
        let known = || subjects.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        if subjects.is_empty() {
            return Err(Failure::coded(
                errors::SINK_UNKNOWN,
                format!("pipeline {} has no sinks", self.name),
            ));
        }
        if self.sink.is_empty() {
            return Ok(subjects.iter().collect());
        }
        let find = |sink: &String| {
            subjects.get_key_value(sink).ok_or_else(|| {
                Failure::coded(
                    errors::SINK_UNKNOWN,
                    format!("pipeline {} has no sink `{sink}`", self.name),
                )
                .help(format!("its sinks are: {}", known()))
            })
        };
        self.sink.iter().map(find).collect()
    }

    async fn open(&self, remote: &Remote, sink: &str, subject: &str) -> Result<Messages, Failure> {
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
        let deliver_policy = if self.all { DeliverPolicy::All } else { DeliverPolicy::New };
        let config = pull::OrderedConfig {
            filter_subject: subject,
            deliver_policy,
            ..pull::OrderedConfig::default()
        };
        let handle = jetstream.get_stream(&stream).await.map_err(|error| failed("open", &error))?;
        let consumer =
            handle.create_consumer(config).await.map_err(|error| failed("read", &error))?;
        let messages = consumer.messages().await.map_err(|error| failed("read", &error))?;
        let sink = sink.to_owned();
        let messages = messages.map(move |message| {
            let message = message.map_err(|error| {
                Failure::coded(errors::STORAGE, format!("cannot read on in stream {stream}"))
                    .because(&error)
            });
            (sink.clone(), message)
        });
        Ok(messages.boxed())
    }
}

fn print(app: &App, sink: &str, message: &Message) -> Result<(), Failure> {
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
    let wide = app.out.format() == Format::Wide;
    app.out.event(&record, &name, |paint| line(&record, wide, paint))
}

fn line(record: &Record<'_>, wide: bool, paint: Paint) -> String {
    let mut place = printable(record.subject);
    if wide {
        let time = units::time(record.time_ms);
        place = format!("{time} {}:{} {} {place}", record.stream, record.sequence, record.sink);
    }
    format!("{} {}", paint.apply(Style::Label, &place), printable(&record.payload.display()))
}
