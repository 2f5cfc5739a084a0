//! What every commit log must do, run against the double and a real server.

use bytes::Bytes;
use futures::TryStreamExt;
use millstream_core::ids::Sequence;

use super::{
    Append, CommitLog, JetStreamLog, LogError, LogOptions, PartitionSubject, Refusal, UnknownCause,
};
use crate::Name;
use crate::memory::{AppendFault, MemoryBroker, MemoryLog};
use crate::server::{NatsServer, ServerOptions};

fn subject(partition: u16) -> PartitionSubject {
    PartitionSubject::new(&Name::new("p").unwrap(), &Name::new("s").unwrap(), partition)
}

async fn append(log: &dyn CommitLog, partition: u16, expected: u64, bytes: &[u8]) -> Append {
    log.append(&subject(partition), Sequence(expected), Bytes::copy_from_slice(bytes)).await
}

async fn read(
    log: &dyn CommitLog,
    partition: u16,
    from: u64,
    through: u64,
) -> Result<Vec<(u64, Bytes)>, LogError> {
    let subject = subject(partition);
    log.read(&subject, Sequence(from), Sequence(through))
        .map_ok(|entry| (entry.sequence.0, entry.bytes))
        .try_collect()
        .await
}

fn appended(sequence: u64) -> Append {
    Append::Appended { sequence: Sequence(sequence) }
}

async fn suite(log: &dyn CommitLog) {
    // Nothing there.
    assert_eq!(log.last(&subject(0)).await.unwrap(), None);
    let empty = log.info().await.unwrap();
    assert_eq!((empty.first, empty.last, empty.records), (Sequence(1), Sequence(0), 0));

    // Partitions share the stream's sequence and are fenced each by itself.
    assert_eq!(append(log, 0, 0, b"a1").await, appended(1));
    assert_eq!(append(log, 1, 0, b"b1").await, appended(2));
    assert_eq!(append(log, 0, 1, b"a2").await, appended(3));
    let wrong = Append::Refused(Refusal::WrongLast { actual: Some(Sequence(3)) });
    assert_eq!(append(log, 0, 1, b"zombie").await, wrong);
    assert_eq!(append(log, 0, 0, b"zombie").await, wrong);
    assert_eq!(append(log, 0, 99, b"from the future").await, wrong);
    let none = Append::Refused(Refusal::WrongLast { actual: Some(Sequence(0)) });
    assert_eq!(append(log, 2, 3, b"other partition's").await, none);

    let last = log.last(&subject(0)).await.unwrap().unwrap();
    assert_eq!((last.sequence, last.bytes.as_ref()), (Sequence(3), &b"a2"[..]));
    assert_eq!(log.last(&subject(2)).await.unwrap(), None);

    // Reading: exactly the partition's records in the range.
    let (a1, a2) = ((1, Bytes::from("a1")), (3, Bytes::from("a2")));
    assert_eq!(read(log, 0, 0, 3).await.unwrap(), [a1.clone(), a2.clone()]);
    assert_eq!(read(log, 0, 2, 3).await.unwrap(), std::slice::from_ref(&a2));
    assert_eq!(read(log, 0, 1, 1).await.unwrap(), [a1]);
    assert_eq!(read(log, 0, 4, 3).await.unwrap(), []);
    let missing = read(log, 0, 1, 7).await.unwrap_err();
    assert!(matches!(missing, LogError::Incomplete { missing: 7, .. }), "{missing}");
    // Another partition's sequence as the end is a mistake that must show.
    let missing = read(log, 0, 1, 2).await.unwrap_err();
    assert!(matches!(missing, LogError::Incomplete { missing: 2, .. }), "{missing}");

    // Many and large records: several batches.
    let mut expected = 3;
    let large = vec![7; 60_000];
    for number in 0..2_500_u32 {
        let bytes = if number % 10 == 0 { &large[..] } else { &number.to_le_bytes() };
        let Append::Appended { sequence } = append(log, 0, expected, bytes).await else {
            panic!("{number}")
        };
        expected = sequence.0;
    }
    let records = read(log, 0, 4, expected).await.unwrap();
    assert_eq!(records.len(), 2_500);
    assert!(records.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
    assert!(records.iter().enumerate().all(|(number, (_, bytes))| {
        if number % 10 == 0 { bytes == &large } else { bytes == &(number as u32).to_le_bytes()[..] }
    }));

    // A record that cannot be stored.
    let limit = log.info().await.unwrap().record_bytes_max;
    assert!(matches!(
        append(log, 1, 2, &vec![0; limit + 1024]).await,
        Append::Refused(Refusal::TooLarge { .. })
    ));
    let Append::Appended { sequence } = append(log, 1, 2, &vec![1; limit]).await else {
        panic!("limit {limit}")
    };

    // Trimming takes everything below and nothing else; the fence holds afterwards.
    assert_eq!(log.purge_below(Sequence(1_500)).await.unwrap(), 1_499);
    assert_eq!(log.purge_below(Sequence(1_500)).await.unwrap(), 0);
    let info = log.info().await.unwrap();
    assert_eq!((info.first, info.last), (Sequence(1_500), sequence));
    assert_eq!(info.created_ns, empty.created_ns);
    let kept = read(log, 0, 1, expected).await.unwrap();
    assert_eq!(kept.first().unwrap().0, 1_500);
    assert_eq!(kept.len() as u64, expected - 1_499);
    assert_eq!(append(log, 0, expected, b"next").await, appended(sequence.0 + 1));
    // Even a floor above the end removes no sequence that is to come.
    log.purge_below(Sequence(sequence.0 + 2)).await.unwrap();
    let info = log.info().await.unwrap();
    assert_eq!(
        (info.first, info.last, info.records),
        (Sequence(sequence.0 + 2), Sequence(sequence.0 + 1), 0)
    );
    assert_eq!(log.last(&subject(0)).await.unwrap(), None);
    assert_eq!(append(log, 0, 0, b"anew").await, appended(sequence.0 + 2));
}

#[tokio::test]
async fn memory() {
    let broker = MemoryBroker::new();
    suite(&MemoryLog::open(&broker, &Name::new("p").unwrap())).await;
}

#[tokio::test]
async fn jetstream() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let pipeline = Name::new("p").unwrap();
    let log = JetStreamLog::open(&connection, &pipeline, &LogOptions::default()).await.unwrap();
    suite(&log).await;

    // Opening again finds the same log; another number of copies is not what was asked for.
    let again = JetStreamLog::open(&connection, &pipeline, &LogOptions::default()).await.unwrap();
    assert_eq!(again.info().await.unwrap(), log.info().await.unwrap());
    let other =
        JetStreamLog::open(&connection, &pipeline, &LogOptions { replicas: 3, bytes_max: None })
            .await;
    assert_eq!(
        other.err().unwrap().to_string(),
        "log stream MILLSTREAM_LOG_p has num_replicas = 1, but 3 is required"
    );
    JetStreamLog::delete(&connection, &pipeline).await.unwrap();
    JetStreamLog::delete(&connection, &pipeline).await.unwrap();
    assert!(matches!(log.info().await, Err(LogError::Missing { .. })));
    assert_eq!(append(&log, 0, 0, b"x").await, Append::Unknown(UnknownCause::NoResponders));
}

