//! What a server sends, cut into messages without copying them.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use super::Message;

/// Room for one read from the socket. Much more, and the allocator would get each buffer from the system and give it back, which
/// costs more than the reading.
const READ_BYTES: usize = 48 << 10;
/// Room below which more is made.
const ROOM_BYTES_MIN: usize = 8 << 10;
/// The longest line: subjects have limits of a few kilobytes, a greeting may list many servers.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Largest message: no server takes a larger one.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Why what arrived is not what a server sends.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a line of more than {LINE_BYTES_MAX} bytes arrived")]
    Line,
    #[error("the line {0:?} is not one of the protocol")]
    Unknown(String),
    #[error("a message of {0} bytes exceeds {MESSAGE_BYTES_MAX}")]
    Large(usize),
}

/// What is not a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Ping,
    Pong,
    /// The server's description of itself, JSON.
    Info(Bytes),
    Error(String),
}

/// Where the parts of a message are in its block. The reply subject ends where the headers' line begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    subject: (u32, u32),
    reply: (u32, u32),
    headers: u32,
    payload: u32,
    end: u32,
}

impl Place {
    pub fn subject(&self) -> Range<usize> {
        self.subject.0 as usize..self.subject.1 as usize
    }

    pub fn reply(&self) -> Range<usize> {
        self.reply.0 as usize..self.reply.1 as usize
    }

    pub fn headers(&self) -> Range<usize> {
        self.headers as usize..self.payload as usize
    }

    pub fn payload(&self) -> Range<usize> {
        self.payload as usize..self.end as usize
    }
}

/// Messages that arrived together, in order.
#[derive(Default)]
pub(super) struct Batch {
    block: Bytes,
    places: Vec<Place>,
    next: usize,
}

impl Batch {
    pub fn is_over(&self) -> bool {
        self.next == self.places.len()
    }

    pub fn next(&mut self) -> Option<Message<'_>> {
        let place = *self.places.get(self.next)?;
        self.next += 1;
        Some(Message { block: &self.block, place })
    }
}

/// Cuts what is read from a socket.
#[derive(Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// Bytes of the message at the buffer's front, as far as that is known.
    wanted: usize,
    /// Messages of the last batch: about as many will be in the next.
    usual: usize,
}

impl Frames {
    /// Where to read to.
    pub fn space(&mut self) -> &mut BytesMut {
        let missing = self.wanted.saturating_sub(self.buffer.len());
        if self.buffer.capacity() - self.buffer.len() < missing.max(ROOM_BYTES_MIN) {
            self.buffer.reserve(missing.max(READ_BYTES));
        }
        &mut self.buffer
    }

    /// Whether nothing is left of what was read.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes the first line, which must not be that of a message: a greeting has none.
    pub fn signal(&mut self) -> Result<Option<Signal>, FrameError> {
        match memchr::memchr(b'\n', &self.buffer) {
            Some(end) => signal(&self.buffer.split_to(end + 1)).map(Some),
            None if self.buffer.len() > LINE_BYTES_MAX => Err(FrameError::Line),
            None => Ok(None),
        }
    }

    /// Takes all that is complete: the messages as a batch, the rest as signals.
    pub fn take(&mut self, signals: &mut Vec<Signal>) -> Result<Option<Batch>, FrameError> {
        let mut places = Vec::new();
        let mut at = 0;
        self.wanted = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.buffer[at..]) {
            let (begin, end) = (at, at + length + 1);
            let line = &self.buffer[begin..end];
            let Some(message) = message(line) else {
                signals.push(signal(line)?);
                at = end;
                continue;
            };
            let Sizes { subject, reply, headers, total } = message?;
            if end + total + 2 > self.buffer.len() {
                self.wanted = end - begin + total + 2;
                break;
            }
            if places.is_empty() {
                places.reserve(self.usual);
            }
            let place =
                |range: Range<usize>| ((begin + range.start) as u32, (begin + range.end) as u32);
            places.push(Place {
                subject: place(subject),
                reply: place(reply),
                headers: end as u32,
                payload: (end + headers) as u32,
                end: (end + total) as u32,
            });
            at = end + total + 2;
        }
        if self.wanted == 0 && self.buffer.len() - at > LINE_BYTES_MAX {
            return Err(FrameError::Line);
        }
        if places.is_empty() {
            self.buffer.advance(at);
            return Ok(None);
        }
        self.usual = places.len();
        Ok(Some(Batch { block: self.buffer.split_to(at).freeze(), places, next: 0 }))
    }
}

/// What the line of a message says; ranges are of the line.
struct Sizes {
    subject: Range<usize>,
    reply: Range<usize>,
    headers: usize,
    total: usize,
}

/// Reads `MSG subject sid [reply] total` and `HMSG subject sid [reply] headers total`; none: another line.
fn message(line: &[u8]) -> Option<Result<Sizes, FrameError>> {
    let with_headers = match line {
        [b'M', b'S', b'G', b' ', ..] => false,
        [b'H', b'M', b'S', b'G', b' ', ..] => true,
        _ => return None,
    };
    let sizes = sizes(line, with_headers);
    Some(match sizes {
        Some(sizes) if sizes.total > MESSAGE_BYTES_MAX => Err(FrameError::Large(sizes.total)),
        Some(sizes) if sizes.headers <= sizes.total => Ok(sizes),
        _ => Err(unknown(line)),
    })
}

fn sizes(line: &[u8], with_headers: bool) -> Option<Sizes> {
    let mut tokens = [(0, 0); 6];
    let mut count = 0;
    let mut begin = 0;
    let end = line.strip_suffix(b"\r\n")?.len();
    for space in memchr::memchr_iter(b' ', &line[..end]).chain([end]) {
        if space > begin {
            *tokens.get_mut(count)? = (begin, space);
            count += 1;
        }
        begin = space + 1;
    }
    let numbers = 1 + usize::from(with_headers);
    let token = |at: usize| tokens[at].0..tokens[at].1;
    let reply = match count.checked_sub(numbers)? {
        3 => 0..0,
        4 => token(3),
        _ => return None,
    };
    let total = number(&line[token(count - 1)])?;
    let headers = if with_headers { number(&line[token(count - 2)])? } else { 0 };
    Some(Sizes { subject: token(1), reply, headers, total })
}

fn number(digits: &[u8]) -> Option<usize> {
    // No message has so many bytes that more digits would be needed.
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0'))
    })
}

fn signal(line: &[u8]) -> Result<Signal, FrameError> {
    let text = line.trim_ascii();
    if text.eq_ignore_ascii_case(b"PING") {
        Ok(Signal::Ping)
    } else if text.eq_ignore_ascii_case(b"PONG") || text == b"+OK" {
        Ok(Signal::Pong)
    } else if let Some(info) = text.strip_prefix(b"INFO ") {
        Ok(Signal::Info(Bytes::copy_from_slice(info)))
    } else if let Some(error) = text.strip_prefix(b"-ERR") {
        Ok(Signal::Error(String::from_utf8_lossy(error).trim_matches([' ', '\'']).to_owned()))
    } else {
        Err(unknown(line))
    }
}

fn unknown(line: &[u8]) -> FrameError {
    /// Enough to see what it is; it may be a subject of somebody else's.
    const SHOWN_BYTES: usize = 16;
    FrameError::Unknown(String::from_utf8_lossy(&line[..line.len().min(SHOWN_BYTES)]).into_owned())
}
