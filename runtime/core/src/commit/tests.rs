//! Commit records: round trips, damage, the first format as it was written.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::delta::DeltaOp;
use crate::delta::tests::any_op;
use crate::exchange::{Cause, Place, UpstreamPosition};

fn any_position() -> impl Strategy<Value = SourcePosition> {
    (any::<(u16, u64, u64)>(), any::<(i64, i64, i64, bool)>()).prop_map(
        |((source, sequence, last), (time, created, event_time, idle))| SourcePosition {
            source: SourceId(source),
            sequence: Sequence(sequence),
            last_sequence: Sequence(last),
            last_time_ns: time,
            stream_created_ns: created,
            max_event_time: event_time,
            idle,
        },
    )
}

fn any_slice() -> impl Strategy<Value = Slice> {
    let failures = vec((any::<u32>(), 0..CAUSES.len(), ".{0,20}"), 0..4);
    let outputs =
        vec((any::<u8>(), vec(any::<u8>(), 0..9), any::<i64>(), vec(0u8..3, 0..300)), 0..9);
    (
        any::<(i64, i64)>(),
        vec(any_position(), 0..4),
        vec((any::<u16>(), any::<u32>()), 0..5),
        vec(any::<(bool, u32)>(), 0..5),
        failures,
        vec(any_op(), 0..12),
        outputs,
        (any::<Option<(i64, i64)>>(), vec(any::<(u16, u16, u64, u32)>(), 0..4)),
        any::<Option<(u128, u64)>>(),
    )
        .prop_map(
            |(
                (processing_time, watermark),
                positions,
                runs,
                calls,
                failures,
                ops,
                items,
                (frontier, places),
                seal,
            )| {
                let mut delta = DeltaWriter::default();
                ops.iter().for_each(|op| delta.push(&op.borrow()));
                let mut outputs = OutputWriter::default();
                items.iter().for_each(|(output, key, time, payload)| {
                    outputs.push(*output, key, *time, payload)
                });
                Slice {
                    processing_time,
                    watermark,
                    positions,
                    runs: runs
                        .into_iter()
                        .map(|(source, count)| Run { source: SourceId(source), count })
                        .collect(),
                    calls: calls
                        .into_iter()
                        .map(|(timer, count)| Call {
                            kind: if timer { CallKind::OnTimer } else { CallKind::Process },
                            count,
                        })
                        .collect(),
                    failures: failures
                        .into_iter()
                        .map(|(input, cause, message)| Failure {
                            input,
                            cause: CAUSES[cause],
                            message,
                        })
                        .collect(),
                    delta,
                    outputs,
                    exchange: frontier.map(|(frontier, order)| Exchange {
                        idle: order % 2 == 0,
                        causes: vec![Cause::Record { order }],
                        advances: vec![(order, frontier)],
                        frontier,
                    }),
                    upstream: places
                        .into_iter()
                        .map(|(source, partition, commit, outputs)| UpstreamPosition {
                            source: SourceId(source),
                            partition,
                            done: Place { commit: Sequence(commit), outputs },
                            anchor: Place::default(),
                        })
                        .collect(),
                    seal: seal.map(|(life, revision)| Seal { life: Incarnation(life), revision }),
                }
            },
        )
}

fn any_record() -> impl Strategy<Value = CommitRecord> {
    let cursors = vec(any::<(u16, u64, u32, u64, u64)>(), 0..4);
    (any::<(bool, u64, u128, u128, u64, [u8; 32], [u8; 32])>(), any_slice(), cursors).prop_map(
        |((takeover, generation, owner, pipeline, number, prev, module), slice, cursors)| {
            CommitRecord {
                header: CommitHeader {
                    kind: if takeover { CommitKind::Takeover } else { CommitKind::Commit },
                    generation: Generation(generation),
                    owner: Incarnation(owner),
                    pipeline: Incarnation(pipeline),
                    number: CommitNumber(number),
                    prev_hash: CommitHash(prev),
                    module,
                },
                slice,
                egress: cursors
                    .into_iter()
                    .map(|(sink, commit, count, read_from, sink_sequence)| EgressCursor {
                        sink,
                        through: OutputPoint { commit: CommitNumber(commit), count },
                        read_from: Sequence(read_from),
                        sink_sequence: Sequence(sink_sequence),
                    })
                    .collect(),
            }
        },
    )
}

