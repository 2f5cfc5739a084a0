//! The commit record: one message of the log, which holds everything that one turn
//! of a partition did. It exists as a whole or not at all.
//!
//! Layout of format 1, integers little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `MSCR` |
//! | 4 | 1 | format version, 1 |
//! | 5 | 1 | kind: 0 takeover, 1 commit |
//! | 6 | 1 | flags: bit 0 the body is compressed (LZ4 block); others must be 0 |
//! | 7 | 1 | 0 |
//! | 8 | 8 | generation |
//! | 16 | 16 | incarnation of the owner |
//! | 32 | 16 | incarnation of the pipeline |
//! | 48 | 8 | commit number |
//! | 56 | 32 | hash of the previous record |
//! | 88 | 32 | SHA-256 of the module |
//! | 120 | 4 | length of the body before compression |
//! | 124 | | body |
//!
//! The body is a list of sections in ascending order of their tag: tag (byte),
//! length (varint), content. Empty sections are left out. A reader skips sections
//! it does not know with tags of 128 and more and refuses those below.
//!
//! A record's hash is the BLAKE3 of the whole message, and the next record repeats
//! it: what was committed can neither change nor vanish unnoticed.

use bytes::Bytes;

use crate::delta::DeltaWriter;
use crate::exchange::{Exchange, put_upstream, upstream};
use crate::ids::{CommitHash, CommitNumber, Generation, Incarnation, Sequence, SourceId};
use crate::outputs::OutputWriter;
use crate::seal::Seal;
use crate::slice::{
    Call, CallKind, EgressCursor, Failure, FailureCause, OutputPoint, Run, Slice, SourcePosition,
};
use crate::wire::{Reader, WireError, put_bytes, put_signed, put_varint};

/// First bytes of every commit record.
pub const MAGIC: [u8; 4] = *b"MSCR";
/// The format written.
pub const FORMAT: u8 = 1;
/// Length of the header, which is never compressed.
pub const HEADER_BYTES: usize = 124;
/// Largest body before compression: no server takes a larger message anyway.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Bodies below this are not worth compressing.
pub const COMPRESS_BYTES_MIN: usize = 512;
/// Kinds of sections.
pub const SECTIONS: usize = 11;
/// Bytes of a section besides its content, at most.
pub const SECTION_OVERHEAD_MAX: usize = 1 + 5;
/// LZ4 cannot shrink further than this, so a claim of more is a lie.
const COMPRESSION_RATIO_MAX: usize = 255;

const FLAG_COMPRESSED: u8 = 1;
/// Sections from this tag on may be skipped by who does not know them.
const TAG_OPTIONAL: u8 = 128;

/// Tags are part of the persisted format.
mod tag {
    pub const TIMES: u8 = 1;
    pub const POSITIONS: u8 = 2;
    pub const RUNS: u8 = 3;
    pub const CALLS: u8 = 4;
    pub const FAILURES: u8 = 5;
    pub const DELTA: u8 = 6;
    pub const OUTPUTS: u8 = 7;
    pub const EGRESS: u8 = 8;
    pub const EXCHANGE: u8 = 9;
    pub const UPSTREAM: u8 = 10;
    pub const SEAL: u8 = 11;
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitKind {
    /// A new owner fences all earlier ones. Repeats positions, times and cursors of the record before it.
    Takeover,
    /// A slice.
    Commit,
}

/// Who committed what, and behind which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitHeader {
    /// What the record is for.
    pub kind: CommitKind,
    /// Which owner, counted.
    pub generation: Generation,
    /// Which owner, at random: two that claim the same generation differ here.
    pub owner: Incarnation,
    /// Which life of the pipeline.
    pub pipeline: Incarnation,
    /// One more than the previous record's.
    pub number: CommitNumber,
    /// Hash of the previous record; zeros before the first.
    pub prev_hash: CommitHash,
    /// SHA-256 of the module that computed the slice.
    pub module: [u8; 32],
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRecord {
    /// Who, and behind which record.
    pub header: CommitHeader,
    /// What.
    pub slice: Slice,
    /// How far the sinks were when the record was made; one per sink.
    pub egress: Vec<EgressCursor>,
}

/// Whether to spend CPU on smaller messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Never.
    Off,
    /// When it helps.
    #[default]
    Lz4,
}

