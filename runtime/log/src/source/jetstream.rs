//! A source on JetStream: an ack-none pull consumer in memory, thrown away at the first doubt.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::Subject;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::stream;
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::consumer::{self, facts, source_error};
use super::demand::{Demand, Pull, ReadAhead};
use super::queue::{Consume, Queue};
use super::reply::Reply;
use super::{Delivery, Source, SourceError, SourceEvent, StartAt, StreamFacts};
use crate::api::{self, MessageRequest};
use crate::connect::{Connection, chain};
use crate::line::{Line, Message, encode, headers};

/// Most deliveries of one event.
const BATCH_MAX: usize = 4_096;
/// How long the server keeps a pull request.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// How often the server shows that it is there while nothing is delivered.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Silence after which the consumer is taken for gone: two heartbeats and some.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Status: a heartbeat.
const IDLE_HEARTBEAT: u16 = 100;
/// Statuses: a request has ended, by time or by its bytes.
const TIMEOUT: u16 = 408;
const REQUEST_TERMINATED: u16 = 409;

const PENDING_MESSAGES: &str = "Nats-Pending-Messages";
const LAST_STREAM: &str = "Nats-Last-Stream";
const LAST_CONSUMER: &str = "Nats-Last-Consumer";

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOptions {
    /// The stream.
    pub stream: String,
    /// Subject filters; none: everything. More than one wildcard filter makes the server slow (2,000 records/s
    /// with 5,000 subjects).
    pub filters: Vec<String>,
    /// Where to begin.
    pub start: StartAt,
    /// Creation time of the stream that the position belongs to, where one is known.
    pub created_ns: Option<i64>,
    /// What may be held that nobody has taken yet.
    pub ahead: ReadAhead,
    /// If the stream's records vanish once they are acknowledged: how it is consumed. None: it is only read.
    pub consume: Option<Consume>,
}

/// A reader of a JetStream stream.
pub struct SourceReader {
    connection: Connection,
    stream: String,
    filters: Vec<String>,
    created_ns: i64,
    ahead: ReadAhead,
    /// A hole in the stream's sequences means deleted records: no filter, and nothing that deletes
    /// single records as a matter of course.
    dense: bool,
    /// If what is committed must be acknowledged.
    queue: Option<Queue>,
    position: Sequence,
    delivered: u64,
    restarts: u64,
    link: Option<Link>,
    /// Why the consumer is to be replaced before anything else.
    doubt: Option<Doubt>,
    gap: Option<(Sequence, Sequence)>,
    /// The delivery behind `gap`, or behind a hole that has to be looked into.
    held: Option<(Delivery, Reply)>,
    reported_through: Option<Sequence>,
}

/// A consumer and what was asked of it.
struct Link {
    consumer: String,
    line: Line,
    demand: Demand,
    sequence: u64,
    pending: u64,
    /// Whether `pending` may be believed: the server could have delivered more since, had there been more.
    fresh: bool,
    /// Everything of the filter up to here was delivered once `pending` is 0.
    scanned: Sequence,
    /// The last record of the filter that the stream's leader had when the consumer was made. The consumer's own replica may not
    /// have it yet, and then counts too little as pending.
    end: Sequence,
    heard: Instant,
}

/// Why a consumer is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Disconnected,
    Silent,
    Hole,
    Ended,
}

/// What the arrived messages came to.
enum Taken {
    /// The buffer grew, or statuses had arrived.
    Some,
    /// Nothing has arrived.
    Nothing,
    /// The consumer must be replaced.
    Doubtful(Doubt),
    /// A record of a dense stream is not the next one.
    Jump,
}