proptest! {
    #[test]
    fn records_round_trip_within_their_bound(record in any_record(), lz4: bool) {
        let mut message = vec![7; 3];
        let hash = record.encode(if lz4 { Compression::Lz4 } else { Compression::Off }, &mut message);
        let bound = record.slice.encoded_bytes_max() + record.egress.len() * crate::slice::CURSOR_BYTES_MAX;
        prop_assert!(message.len() <= bound, "{} > {bound}", message.len());
        prop_assert_eq!(hash_of(&message), hash);
        let message = Bytes::from(message);
        prop_assert_eq!(decode_header_of(&message).unwrap(), record.header);
        prop_assert_eq!(CommitRecord::decode(&message).unwrap(), record);
    }

    #[test]
    fn a_truncated_record_is_an_error(record in any_record(), lz4: bool, cut: prop::sample::Index) {
        let mut message = Vec::new();
        record.encode(if lz4 { Compression::Lz4 } else { Compression::Off }, &mut message);
        message.truncate(cut.index(message.len()));
        prop_assert!(CommitRecord::decode(&message.into()).is_err());
    }

    #[test]
    fn flipped_bits_never_panic_and_change_the_hash(
        record in any_record(), lz4: bool, flips in vec(any::<(prop::sample::Index, u8)>(), 1..4),
    ) {
        let mut message = Vec::new();
        let hash = record.encode(if lz4 { Compression::Lz4 } else { Compression::Off }, &mut message);
        let original = message.clone();
        for (at, bit) in flips {
            let at = at.index(message.len());
            message[at] ^= 1 << (bit % 8);
        }
        prop_assume!(message != original);
        prop_assert_ne!(hash_of(&message), hash);
        let _ = CommitRecord::decode(&message.into());
    }

    #[test]
    fn random_bytes_never_panic(head: bool, compressed in 0u8..2, bytes in vec(any::<u8>(), 0..400)) {
        let mut message = bytes;
        if head && message.len() > 8 {
            message[..8].copy_from_slice(&[b'M', b'S', b'C', b'R', FORMAT, 1, compressed, 0]);
        }
        let _ = CommitRecord::decode(&message.into());
    }

    #[test]
    fn a_newer_writers_optional_section_is_skipped(record in any_record(), tag in 128u8.., content in vec(any::<u8>(), 0..40)) {
        let mut message = Vec::new();
        record.encode(Compression::Off, &mut message);
        append_section(&mut message, tag, &content);
        prop_assert_eq!(CommitRecord::decode(&message.into()).unwrap(), record);
    }

    #[test]
    fn a_newer_writers_other_section_is_refused(record in any_record(), tag in 12u8..128, content in vec(any::<u8>(), 0..40)) {
        let mut message = Vec::new();
        record.encode(Compression::Off, &mut message);
        append_section(&mut message, tag, &content);
        let refused = Err(CommitError::Unknown { what: "section", found: tag });
        prop_assert_eq!(CommitRecord::decode(&message.into()), refused);
    }
}

