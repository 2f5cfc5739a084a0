//! A line to NATS: a connection of its own for what carries every record, the reading of sources and the publishing
//! of outputs. It is made once, never again: when it is lost, so is all that waits in it, and its owner begins anew.
//!
//! Everything else (API calls, commits, key-value) goes over the client library. For each message that passes through it
//! the library makes a header map, strings and two passages between tasks: 2 to 3 CPU-seconds per million records,
//! as much as the UDF, its state and the commits together. A line hands over what one read from the socket
//! gave as one [`Batch`] whose messages share its buffer, and sends bytes that were encoded in place ([`encode`]).
//!
//! It also is what egress needs for order: a client that reconnects by itself sends what was queued behind
//! what got lost.

pub(crate) mod encode;
mod frames;
pub(crate) mod headers;
mod open;
mod tls;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use frames::{Batch, Frames, Signal};

/// A socket's reading half.
type Reading = Box<dyn AsyncRead + Send + Unpin>;
/// A socket's writing half.
type Writing = Box<dyn AsyncWrite + Send + Unpin>;

/// An open connection with one subscription, to everything below its [`inbox`](Line::inbox).
pub(crate) struct Line {
    inbox: String,
    output: Arc<Output>,
    batches: mpsc::UnboundedReceiver<Batch>,
    batch: Batch,
    lost: bool,
    /// What reads and what writes; they end with the line.
    _tasks: JoinSet<()>,
}

/// Bytes on their way to the socket.
#[derive(Default)]
struct Output {
    pending: Mutex<Vec<u8>>,
    ready: Notify,
}

impl Output {
    fn send(&self, bytes: &mut Vec<u8>) {
        let mut pending = self.pending.lock();
        if pending.is_empty() {
            std::mem::swap(&mut *pending, bytes);
        } else {
            pending.extend_from_slice(bytes);
        }
        drop(pending);
        bytes.clear();
        self.ready.notify_one();
    }
}

impl Line {
    /// Runs a connection whose greeting is over and whose subscription is made. `frames`: what was read and not used.
    fn start(inbox: String, halves: (Reading, Writing), frames: Frames) -> Line {
        let output = Arc::new(Output::default());
        let (sender, batches) = mpsc::unbounded_channel();
        let (reading, writing) = halves;
        let mut tasks = JoinSet::new();
        tasks.spawn(read(reading, frames, Arc::clone(&output), sender));
        tasks.spawn(write(writing, Arc::clone(&output)));
        Line { inbox, output, batches, batch: Batch::default(), lost: false, _tasks: tasks }
    }

    /// Prefix of the subjects whose messages arrive here: append `.` and a token.
    pub fn inbox(&self) -> &str {
        &self.inbox
    }

    /// Sends what was [`encode`]d, behind all that was sent before, and leaves `bytes` empty. On a lost line they go nowhere.
    pub fn send(&self, bytes: &mut Vec<u8>) {
        self.output.send(bytes);
    }

    /// The next message; none: the line is lost.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Message<'_>>> {
        while self.batch.is_over() {
            match self.batches.poll_recv(context) {
                Poll::Ready(Some(batch)) => self.batch = batch,
                Poll::Ready(None) => {
                    self.lost = true;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    // What has been handed out need not be kept until more arrives.
                    self.batch = Batch::default();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(self.batch.next())
    }

    /// Breaks the connection.
    #[cfg(test)]
    pub fn cut(&mut self) {
        self._tasks.abort_all();
    }

    /// Whether nothing can arrive any more, nor be sent.
    pub fn is_lost(&self) -> bool {
        self.lost || (self.batches.is_closed() && self.batches.is_empty() && self.batch.is_over())
    }
}

/// A message that has arrived.
pub(crate) struct Message<'a> {
    block: &'a Bytes,
    place: frames::Place,
}

impl<'a> Message<'a> {
    /// Its subject.
    pub fn subject(&self) -> &'a [u8] {
        &self.block[self.place.subject()]
    }

    /// The last token of its subject, which is what was appended to the [`inbox`](Line::inbox).
    pub fn token(&self) -> Option<u64> {
        let last = self.subject().rsplit(|byte| *byte == b'.').next()?;
        std::str::from_utf8(last).ok()?.parse().ok()
    }

    /// Its subject, sharing the buffer.
    pub fn subject_bytes(&self) -> Bytes {
        self.block.slice(self.place.subject())
    }

    /// Where answers go; empty: nowhere.
    pub fn reply(&self) -> &'a [u8] {
        &self.block[self.place.reply()]
    }

    /// Its block of headers; empty: it has none.
    pub fn headers(&self) -> &'a [u8] {
        &self.block[self.place.headers()]
    }

    /// Its payload.
    pub fn payload(&self) -> &'a [u8] {
        &self.block[self.place.payload()]
    }

    /// Its payload, sharing the buffer.
    pub fn payload_bytes(&self) -> Bytes {
        self.block.slice(self.place.payload())
    }
}

/// Reads until the connection ends or nobody listens.
async fn read(
    mut socket: Reading,
    mut frames: Frames,
    output: Arc<Output>,
    batches: mpsc::UnboundedSender<Batch>,
) {
    let mut signals = Vec::new();
    loop {
        match frames.take(&mut signals) {
            Ok(Some(batch)) => {
                if batches.send(batch).is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "connection given up");
                return;
            }
        }
        for signal in signals.drain(..) {
            match signal {
                Signal::Ping => output.send(&mut encode::PONG.to_vec()),
                Signal::Error(error) => {
                    tracing::warn!(%error, "nats-server reports an error");
                }
                Signal::Pong | Signal::Info(_) => {}
            }
        }
        match socket.read_buf(frames.space()).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Writes until the connection ends.
async fn write(mut socket: Writing, output: Arc<Output>) {
    let mut bytes = Vec::new();
    loop {
        output.ready.notified().await;
        std::mem::swap(&mut *output.pending.lock(), &mut bytes);
        // The reading half sees the end of a broken connection.
        if socket.write_all(&bytes).await.is_err() || socket.flush().await.is_err() {
            return;
        }
        bytes.clear();
    }
}

#[cfg(test)]
mod tests;