/// A server keeps a consumer that nobody asks for a minute; who lists buckets often would leave many.
impl Drop for SourceReader {
    fn drop(&mut self) {
        // A durable one stays for whoever comes next.
        if self.queue.is_some() {
            return;
        }
        let (Some(link), Ok(runtime)) = (self.link.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let (connection, stream) = (self.connection.clone(), self.stream.clone());
        runtime.spawn(async move {
            consumer::forget(&connection, stream.as_str(), &link.consumer).await;
        });
    }
}

impl SourceReader {
    /// Looks the stream up and finds where to begin.
    pub async fn open(
        connection: &Connection,
        options: SourceOptions,
    ) -> Result<SourceReader, SourceError> {
        let consumed = options.consume.is_some();
        let info = consumer::stream_info(connection, &options.stream, consumed).await?;
        let now = facts(&info);
        let position = match options.start {
            StartAt::After(position) => position,
            StartAt::Beginning => Sequence(now.first.0 - 1),
            StartAt::New => now.last,
            StartAt::Time(time_ns) => before(connection, &options, time_ns).await?,
        };
        let whole = options.filters.is_empty() || options.filters == info.config.subjects;
        Ok(SourceReader {
            connection: connection.clone(),
            stream: options.stream,
            filters: if whole { Vec::new() } else { options.filters },
            created_ns: options.created_ns.unwrap_or(now.created_ns),
            ahead: options.ahead,
            dense: whole && !consumed && keeps_single_records(&info.config),
            queue: options.consume.map(Queue::new),
            position,
            delivered: 0,
            restarts: 0,
            link: None,
            doubt: None,
            gap: None,
            held: None,
            reported_through: None,
        })
    }

    /// Has the server forget the consumer. Without this it does so after a minute.
    pub async fn close(mut self) {
        if let Some(link) = self.link.take()
            && self.queue.is_none()
        {
            consumer::forget(&self.connection, &self.stream, &link.consumer).await;
        }
    }

    /// Acknowledges what was delivered up to here: it is committed. For a stream that is consumed.
    pub fn acknowledge(&mut self, through: Sequence) {
        let Some(queue) = &mut self.queue else { return };
        let mut acks = Vec::new();
        queue.commit(through, &mut acks);
        // On a lost line they go nowhere; what is delivered again is acknowledged again.
        if let Some(link) = &self.link
            && !acks.is_empty()
        {
            link.line.send(&mut acks);
        }
    }

    /// Breaks the connection that it reads over.
    #[cfg(test)]
    pub(super) fn cut(&mut self) {
        if let Some(link) = &mut self.link {
            link.line.cut();
        }
    }

    /// Records of the filter that wait behind the last delivery, as of then.
    pub fn pending(&self) -> Option<u64> {
        self.link.as_ref().map(|link| link.pending)
    }

    /// Checks the stream and makes a consumer behind the position.
    #[cold]
    async fn attach(&mut self) -> Result<(), SourceError> {
        let consumed = self.queue.is_some();
        let info = consumer::stream_info(&self.connection, &self.stream, consumed).await?;
        let now = facts(&info);
        if now.created_ns != self.created_ns {
            return Err(SourceError::Recreated {
                stream: self.stream.clone(),
                expected_ns: self.created_ns,
                found_ns: now.created_ns,
            });
        }
        if now.last < self.position {
            return Err(SourceError::RolledBack {
                stream: self.stream.clone(),
                position: self.position.0,
                last: now.last.0,
            });
        }
        let end = match consumed {
            true => self.position,
            false => last_of(&self.connection, &self.stream, &self.filters).await?,
        };
        let start_sequence = self.position.0 + 1;
        // What was acknowledged is gone, as it should be.
        if now.first.0 > start_sequence && !consumed {
            self.gap = Some((Sequence(start_sequence), Sequence(now.first.0 - 1)));
        }
        let line = Line::open(&self.connection).await.map_err(|error| {
            SourceError::Unreachable { stream: self.stream.clone(), description: chain(&error) }
        })?;
        // The inbox's last token is random.
        let id = line.inbox().rsplit('.').next().unwrap_or_default();
        let (name, created) = match &mut self.queue {
            Some(queue) => queue.attach(&self.connection, &info, id, &self.filters).await?,
            None => {
                let (name, connection) = (format!("millstream-{id}"), &self.connection);
                let policy = DeliverPolicy::ByStartSequence { start_sequence };
                let (stream, filters) = (&self.stream, &self.filters);
                let created =
                    consumer::create_scanning(connection, stream, &name, filters, policy).await?;
                (name, created)
            }
        };
        let payload_bytes_max = self.connection.payload_bytes_max() as u64;
        self.link = Some(Link {
            consumer: name,
            line,
            demand: Demand::new(self.ahead, payload_bytes_max),
            sequence: 0,
            pending: created.pending,
            fresh: true,
            // Nothing of the filter lies between the position and the stream's end.
            scanned: if end <= self.position && !consumed { now.last } else { self.position },
            end,
            heard: Instant::now(),
        });
        Ok(())
    }