/// Why a message is not a commit record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The message is shorter than a header.
    #[error("{bytes} bytes are too few for a commit record, whose header has {HEADER_BYTES}")]
    Short {
        /// Its length.
        bytes: usize,
    },
    /// The first bytes are others.
    #[error("no commit record: the message starts with {found:02x?}")]
    Magic {
        /// The first bytes.
        found: [u8; 4],
    },
    /// A format of a newer version.
    #[error("format {found} of the commit record is not known, {FORMAT} is")]
    Format {
        /// Its version.
        found: u8,
    },
    /// A kind, flag or section that this version does not know and must not skip.
    #[error("{what} {found} of the commit record is not known")]
    Unknown {
        /// What it is.
        what: &'static str,
        /// Its value.
        found: u8,
    },
    /// A body that claims more than is allowed or possible.
    #[error("the body claims {claimed} bytes, at most {limit} are possible")]
    BodySize {
        /// What it claims.
        claimed: usize,
        /// What is possible.
        limit: usize,
    },
    /// A compressed body that does not decompress to the length it claims.
    #[error("the body does not decompress to {claimed} bytes")]
    Compression {
        /// The length it claims.
        claimed: usize,
    },
    /// Sections out of order or twice.
    #[error("section {found} follows section {previous}")]
    SectionOrder {
        /// The tag.
        found: u8,
        /// The tag before it.
        previous: u8,
    },
    /// Malformed content.
    #[error("section {section} is malformed")]
    Section {
        /// Its tag.
        section: u8,
        /// What is wrong with it.
        #[source]
        source: WireError,
    },
    /// A malformed list of sections.
    #[error("the body is malformed")]
    Body(#[from] WireError),
}

/// The hash of a message as the chain uses it.
pub fn hash_of(message: &[u8]) -> CommitHash {
    CommitHash(*blake3::hash(message).as_bytes())
}

impl CommitRecord {
    /// Replaces the content of `out` with the message and returns its hash.
    pub fn encode(&self, compression: Compression, out: &mut Vec<u8>) -> CommitHash {
        encode(&self.header, &self.slice, &self.egress, compression, out)
    }

    /// Reads a message. Nothing in it is trusted.
    pub fn decode(message: &Bytes) -> Result<Self, CommitError> {
        let (header, flags, body_length) = decode_header(message)?;
        let body = &message[HEADER_BYTES..];
        let (slice, egress) = if flags & FLAG_COMPRESSED == 0 {
            if body.len() != body_length {
                return Err(CommitError::BodySize { claimed: body_length, limit: body.len() });
            }
            decode_body(body)?
        } else {
            decode_body(&decompress(body, body_length)?)?
        };
        Ok(Self { header, slice, egress })
    }
}

/// Replaces the content of `out` with the message of a record and returns its hash.
///
/// # Panics
/// When the body exceeds [`BODY_BYTES_MAX`]: whoever makes slices keeps them far below.
pub fn encode(
    header: &CommitHeader,
    slice: &Slice,
    egress: &[EgressCursor],
    compression: Compression,
    out: &mut Vec<u8>,
) -> CommitHash {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.push(FORMAT);
    out.push(match header.kind {
        CommitKind::Takeover => 0,
        CommitKind::Commit => 1,
    });
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&header.generation.0.to_le_bytes());
    out.extend_from_slice(&header.owner.0.to_le_bytes());
    out.extend_from_slice(&header.pipeline.0.to_le_bytes());
    out.extend_from_slice(&header.number.0.to_le_bytes());
    out.extend_from_slice(&header.prev_hash.0);
    out.extend_from_slice(&header.module);
    out.extend_from_slice(&[0; 4]);
    debug_assert_eq!(out.len(), HEADER_BYTES);
    put_body(out, slice, egress);
    let body_length = out.len() - HEADER_BYTES;
    assert!(
        body_length <= BODY_BYTES_MAX,
        "a commit body of {body_length} bytes exceeds {BODY_BYTES_MAX}"
    );
    out[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&(body_length as u32).to_le_bytes());
    if compression == Compression::Lz4 && body_length >= COMPRESS_BYTES_MIN {
        compress(out, body_length);
    }
    hash_of(out)
}

