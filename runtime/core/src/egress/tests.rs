//! Egress: order, recovery, and what a stall may not do.

use super::*;
use crate::outputs::OutputWriter;

const WINDOW_MS: i64 = 1_000;

fn config() -> EgressConfig {
    EgressConfig {
        partition: 3,
        outputs: vec![0],
        in_flight_max: 3,
        duplicate_window_ms: WINDOW_MS,
    }
}

fn cursor(commit: u64, count: u32, sink_sequence: u64) -> EgressCursor {
    EgressCursor {
        sink: 0,
        through: OutputPoint { commit: CommitNumber(commit), count },
        read_from: Sequence(commit * 10 + u64::from(count == 0)),
        sink_sequence: Sequence(sink_sequence),
    }
}

fn point(number: u64) -> LogPoint {
    LogPoint {
        number: CommitNumber(number),
        hash: CommitHash([number as u8; 32]),
        sequence: Sequence(number * 10),
    }
}

/// Outputs that go to the given output indexes, with their place as payload.
fn outputs(of: &[u8]) -> Outputs {
    let mut writer = OutputWriter::default();
    of.iter()
        .enumerate()
        .for_each(|(place, &output)| writer.push(output, b"key", 5, &[place as u8]));
    writer.freeze()
}

/// An egress behind commit 10, whose owner took over with commit `takeover`, with the sink read.
fn opened(takeover: u64) -> Egress {
    let mut egress = Egress::new(config(), cursor(10, 0, 50), CommitNumber(takeover), 0);
    assert_eq!(egress.next(0), None, "before the sink was read");
    assert_eq!(egress.wants_sink_read(0), Some(Sequence(50)));
    assert_eq!(egress.wants_sink_read(0), None, "it asks once");
    egress.sink_was_read();
    egress
}

fn places(egress: &mut Egress, now_ms: i64) -> Vec<(u64, u32, u64)> {
    let place = |p: &Publication| (p.id.commit.0, p.id.index, p.ticket);
    std::iter::from_fn(|| egress.next(now_ms).map(place)).collect()
}

#[test]
fn ids_are_text_and_back() {
    let id = MessageId::new(12, &point(0xf0), 34);
    assert_eq!(id.to_string(), "12.240.f0f0f0f0f0f0f0f0.34");
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in [
        "",
        "a.b.c.d",
        "12.240.f0f0.34",
        "12.+240.f0f0f0f0f0f0f0f0.34",
        "12.240.f0f0f0f0f0f0f0f0.34.1",
    ] {
        assert_eq!(text.parse::<MessageId>(), Err(NotAMessageId), "{text}");
    }
}

#[test]
fn outputs_go_in_order_within_the_window_and_move_the_cursor() {
    let mut egress = opened(10);
    egress.offer(point(11), outputs(&[0, 1, 0]), 0);
    egress.offer(point(12), outputs(&[]), 0);
    egress.offer(point(13), outputs(&[0, 0, 1]), 0);
    assert_eq!(places(&mut egress, 1), [(11, 0, 0), (11, 2, 1), (13, 0, 2)]);
    egress.acknowledged(1, Sequence(61));
    assert_eq!(egress.cursor().through, OutputPoint { commit: CommitNumber(11), count: 0 });
    egress.acknowledged(0, Sequence(60));
    let report = egress.report();
    assert!(report.published);
    assert_eq!(report.cursor.through, OutputPoint { commit: CommitNumber(13), count: 0 });
    assert_eq!(report.cursor.read_from, Sequence(130));
    assert_eq!(report.cursor.sink_sequence, Sequence(61));
    assert_eq!(places(&mut egress, 1), [(13, 1, 3)]);
    egress.acknowledged(2, Sequence(62));
    egress.acknowledged(3, Sequence(63));
    assert_eq!(places(&mut egress, 1), []);
    assert!(egress.is_settled());
    let cursor = egress.report().cursor;
    assert_eq!(cursor.through, OutputPoint { commit: CommitNumber(13), count: 3 });
    assert_eq!(cursor.read_from, Sequence(131));
    egress.observe_sink(Sequence(99));
    assert_eq!(
        egress.report(),
        EgressReport {
            cursor: EgressCursor { sink_sequence: Sequence(99), ..cursor },
            published: false
        }
    );
}

