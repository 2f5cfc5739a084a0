//! Dead letters: listing, redriving, dropping. The engine writes them; see [`crate::api::dead_letters`] for
//! the streams and headers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{self, RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, ErrorCode};
use futures::TryStreamExt;
use millstream_engine::ingest::stage_of;
use millstream_log::connect::Connection;

use crate::api::Data;
use crate::api::dead_letters::*;
use crate::errors;
use crate::manifest::Document;
use crate::problem::Problem;

/// How long the redrive stream remembers message ids: a redrive that is repeated within it has no second effect.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(3_600);

/// The streams of dead letters and of redriven records.
#[derive(Clone)]
pub struct DeadLetters {
    jetstream: jetstream::Context,
    replicas: usize,
}

impl DeadLetters {
    /// On a connection; streams that have to be made get this many replicas.
    pub fn new(connection: &Connection, replicas: usize) -> Self {
        DeadLetters { jetstream: connection.jetstream().clone(), replicas }
    }

    /// Creates both streams if they are missing. Streams that exist stay as the operator made them.
    ///
    /// # Errors
    /// MS1406.
    pub async fn ensure_streams(&self) -> Result<(), Problem> {
        self.stream(DEAD_LETTER_STREAM, DEAD_LETTER_PREFIX).await?;
        self.stream(REDRIVE_STREAM, REDRIVE_PREFIX).await?;
        Ok(())
    }

    async fn stream(&self, name: &str, prefix: &str) -> Result<Stream, Problem> {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: vec![format!("{prefix}.>")],
            num_replicas: self.replicas,
            duplicate_window: DUPLICATE_WINDOW,
            allow_direct: true,
            description: Some("Made by Millstream".to_owned()),
            ..stream::Config::default()
        };
        self.jetstream.get_or_create_stream(config).await.map_err(|error| storage(name, &error))
    }

    async fn letters(&self) -> Result<Stream, Problem> {
        self.stream(DEAD_LETTER_STREAM, DEAD_LETTER_PREFIX).await
    }

    /// How many letters wait, by pipeline; of one pipeline or of all.
    pub async fn waiting(&self, pipeline: Option<&str>) -> Result<BTreeMap<String, u64>, Problem> {
        let failed = |error: &dyn std::fmt::Display| storage(DEAD_LETTER_STREAM, error);
        let stream = self.letters().await?;
        let mut subjects = stream
            .info_with_subjects(filter(pipeline, None))
            .await
            .map_err(|error| failed(&error))?;
        let mut waiting = BTreeMap::new();
        while let Some((subject, count)) =
            subjects.try_next().await.map_err(|error| failed(&error))?
        {
            let tokens = subject.strip_prefix(DEAD_LETTER_PREFIX).unwrap_or_default();
            let pipeline = tokens.split('.').nth(1).unwrap_or_default().to_owned();
            *waiting.entry(pipeline).or_default() += count as u64;
        }
        Ok(waiting)
    }

    /// Lists letters without their payloads, in the order of their sequences.
    pub async fn list(&self, request: &List) -> Result<Listing, Problem> {
        let filter = filter(request.pipeline.as_deref(), request.stage.as_deref());
        let limit = request.limit.clamp(1, LETTERS_MAX) as usize;
        let stream = self.letters().await?;
        let mut letters = Vec::new();
        let mut after = request.after;
        while let Some(message) = next(&stream, &filter, after).await? {
            if letters.len() == limit {
                return Ok(Listing { letters, more: true });
            }
            after = message.sequence;
            letters.push(DeadLetter { payload: None, ..read(&message) });
        }
        Ok(Listing { letters, more: false })
    }

    /// One letter with its payload.
    ///
    /// # Errors
    /// MS1320 if there is none at this sequence.
    pub async fn show(&self, sequence: u64) -> Result<DeadLetter, Problem> {
        let stream = self.letters().await?;
        let message = get(&stream, sequence).await?.ok_or_else(|| unknown(sequence))?;
        Ok(read(&message))
    }

    /// Publishes the original records to the redrive subjects of the inputs they came from, then deletes the letters. A
    /// crash in between and a repetition within [`DUPLICATE_WINDOW`] hand no record over twice. Letters whose input
    /// nobody reads stay where they are.
    ///
    /// # Errors
    /// MS1320 for the first named letter that is not there or not of the pipeline, MS1321 for the first one that cannot be
    /// redriven; the ones before it are done.
    pub async fn redrive(
        &self,
        selection: &Selection,
        limit: u32,
        inputs: &Inputs,
    ) -> Result<Handled, Problem> {
        self.ensure_streams().await?;
        let mut stream = self.letters().await?;
        let created =
            stream.info().await.map_err(|error| storage(DEAD_LETTER_STREAM, &error))?.created;
        // Sequences begin anew when the stream is made anew; ids must not.
        let life = created.unix_timestamp_nanos();
        self.each(&stream, selection, limit, Action::Redrive { life, inputs }).await
    }

    /// Removes what was redriven to a pipeline's stages.
    ///
    /// # Errors
    /// MS1406.
    pub async fn forget_redriven(&self, pipeline: &str) -> Result<(), Problem> {
        let stream = self.stream(REDRIVE_STREAM, REDRIVE_PREFIX).await?;
        let purged = stream.purge().filter(redrive_subject(pipeline, "*", ">")).await;
        purged.map(drop).map_err(|error| storage(REDRIVE_STREAM, &error))
    }

    /// Deletes letters.
    ///
    /// # Errors
    /// As [`DeadLetters::redrive`].
    pub async fn drop_letters(
        &self,
        selection: &Selection,
        limit: u32,
    ) -> Result<Handled, Problem> {
        let stream = self.letters().await?;
        self.each(&stream, selection, limit, Action::Drop).await
    }

    /// Does something with each selected letter and deletes it then.
    async fn each(
        &self,
        stream: &Stream,
        selection: &Selection,
        limit: u32,
        action: Action<'_>,
    ) -> Result<Handled, Problem> {
        let limit = u64::from(limit.clamp(1, LETTERS_MAX));
        let filter = filter(Some(&selection.pipeline), selection.stage.as_deref());
        // What is redriven and refused again comes back behind the letters that were meant.
        let through = stream.cached_info().state.last_sequence;
        let mut handled = Handled::default();
        let mut after = 0;
        let mut named = selection.sequences.iter();
        loop {
            let message = if selection.sequences.is_empty() {
                let found = next(stream, &filter, after).await?;
                found.filter(|message| message.sequence <= through)
            } else {
                match named.next() {
                    Some(sequence) => Some(selected(stream, selection, *sequence).await?),
                    None => None,
                }
            };
            let Some(message) = message else { return Ok(handled) };
            after = message.sequence;
            if let Action::Redrive { inputs, .. } = action
                && let Err(problem) = inputs.check(&read(&message))
            {
                if !selection.sequences.is_empty() {
                    return Err(problem);
                }
                handled.left += 1;
                continue;
            }
            if handled.handled == limit {
                handled.more = true;
                return Ok(handled);
            }
            if let Action::Redrive { life, .. } = action {
                self.hand_over(&message, life).await?;
            }
            delete(stream, message.sequence).await?;
            handled.handled += 1;
        }
    }

    /// Publishes a letter's record to its stage's input and waits for the acknowledgement.
    async fn hand_over(&self, message: &StreamMessage, life: i128) -> Result<(), Problem> {
        let letter = read(message);
        let publish = PublishMessage::build()
            .payload(message.payload.clone())
            .headers(redriven_headers(&message.headers, letter.attempts))
            .message_id(format!("redrive-{life}-{}", message.sequence));
        let subject = redrive_subject(&letter.pipeline, &letter.stage, &letter.input);
        let sent = self.jetstream.send_publish(subject, publish).await;
        let acknowledged = match sent {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        acknowledged.map(drop).map_err(|error| storage(REDRIVE_STREAM, &error))
    }
}