    /// Throws the consumer away.
    #[cold]
    async fn detach(&mut self, doubt: Doubt) {
        let Some(link) = self.link.take() else { return };
        self.held = None;
        self.restarts += 1;
        tracing::info!(stream = %self.stream, position = self.position.0, ?doubt, "source consumer is made anew");
        if self.queue.is_none() {
            consumer::forget(&self.connection, &self.stream, &link.consumer).await;
        }
    }

    /// A record of a dense stream is not the next one: has the stream dropped what lies between?
    #[cold]
    async fn look_into_jump(&mut self) -> Result<(), SourceError> {
        let Some((_, reply)) = &self.held else { return Ok(()) };
        let found = reply.stream_sequence;
        let expected = self.position.0 + 1;
        let now = facts(&consumer::stream_info(&self.connection, &self.stream, false).await?);
        // If not, then single records were deleted on purpose.
        if now.first.0 > expected {
            self.gap = Some((Sequence(expected), Sequence(found - 1)));
        }
        // What was looked into is no jump any more.
        self.position = Sequence(found - 1);
        Ok(())
    }

    /// Asks for more where there is room.
    fn pull(&mut self) {
        let Some(link) = &mut self.link else { return };
        let mut requests = Vec::new();
        while let Some(pull) = link.demand.wanted() {
            let subject = self
                .connection
                .api_subject(&format!("CONSUMER.MSG.NEXT.{}.{}", self.stream, link.consumer));
            let reply = format!("{}.{}", link.line.inbox(), pull.id);
            let body = request_body(pull);
            encode::publish(&mut requests, &subject, reply.as_bytes(), body.as_bytes());
            link.demand.sent(pull);
        }
        if !requests.is_empty() {
            link.line.send(&mut requests);
        }
    }

    /// Takes what has arrived, without waiting; with a waker when nothing has.
    fn take(
        &mut self,
        batch: &mut Vec<Delivery>,
        context: &mut Context<'_>,
    ) -> Result<Taken, SourceError> {
        let Some(link) = &mut self.link else { return Ok(Taken::Nothing) };
        let before = batch.len();
        let room = before + BATCH_MAX;
        let (mut statuses, mut heard) = (false, false);
        let mut acks = Vec::new();
        while batch.len() < room {
            let (mut delivery, reply) = match self.held.take() {
                Some(held) => held,
                None => {
                    let message = match link.line.poll_next(context) {
                        Poll::Ready(Some(message)) => message,
                        Poll::Ready(None) => return Ok(Taken::Doubtful(Doubt::Disconnected)),
                        Poll::Pending => break,
                    };
                    heard = true;
                    if let Some(status) = headers::status(message.headers()) {
                        statuses = true;
                        match judge(status, &message, link.sequence, &mut link.demand) {
                            Ok(None) => {}
                            // A heartbeat says that there is nothing to deliver.
                            Ok(Some(last)) => {
                                // Or that too much is not acknowledged yet.
                                if self.queue.as_ref().is_none_or(Queue::is_settled) {
                                    link.pending = 0;
                                }
                                link.fresh = true;
                                link.scanned = link.scanned.max(last);
                            }
                            Err(doubt) => return Ok(Taken::Doubtful(doubt)),
                        }
                        continue;
                    }
                    let Some(reply) = Reply::parse(message.reply()) else {
                        return Err(SourceError::Reply {
                            stream: self.stream.clone(),
                            reply: String::from_utf8_lossy(message.reply()).into_owned(),
                        });
                    };
                    link.demand.delivered();
                    link.fresh = link.demand.is_open();
                    let is_known = reply.stream_sequence <= self.position.0;
                    if reply.consumer_sequence != link.sequence + 1
                        || is_known && self.queue.is_none()
                    {
                        return Ok(Taken::Doubtful(Doubt::Hole));
                    }
                    link.sequence = reply.consumer_sequence;
                    if let Some(queue) = &mut self.queue {
                        queue.delivered(reply.stream_sequence, message.reply(), &mut acks);
                        if is_known {
                            (statuses, link.pending) = (true, reply.pending);
                            continue;
                        }
                    }
                    (delivery(&message, &reply), reply)
                }
            };
            if self.dense && reply.stream_sequence != self.position.0 + 1 {
                self.held = Some((delivery, reply));
                return Ok(Taken::Jump);
            }
            self.position = delivery.sequence;
            self.delivered += 1;
            link.pending = reply.pending;
            link.scanned = self.position;
            delivery.consumer_sequence = self.delivered;
            batch.push(delivery);
        }
        if !acks.is_empty() {
            link.line.send(&mut acks);
        }
        if heard {
            link.heard = Instant::now();
        }
        Ok(if statuses || batch.len() > before { Taken::Some } else { Taken::Nothing })
    }