fn append_section(message: &mut Vec<u8>, tag: u8, content: &[u8]) {
    message.push(tag);
    put_bytes(message, content);
    let length = (message.len() - HEADER_BYTES) as u32;
    message[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// A record whose bytes are kept in `data/`: whatever later versions write, they must read these.
fn golden() -> CommitRecord {
    let mut slice = Slice {
        processing_time: 1_700_000_000_123,
        watermark: 1_699_999_999_000,
        positions: vec![SourcePosition {
            source: SourceId(0),
            sequence: Sequence(1_000),
            last_sequence: Sequence(998),
            last_time_ns: 1_700_000_000_000_000_007,
            stream_created_ns: 1_600_000_000_000_000_009,
            max_event_time: 1_699_999_999_501,
            idle: true,
        }],
        runs: vec![Run { source: SourceId(0), count: 3 }],
        calls: vec![
            Call { kind: CallKind::Process, count: 3 },
            Call { kind: CallKind::OnTimer, count: 1 },
        ],
        failures: vec![Failure {
            input: 1,
            cause: FailureCause::Trapped,
            message: "unreachable".into(),
        }],
        ..Slice::default()
    };
    for op in [
        DeltaOp::Value { state: 0, key: b"ada", value: Some(b"17") },
        DeltaOp::Value { state: 0, key: b"bob", value: None },
        DeltaOp::MapEntry { state: 1, key: b"ada", entry: b"x", value: Some(b"1") },
        DeltaOp::MapEntry { state: 1, key: b"ada", entry: b"y", value: None },
        DeltaOp::MapClear { state: 1, key: b"bob" },
        DeltaOp::ListItem { state: 2, key: b"ada", index: 300, value: b"z" },
        DeltaOp::ListClear { state: 2, key: b"bob" },
        DeltaOp::Timer { timer: 0, key: b"ada", time: 1_700_000_060_000, set: true },
        DeltaOp::Timer { timer: 0, key: b"bob", time: -5, set: false },
    ] {
        slice.delta.push(&op);
    }
    slice.outputs.push(0, b"ada", 1_699_999_999_501, &[b'a'; 600]);
    slice.outputs.push(crate::outputs::DEAD_LETTER, b"bob", -1, b"payload");
    CommitRecord {
        header: CommitHeader {
            kind: CommitKind::Commit,
            generation: Generation(3),
            owner: Incarnation(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
            pipeline: Incarnation(0x1112_1314_1516_1718_191a_1b1c_1d1e_1f20),
            number: CommitNumber(42),
            prev_hash: CommitHash([0xab; 32]),
            module: [0xcd; 32],
        },
        slice,
        egress: vec![EgressCursor {
            sink: 1,
            through: OutputPoint { commit: CommitNumber(40), count: 2 },
            read_from: Sequence(77),
            sink_sequence: Sequence(1_234),
        }],
    }
}

#[test]
fn records_of_format_1_are_read() {
    for (name, kept) in [
        ("plain", &include_bytes!("data/commit-v1-plain.bin")[..]),
        ("lz4", &include_bytes!("data/commit-v1-lz4.bin")[..]),
    ] {
        assert_eq!(
            CommitRecord::decode(&Bytes::from_static(kept)).as_ref(),
            Ok(&golden()),
            "{name}"
        );
    }
}

#[test]
fn format_1_is_written_as_ever() {
    let mut message = Vec::new();
    golden().encode(Compression::Off, &mut message);
    // Only the plain bytes are ours to promise: a compressor may find a better way.
    assert_eq!(message, include_bytes!("data/commit-v1-plain.bin"));
}

#[test]
fn a_seal_of_format_1_is_read_and_written_as_ever() {
    let CommitRecord { header, .. } = golden();
    let header = CommitHeader { kind: CommitKind::Takeover, ..header };
    let life = Incarnation(0x2122_2324_2526_2728_292a_2b2c_2d2e_2f30);
    let slice = Slice { seal: Some(Seal { life, revision: 300 }), ..Slice::default() };
    let record = CommitRecord { header, slice, egress: Vec::new() };
    let kept = &include_bytes!("data/seal-v1.bin")[..];
    let mut message = Vec::new();
    record.encode(Compression::Off, &mut message);
    assert_eq!(message, kept);
    assert_eq!(CommitRecord::decode(&Bytes::from_static(kept)), Ok(record));
}

#[test]
fn headers_are_checked() {
    let mut message = Vec::new();
    golden().encode(Compression::Off, &mut message);
    let with = |at: usize, byte: u8| {
        let mut changed = message.clone();
        changed[at] = byte;
        CommitRecord::decode(&changed.into()).unwrap_err()
    };
    assert_eq!(with(0, b'X'), CommitError::Magic { found: *b"XSCR" });
    assert_eq!(with(4, 2), CommitError::Format { found: 2 });
    assert_eq!(with(5, 2), CommitError::Unknown { what: "kind", found: 2 });
    assert_eq!(with(6, 2), CommitError::Unknown { what: "flags", found: 2 });
    assert_eq!(with(7, 1), CommitError::Unknown { what: "reserved byte", found: 1 });
    // A compressed body that claims 2^24 times more than it could hold is refused before it is allocated.
    let mut bomb = message[..HEADER_BYTES].to_vec();
    bomb[6] = 1;
    bomb[120..124].copy_from_slice(&(60u32 << 20).to_le_bytes());
    bomb.push(0);
    assert_eq!(
        CommitRecord::decode(&bomb.into()),
        Err(CommitError::BodySize { claimed: 60 << 20, limit: 255 })
    );
}