/// Reads only the header of a message.
pub fn decode_header_of(message: &[u8]) -> Result<CommitHeader, CommitError> {
    Ok(decode_header(message)?.0)
}

fn compress(out: &mut Vec<u8>, body_length: usize) {
    // Compressed behind the plain body, then moved over it: one buffer, kept by the caller.
    let end = HEADER_BYTES + body_length;
    out.resize(end + lz4_flex::block::get_maximum_output_size(body_length), 0);
    let (plain, packed) = out.split_at_mut(end);
    // A sixteenth is the least that pays for the reader's work.
    let written =
        lz4_flex::block::compress_into(&plain[HEADER_BYTES..], packed).unwrap_or(usize::MAX);
    if written <= body_length - body_length / 16 {
        out.copy_within(end..end + written, HEADER_BYTES);
        out.truncate(HEADER_BYTES + written);
        out[6] |= FLAG_COMPRESSED;
    } else {
        out.truncate(end);
    }
}

fn decompress(body: &[u8], claimed: usize) -> Result<Vec<u8>, CommitError> {
    // Before anything is reserved: a short message cannot hold that much.
    let limit = body.len().saturating_mul(COMPRESSION_RATIO_MAX).min(BODY_BYTES_MAX);
    if claimed > limit {
        return Err(CommitError::BodySize { claimed, limit });
    }
    let mut plain = vec![0; claimed];
    match lz4_flex::block::decompress_into(body, &mut plain) {
        Ok(written) if written == claimed => Ok(plain),
        _ => Err(CommitError::Compression { claimed }),
    }
}

fn decode_header(message: &[u8]) -> Result<(CommitHeader, u8, usize), CommitError> {
    let short = |_| CommitError::Short { bytes: message.len() };
    let mut reader = Reader::new(message);
    let found = reader.array().map_err(short)?;
    if found != MAGIC {
        return Err(CommitError::Magic { found });
    }
    let [format, kind, flags, reserved] = reader.array().map_err(short)?;
    if format != FORMAT {
        return Err(CommitError::Format { found: format });
    }
    let kind = match kind {
        0 => CommitKind::Takeover,
        1 => CommitKind::Commit,
        found => {
            return Err(CommitError::Unknown { what: "kind", found });
        }
    };
    if flags & !FLAG_COMPRESSED != 0 {
        return Err(CommitError::Unknown { what: "flags", found: flags });
    }
    if reserved != 0 {
        return Err(CommitError::Unknown { what: "reserved byte", found: reserved });
    }
    let header = CommitHeader {
        kind,
        generation: Generation(u64::from_le_bytes(reader.array().map_err(short)?)),
        owner: Incarnation(u128::from_le_bytes(reader.array().map_err(short)?)),
        pipeline: Incarnation(u128::from_le_bytes(reader.array().map_err(short)?)),
        number: CommitNumber(u64::from_le_bytes(reader.array().map_err(short)?)),
        prev_hash: CommitHash(reader.array().map_err(short)?),
        module: reader.array().map_err(short)?,
    };
    let body_length = u32::from_le_bytes(reader.array().map_err(short)?) as usize;
    Ok((header, flags, body_length))
}