    /// Waits for messages, for the loss of the connection, or for a silence that is too long.
    async fn arrivals(&mut self, batch: &mut Vec<Delivery>) -> Result<Taken, SourceError> {
        let Some(link) = &mut self.link else { return Ok(Taken::Nothing) };
        let silent_at = link.heard + SILENCE_MAX;
        // The runtime's budget would hand out 128 messages at a time; the batch has a bound of its own.
        let arrived = unconstrained(poll_fn(|context| match self.take(batch, context) {
            Ok(Taken::Nothing) => Poll::Pending,
            taken => Poll::Ready(taken),
        }));
        tokio::select! {
            biased;
            taken = arrived => taken,
            () = tokio::time::sleep_until(silent_at) => Ok(Taken::Doubtful(Doubt::Silent)),
        }
    }

    /// Whether the broker has said lately that every record of the filter was delivered.
    pub fn is_caught_up(&self) -> bool {
        self.held.is_none()
            && self.link.as_ref().is_some_and(|link| {
                link.pending == 0
                    && link.fresh
                    && link.scanned >= link.end
                    && link.heard.elapsed() < SILENCE_MAX
            })
    }

    /// Whether there is something to say about being caught up.
    fn caught_up(&mut self) -> Option<SourceEvent> {
        let link = self.link.as_ref()?;
        if link.pending > 0
            || !link.fresh
            || link.scanned < link.end
            || self.held.is_some()
            || self.reported_through >= Some(link.scanned)
        {
            return None;
        }
        self.reported_through = Some(link.scanned);
        Some(SourceEvent::CaughtUp { through: link.scanned })
    }