#[tokio::test]
async fn a_full_log_refuses_and_keeps_what_it_has() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let options = LogOptions { replicas: 1, bytes_max: Some(100_000) };
    let log = JetStreamLog::open(&connection, &Name::new("p").unwrap(), &options).await.unwrap();
    let mut last = 0;
    let refused = loop {
        match append(&log, 0, last, &[0; 10_000]).await {
            Append::Appended { sequence } => last = sequence.0,
            refused => break refused,
        }
    };
    assert!(matches!(&refused, Append::Refused(Refusal::Full { .. })), "{refused:?}");
    let info = log.info().await.unwrap();
    assert_eq!((info.records, info.bytes_max), (last, Some(100_000)));
    log.purge_below(Sequence(last)).await.unwrap();
    assert_eq!(append(&log, 0, last, b"room again").await, appended(last + 1));
}

#[tokio::test]
async fn a_killed_server_leaves_the_outcome_unknown_and_what_was_acknowledged_in_place() {
    let mut server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let log = JetStreamLog::open(&connection, &Name::new("p").unwrap(), &LogOptions::default())
        .await
        .unwrap();
    assert_eq!(append(&log, 0, 0, b"1").await, appended(1));
    server.kill9();
    let unknown = append(&log, 0, 1, b"2").await;
    assert!(matches!(unknown, Append::Unknown(_)), "{unknown:?}");
    server.restart().await.unwrap();
    // What the core does with "unknown": the identical bytes again until there is an answer.
    let mut sequence = None;
    for _ in 0..50 {
        match append(&log, 0, 1, b"2").await {
            Append::Appended { sequence: found } => sequence = Some(found),
            Append::Refused(Refusal::WrongLast { actual }) => sequence = actual,
            Append::Unknown(_) => continue,
            Append::Refused(other) => panic!("{other}"),
        }
        break;
    }
    assert_eq!(sequence, Some(Sequence(2)));
    assert_eq!(read(&log, 0, 1, 2).await.unwrap(), [(1, Bytes::from("1")), (2, Bytes::from("2"))]);
}

#[tokio::test]
async fn planned_faults_do_what_their_names_say() {
    let log = MemoryLog::open(&MemoryBroker::new(), &Name::new("p").unwrap());
    log.plan_faults([
        Some(AppendFault::LoseRequest),
        Some(AppendFault::LoseReply),
        Some(AppendFault::Busy),
        None,
    ]);
    assert!(matches!(append(&log, 0, 0, b"1").await, Append::Unknown(_)));
    assert_eq!(log.last_now(&subject(0)).unwrap(), None);
    assert!(matches!(append(&log, 0, 0, b"1").await, Append::Unknown(_)));
    assert_eq!(log.last_now(&subject(0)).unwrap().unwrap().sequence, Sequence(1));
    assert!(matches!(append(&log, 0, 1, b"2").await, Append::Refused(Refusal::Busy { .. })));
    assert_eq!(append(&log, 0, 1, b"2").await, appended(2));
}