fn put_body(out: &mut Vec<u8>, slice: &Slice, egress: &[EgressCursor]) {
    let mut scratch = Vec::with_capacity(64);
    let mut section = |tag: u8, put: &mut dyn FnMut(&mut Vec<u8>)| {
        scratch.clear();
        put(&mut scratch);
        out.push(tag);
        put_bytes(out, &scratch);
    };
    section(tag::TIMES, &mut |out| {
        put_signed(out, slice.processing_time);
        put_signed(out, slice.watermark);
    });
    if !slice.positions.is_empty() {
        section(tag::POSITIONS, &mut |out| put_list(out, &slice.positions, put_position));
    }
    if !slice.runs.is_empty() {
        section(tag::RUNS, &mut |out| put_list(out, &slice.runs, put_run));
    }
    if !slice.calls.is_empty() {
        section(tag::CALLS, &mut |out| put_list(out, &slice.calls, put_call));
    }
    if !slice.failures.is_empty() {
        section(tag::FAILURES, &mut |out| put_list(out, &slice.failures, put_failure));
    }
    // The large sections are copied once, straight into the message.
    for (tag, content) in
        [(tag::DELTA, slice.delta.as_bytes()), (tag::OUTPUTS, slice.outputs.as_bytes())]
    {
        if !content.is_empty() {
            out.push(tag);
            put_bytes(out, content);
        }
    }
    if !egress.is_empty() {
        scratch.clear();
        put_list(&mut scratch, egress, put_cursor);
        out.push(tag::EGRESS);
        put_bytes(out, &scratch);
    }
    if let Some(exchange) = &slice.exchange {
        scratch.clear();
        exchange.put(&mut scratch);
        out.push(tag::EXCHANGE);
        put_bytes(out, &scratch);
    }
    if !slice.upstream.is_empty() {
        scratch.clear();
        put_list(&mut scratch, &slice.upstream, put_upstream);
        out.push(tag::UPSTREAM);
        put_bytes(out, &scratch);
    }
    if let Some(seal) = &slice.seal {
        scratch.clear();
        scratch.extend_from_slice(&seal.life.0.to_le_bytes());
        put_varint(&mut scratch, seal.revision);
        out.push(tag::SEAL);
        put_bytes(out, &scratch);
    }
}

fn decode_body(body: &[u8]) -> Result<(Slice, Vec<EgressCursor>), CommitError> {
    let mut slice = Slice::default();
    let mut egress = Vec::new();
    let mut reader = Reader::new(body);
    let mut previous = 0;
    while !reader.is_empty() {
        let section = reader.u8()?;
        let content = reader.bytes()?;
        if section <= previous {
            return Err(CommitError::SectionOrder { found: section, previous });
        }
        previous = section;
        decode_section(section, content, &mut slice, &mut egress)?;
    }
    Ok((slice, egress))
}

fn decode_section(
    section: u8,
    content: &[u8],
    slice: &mut Slice,
    egress: &mut Vec<EgressCursor>,
) -> Result<(), CommitError> {
    let mut reader = Reader::new(content);
    let read = match section {
        tag::TIMES => reader.signed().and_then(|time| {
            slice.processing_time = time;
            slice.watermark = reader.signed()?;
            reader.finish()
        }),
        tag::POSITIONS => read_list(content, 7, position).map(|list| slice.positions = list),
        tag::RUNS => read_list(content, 2, run).map(|list| slice.runs = list),
        tag::CALLS => read_list(content, 2, call).map(|list| slice.calls = list),
        tag::FAILURES => read_list(content, 3, failure).map(|list| slice.failures = list),
        tag::DELTA => DeltaWriter::from_wire(content).map(|delta| slice.delta = delta),
        tag::OUTPUTS => OutputWriter::from_wire(content).map(|outputs| slice.outputs = outputs),
        tag::EGRESS => read_list(content, 5, cursor).map(|list| *egress = list),
        tag::EXCHANGE => Exchange::read(content).map(|exchange| slice.exchange = Some(exchange)),
        tag::UPSTREAM => read_list(content, 6, upstream).map(|list| slice.upstream = list),
        tag::SEAL => seal(content).map(|seal| slice.seal = Some(seal)),
        TAG_OPTIONAL.. => Ok(()),
        found => {
            return Err(CommitError::Unknown { what: "section", found });
        }
    };
    read.map_err(|source| CommitError::Section { section, source })
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: fn(&mut Vec<u8>, &T)) {
    put_varint(out, items.len() as u64);
    items.iter().for_each(|item| put(out, item));
}