/// What happens to selected letters before they are deleted.
#[derive(Clone, Copy)]
enum Action<'a> {
    /// They are handed to their stage; `life` tells one life of the stream from the next.
    Redrive { life: i128, inputs: &'a Inputs },
    /// Nothing.
    Drop,
}

/// The inputs that a pipeline's stages read: only their records can be redriven.
#[derive(Debug)]
pub struct Inputs(BTreeMap<String, BTreeSet<String>>);

impl Inputs {
    /// Those of a manifest.
    pub fn of(document: &Document) -> Self {
        let stages = document.manifest.stages.iter();
        let stages =
            stages.map(|(name, stage)| (name.clone(), stage.inputs.keys().cloned().collect()));
        // Some sources are read by a stage of their own.
        let sources = document.manifest.sources.keys();
        let ingest = sources.map(|name| (stage_of(name), BTreeSet::from([name.clone()])));
        Self(stages.chain(ingest).collect())
    }

    /// MS1321 if nobody would read the letter's record.
    fn check(&self, letter: &DeadLetter) -> Result<(), Problem> {
        let DeadLetter { sequence, pipeline, stage, input, .. } = letter;
        let message = if letter.source_sequence == 0 {
            format!("dead letter {sequence} is of the timer `{input}`, which has no record")
        } else if self.0.get(stage).is_some_and(|inputs| inputs.contains(input)) {
            return Ok(());
        } else {
            format!(
                "dead letter {sequence} came from `{input}`, which {pipeline}/{stage} does not read"
            )
        };
        Err(Problem::new(errors::NOTHING_TO_REDRIVE, message)
            .help("let the stage read that input again, or `millstream dlq drop` the letter"))
    }
}