    async fn event(&mut self, batch: &mut Vec<Delivery>) -> Result<SourceEvent, SourceError> {
        loop {
            if let Some(doubt) = self.doubt.take() {
                self.detach(doubt).await;
                // Whoever removes a durable consumer has taken over, or means it: making it anew at once would be a fight.
                if doubt == Doubt::Ended && self.queue.is_some() {
                    let description = "its consumer was removed".to_owned();
                    return Err(SourceError::Unreachable {
                        stream: self.stream.clone(),
                        description,
                    });
                }
            }
            if let Some((from, through)) = self.gap.take() {
                self.position = self.position.max(through);
                return Ok(SourceEvent::Gap { from, through });
            }
            if self.link.is_none() {
                self.attach().await?;
                continue;
            }
            self.pull();
            // What is here already goes first; only then is it worth saying that there is no more.
            let before = batch.len();
            let mut taken =
                unconstrained(poll_fn(|context| Poll::Ready(self.take(batch, context)))).await?;
            if matches!(taken, Taken::Nothing) {
                if let Some(event) = self.caught_up() {
                    return Ok(event);
                }
                taken = self.arrivals(batch).await?;
            }
            if let Taken::Doubtful(doubt) = taken {
                self.doubt = Some(doubt);
            }
            if batch.len() > before {
                // No await lies between taking and this: a dropped call loses nothing.
                let pending = self.link.as_ref().map_or(0, |link| link.pending);
                return Ok(SourceEvent::Records { pending });
            }
            if matches!(taken, Taken::Jump) {
                self.look_into_jump().await?;
            }
        }
    }
}

/// Takes a status into account: a heartbeat says which record of the stream was the last delivered. Fails when the status
/// casts doubt on the consumer, whose last delivery was `sequence`.
#[cold]
fn judge(
    (status, description): (u16, &str),
    message: &Message<'_>,
    sequence: u64,
    demand: &mut Demand,
) -> Result<Option<Sequence>, Doubt> {
    let header = |name| headers::value(message.headers(), name)?.parse().ok();
    match status {
        IDLE_HEARTBEAT => {
            // The server has sent more than has arrived.
            if header(LAST_CONSUMER).is_some_and(|last: u64| last != sequence) {
                return Err(Doubt::Hole);
            }
            Ok(Some(Sequence(header(LAST_STREAM).unwrap_or(0))))
        }
        TIMEOUT | REQUEST_TERMINATED => {
            // The end of one request names what it did not get; anything else is the consumer's end.
            let undelivered = header(PENDING_MESSAGES).ok_or(Doubt::Ended)?;
            let too_large = description.contains("MaxBytes");
            demand.ended(message.token().unwrap_or(0), undelivered, too_large);
            Ok(None)
        }
        _ => Err(Doubt::Ended),
    }
}

/// A message as a record; its number among the deliveries is still to be given.
fn delivery(message: &Message<'_>, reply: &Reply) -> Delivery {
    let block = message.headers();
    Delivery {
        sequence: Sequence(reply.stream_sequence),
        consumer_sequence: 0,
        time_ns: reply.time_ns,
        subject: Subject::from_utf8(message.subject_bytes())
            .unwrap_or_else(|_| String::from_utf8_lossy(message.subject()).into_owned().into()),
        headers: (!block.is_empty()).then(|| headers::map(block)),
        payload: message.payload_bytes(),
    }
}

/// Where to begin for a time: behind the last record stored before it.
async fn before(
    connection: &Connection,
    options: &SourceOptions,
    time_ns: i64,
) -> Result<Sequence, SourceError> {
    let start_time =
        async_nats::datetime::from_nanos(time_ns.into()).map_err(|error| SourceError::Broker {
            stream: options.stream.clone(),
            request: "start at a time",
            code: 0,
            description: error.to_string(),
        })?;
    let inbox = connection.client.new_inbox();
    let name = format!("millstream-{}", inbox.rsplit('.').next().unwrap_or_default());
    let policy = DeliverPolicy::ByStartTime { start_time };
    let created =
        consumer::create_scanning(connection, &options.stream, &name, &options.filters, policy)
            .await?;
    consumer::forget(connection, &options.stream, &name).await;
    Ok(created.before)
}

/// The last record of the filters, as the stream's leader has it; 0: there is none.
async fn last_of(
    connection: &Connection,
    stream: &str,
    filters: &[String],
) -> Result<Sequence, SourceError> {
    let everything = [">".to_owned()];
    let filters = if filters.is_empty() { &everything } else { filters };
    let mut last = Sequence(0);
    for filter in filters {
        let found = api::last_message(connection, stream, filter).await;
        let found = found.map_err(|error| source_error(stream, "get the last record", error))?;
        last = last.max(Sequence(found.map_or(0, |found| found.sequence)));
    }
    Ok(last)
}

/// Whether nothing but the stream's limits at its old end removes records.
fn keeps_single_records(config: &stream::Config) -> bool {
    config.max_messages_per_subject <= 0
        && !config.allow_rollup
        && !config.allow_message_ttl
        && config.mirror.is_none()
}

fn request_body(pull: Pull) -> String {
    format!(
        r#"{{"batch":{},"max_bytes":{},"expires":{},"idle_heartbeat":{}}}"#,
        pull.messages,
        pull.bytes,
        PULL_EXPIRES.as_nanos(),
        HEARTBEAT.as_nanos()
    )
}

impl Source for SourceReader {
    fn next<'a>(
        &'a mut self,
        batch: &'a mut Vec<Delivery>,
    ) -> BoxFuture<'a, Result<SourceEvent, SourceError>> {
        Box::pin(self.event(batch))
    }

    fn facts(&self) -> BoxFuture<'_, Result<StreamFacts, SourceError>> {
        Box::pin(async move {
            let consumed = self.queue.is_some();
            Ok(facts(&consumer::stream_info(&self.connection, &self.stream, consumed).await?))
        })
    }

    fn time_of(&self, sequence: Sequence) -> BoxFuture<'_, Result<Option<i64>, SourceError>> {
        Box::pin(async move {
            let request =
                MessageRequest { sequence: Some(sequence.0), ..MessageRequest::default() };
            let message = api::leader_message(&self.connection, &self.stream, &request)
                .await
                .map_err(|error| source_error(&self.stream, "get a record", error))?;
            Ok(message.map(|message| api::nanoseconds(message.time)))
        })
    }

    fn restart(&mut self, position: Sequence) {
        self.link = None;
        self.doubt = None;
        self.held = None;
        self.gap = None;
        self.reported_through = None;
        self.position = position;
        self.delivered = 0;
    }

    fn position(&self) -> Sequence {
        self.position
    }

    fn restarts(&self) -> u64 {
        self.restarts
    }
}