fn read_list<'a, T>(
    content: &'a [u8],
    bytes_min: usize,
    read: fn(&mut Reader<'a>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let mut reader = Reader::new(content);
    let count = reader.count(bytes_min)?;
    let list = (0..count).map(|_| read(&mut reader)).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(list)
}

fn put_position(out: &mut Vec<u8>, position: &SourcePosition) {
    put_varint(out, u64::from(position.source.0));
    put_varint(out, position.sequence.0);
    put_varint(out, position.last_sequence.0);
    put_signed(out, position.last_time_ns);
    put_signed(out, position.stream_created_ns);
    put_signed(out, position.max_event_time);
    out.push(u8::from(position.idle));
}

fn position(reader: &mut Reader<'_>) -> Result<SourcePosition, WireError> {
    Ok(SourcePosition {
        source: SourceId(reader.varint_u16()?),
        sequence: Sequence(reader.varint()?),
        last_sequence: Sequence(reader.varint()?),
        last_time_ns: reader.signed()?,
        stream_created_ns: reader.signed()?,
        max_event_time: reader.signed()?,
        idle: reader.varint_max(1)? == 1,
    })
}

fn put_run(out: &mut Vec<u8>, run: &Run) {
    put_varint(out, u64::from(run.source.0));
    put_varint(out, u64::from(run.count));
}

fn run(reader: &mut Reader<'_>) -> Result<Run, WireError> {
    Ok(Run { source: SourceId(reader.varint_u16()?), count: reader.varint_u32()? })
}

fn put_call(out: &mut Vec<u8>, call: &Call) {
    out.push(match call.kind {
        CallKind::Process => 0,
        CallKind::OnTimer => 1,
    });
    put_varint(out, u64::from(call.count));
}

fn call(reader: &mut Reader<'_>) -> Result<Call, WireError> {
    let kind = if reader.varint_max(1)? == 0 { CallKind::Process } else { CallKind::OnTimer };
    Ok(Call { kind, count: reader.varint_u32()? })
}

const CAUSES: [FailureCause; 4] = [
    FailureCause::Failed,
    FailureCause::Trapped,
    FailureCause::Undecodable,
    FailureCause::Oversize,
];

fn put_failure(out: &mut Vec<u8>, failure: &Failure) {
    put_varint(out, u64::from(failure.input));
    out.push(match failure.cause {
        FailureCause::Failed => 0,
        FailureCause::Trapped => 1,
        FailureCause::Undecodable => 2,
        FailureCause::Oversize => 3,
    });
    put_bytes(out, failure.message.as_bytes());
}

fn failure(reader: &mut Reader<'_>) -> Result<Failure, WireError> {
    Ok(Failure {
        input: reader.varint_u32()?,
        cause: CAUSES[reader.varint_max(CAUSES.len() as u64 - 1)? as usize],
        message: reader.text()?.to_owned(),
    })
}

fn seal(content: &[u8]) -> Result<Seal, WireError> {
    let mut reader = Reader::new(content);
    let life = Incarnation(u128::from_le_bytes(reader.array()?));
    let seal = Seal { life, revision: reader.varint()? };
    reader.finish()?;
    Ok(seal)
}

fn put_cursor(out: &mut Vec<u8>, cursor: &EgressCursor) {
    put_varint(out, u64::from(cursor.sink));
    put_varint(out, cursor.through.commit.0);
    put_varint(out, u64::from(cursor.through.count));
    put_varint(out, cursor.read_from.0);
    put_varint(out, cursor.sink_sequence.0);
}

fn cursor(reader: &mut Reader<'_>) -> Result<EgressCursor, WireError> {
    Ok(EgressCursor {
        sink: reader.varint_u16()?,
        through: OutputPoint {
            commit: CommitNumber(reader.varint()?),
            count: reader.varint_u32()?,
        },
        read_from: Sequence(reader.varint()?),
        sink_sequence: Sequence(reader.varint()?),
    })
}

#[cfg(test)]
mod tests;