#[test]
fn failures_are_repeated_in_order_once_all_answers_are_there() {
    let mut egress = opened(10);
    egress.offer(point(11), outputs(&[0; 5]), 0);
    assert_eq!(places(&mut egress, 1), [(11, 0, 0), (11, 1, 1), (11, 2, 2)]);
    egress.failed(0);
    assert_eq!(places(&mut egress, 2), []);
    egress.acknowledged(1, Sequence(51));
    egress.failed(2);
    assert_eq!(places(&mut egress, 3), [(11, 0, 0), (11, 2, 2), (11, 3, 3)]);
    egress.acknowledged(0, Sequence(52));
    // Output 1 lies below output 0, so the next owner must still begin to read before both.
    assert_eq!(egress.cursor().through.count, 2);
    assert_eq!(egress.cursor().sink_sequence, Sequence(50));
    egress.acknowledged(2, Sequence(53));
    egress.acknowledged(3, Sequence(54));
    assert_eq!(egress.cursor().sink_sequence, Sequence(54));
}

#[test]
fn what_the_sink_has_is_not_published_again() {
    let mut egress = Egress::new(config(), cursor(11, 1, 50), CommitNumber(13), 0);
    assert_eq!(egress.wants_sink_read(0), Some(Sequence(50)));
    // Commits are read again when recovery begins anew.
    for number in [11, 12, 11, 12, 13] {
        egress.offer(point(number), outputs(if number == 13 { &[] } else { &[0, 0, 0] }), 0);
    }
    for (number, index, sequence) in [(11, 1, 51), (11, 2, 52), (12, 0, 53)] {
        egress.found(&MessageId::new(3, &point(number), index), Sequence(sequence));
    }
    egress.found(&MessageId::new(4, &point(12), 1), Sequence(54));
    let of_former_life = LogPoint { hash: CommitHash([99; 32]), ..point(12) };
    egress.found(&MessageId::new(3, &of_former_life, 2), Sequence(55));
    egress.sink_was_read();
    assert_eq!(places(&mut egress, 1), [(12, 1, 3), (12, 2, 4)]);
    assert!(egress.report().published);
}

#[test]
fn nothing_is_published_on_an_old_confirmation() {
    let mut egress = opened(10);
    egress.offer(point(11), outputs(&[0]), 100);
    assert_eq!(egress.next(100 + WINDOW_MS / 2 + 1), None);
    egress.offer(point(12), outputs(&[]), 700);
    assert_eq!(places(&mut egress, 700 + WINDOW_MS / 2), [(11, 0, 0)]);
}

#[test]
fn what_a_former_owner_may_have_published_needs_a_fresh_look() {
    let mut egress = opened(12);
    egress.offer(point(11), outputs(&[0]), 0);
    egress.offer(point(12), outputs(&[]), 0);
    egress.offer(point(13), outputs(&[0]), 5_000);
    assert_eq!(egress.next(5_000), None);
    assert_eq!(egress.wants_sink_read(5_000), Some(Sequence(50)));
    egress.found(&MessageId::new(3, &point(11), 0), Sequence(51));
    egress.sink_was_read();
    assert_eq!(places(&mut egress, 5_001), [(13, 0, 1)]);
}

#[test]
fn a_late_repetition_needs_a_fresh_look() {
    let mut egress = opened(10);
    egress.offer(point(11), outputs(&[0, 0]), 0);
    assert_eq!(places(&mut egress, 1), [(11, 0, 0), (11, 1, 1)]);
    egress.failed(0);
    egress.failed(1);
    egress.offer(point(12), outputs(&[]), 5_000);
    assert_eq!(egress.next(5_000), None);
    assert_eq!(egress.wants_sink_read(5_000), Some(Sequence(50)));
    egress.found(&MessageId::new(3, &point(11), 0), Sequence(51));
    egress.sink_was_read();
    assert_eq!(places(&mut egress, 5_001), [(11, 1, 1)]);
    egress.acknowledged(1, Sequence(60));
    assert!(egress.is_settled());
    assert_eq!(egress.cursor().through, OutputPoint { commit: CommitNumber(12), count: 0 });
}