/// The letter of this sequence, if it is of the pipeline and stage.
async fn selected(
    stream: &Stream,
    selection: &Selection,
    sequence: u64,
) -> Result<StreamMessage, Problem> {
    let message = get(stream, sequence).await?.ok_or_else(|| unknown(sequence))?;
    let letter = read(&message);
    if letter.pipeline != selection.pipeline
        || selection.stage.as_ref().is_some_and(|stage| *stage != letter.stage)
    {
        let message =
            format!("dead letter {sequence} is one of {}/{}", letter.pipeline, letter.stage);
        return Err(Problem::new(errors::DEAD_LETTER_UNKNOWN, message)
            .help("`millstream dlq ls` lists what there is"));
    }
    Ok(message)
}

/// Subjects of the letters meant. Names that are no tokens match nothing.
fn filter(pipeline: Option<&str>, stage: Option<&str>) -> String {
    let token = |name: Option<&str>| match name {
        Some(name) if crate::manifest::check_name(name).is_ok() => name.to_owned(),
        Some(_) => "-".to_owned(),
        None => "*".to_owned(),
    };
    dead_letter_subject(&token(pipeline), &token(stage))
}

/// The first letter of a filter behind a sequence.
async fn next(stream: &Stream, filter: &str, after: u64) -> Result<Option<StreamMessage>, Problem> {
    found(stream.get_first_raw_message_by_subject(filter, after + 1).await)
}

async fn get(stream: &Stream, sequence: u64) -> Result<Option<StreamMessage>, Problem> {
    // The server reads sequence 0 as "not given".
    if sequence == 0 {
        return Ok(None);
    }
    found(stream.get_raw_message(sequence).await)
}

fn found(
    answer: Result<StreamMessage, stream::RawMessageError>,
) -> Result<Option<StreamMessage>, Problem> {
    match answer {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            _ => Err(storage(DEAD_LETTER_STREAM, &error)),
        },
    }
}

/// Deletes a letter; one that is gone is deleted already.
async fn delete(stream: &Stream, sequence: u64) -> Result<(), Problem> {
    let Err(error) = stream.delete_message(sequence).await else { return Ok(()) };
    match error.kind() {
        stream::DeleteMessageErrorKind::JetStream(answer)
            if matches!(
                answer.error_code(),
                ErrorCode::NO_MESSAGE_FOUND | ErrorCode::SEQUENCE_NOT_FOUND
            ) =>
        {
            Ok(())
        }
        _ => Err(storage(DEAD_LETTER_STREAM, &error)),
    }
}

/// The record's own headers and the letter's place of origin; what belonged to the letter's publication is left out.
fn redriven_headers(headers: &HeaderMap, attempts: u32) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter() {
        let text: &str = name.as_ref();
        let is_publication = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("Nats-"));
        if is_publication || [CAUSE, ATTEMPTS, MODULE].contains(&text) {
            continue;
        }
        for value in values {
            kept.append(name.clone(), value.clone());
        }
    }
    kept.insert(ATTEMPTS, (attempts + 1).to_string());
    kept
}

fn read(message: &StreamMessage) -> DeadLetter {
    let text = |name: &str| {
        message.headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default()
    };
    let mut tokens = message
        .subject
        .as_str()
        .trim_start_matches(DEAD_LETTER_PREFIX)
        .trim_start_matches('.')
        .split('.');
    let mut token = || tokens.next().unwrap_or_default().to_owned();
    DeadLetter {
        sequence: message.sequence,
        pipeline: token(),
        stage: token(),
        cause: text(CAUSE),
        attempts: text(ATTEMPTS).parse().unwrap_or(1),
        module: text(MODULE),
        input: text(INPUT),
        source: text(SOURCE),
        source_sequence: text(SEQUENCE).parse().unwrap_or_default(),
        subject: text(SUBJECT),
        time_ms: text(TIME).parse().unwrap_or_default(),
        refused_at_ms: i64::try_from(message.time.unix_timestamp_nanos() / 1_000_000)
            .unwrap_or(i64::MAX),
        size: message.payload.len() as u64,
        payload: Some(Data(message.payload.to_vec())),
    }
}

fn unknown(sequence: u64) -> Problem {
    Problem::new(errors::DEAD_LETTER_UNKNOWN, format!("there is no dead letter {sequence}"))
        .help("`millstream dlq ls` lists what there is")
}

fn storage(stream: &str, error: &dyn std::fmt::Display) -> Problem {
    Problem::new(errors::STORAGE, format!("stream {stream}: {error}"))
        .help("`millstream doctor` checks JetStream")
}
