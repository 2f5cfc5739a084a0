//! `millstream publish`: lines of a file into a stream.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use async_nats::jetstream::context::PublishAckFuture;
use clap::Args;
use futures::stream::{FuturesUnordered, StreamExt};
use millstream_control::errors;
use millstream_log::connect::Connection;

use crate::cli::App;
use crate::connection::{block_on, open};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::{progress, units};

/// Publishes that wait for their acknowledgement at one time.
const IN_FLIGHT_MAX: usize = 512;

/// Publish each line of a file as one record to a subject that a stream captures
#[derive(Args)]
pub struct Publish {
    /// The subject
    subject: String,

    /// Where records come from, one per line; `-` is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
}

impl Publish {
    /// Publishes, and returns when the stream has acknowledged every record.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let connection = open(&app.global).await?;
            let records = self.publish(&connection).await?;
            say(&format!("{} records published to {}", units::count(records), self.subject));
            Ok(Exit::Ok)
        })
    }

    async fn publish(&self, connection: &Connection) -> Result<u64, Failure> {
        let from_stdin = self.input == Path::new("-");
        let failed = |error: &io::Error| Failure::file("read", &self.input, error);
        let (reader, size): (Box<dyn Read>, u64) = match from_stdin {
            true => (Box::new(io::stdin().lock()), 0),
            false => {
                let file = File::open(&self.input).map_err(|error| failed(&error))?;
                let size = file.metadata().map_or(0, |metadata| metadata.len());
                (Box::new(file), size)
            }
        };
        let bar = progress::over_bytes(size, "publishing");
        let mut lines = BufReader::new(bar.wrap_read(reader));
        let mut waiting = FuturesUnordered::new();
        let mut line = Vec::new();
        let mut records = 0;
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line).map_err(|error| failed(&error))?;
            let payload = line.trim_ascii_end();
            if read > 0 && !payload.is_empty() {
                waiting.push(self.send(connection, payload).await?.into_future());
                records += 1;
            }
            while waiting.len() >= IN_FLIGHT_MAX || (read == 0 && !waiting.is_empty()) {
                if let Some(Err(error)) = waiting.next().await {
                    return Err(self.refused(&error));
                }
            }
            if read == 0 {
                bar.finish_and_clear();
                return Ok(records);
            }
        }
    }

    async fn send(
        &self,
        connection: &Connection,
        payload: &[u8],
    ) -> Result<PublishAckFuture, Failure> {
        let payload = bytes::Bytes::copy_from_slice(payload);
        let sent = connection.jetstream().publish(self.subject.clone(), payload).await;
        sent.map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &async_nats::jetstream::context::PublishError) -> Failure {
        use async_nats::jetstream::context::PublishErrorKind as Kind;
        match error.kind() {
            Kind::StreamNotFound => Failure::coded(
                errors::NO_STREAM,
                format!("no stream captures subject {}", self.subject),
            )
            .help(format!(
                "create one: `nats stream add --subjects '{}'`; `millstream dev -f PIPELINE` \
                             creates those that a pipeline needs",
                self.subject
            )),
            Kind::TimedOut => {
                Failure::coded(errors::NO_ANSWER, "the stream does not acknowledge").because(error)
            }
            _ => Failure::coded(errors::STORAGE, "the stream refused a record").because(error),
        }
    }
}
