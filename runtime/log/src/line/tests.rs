//! A line against a real server; cutting what a server sends, however it arrives.

use std::future::poll_fn;
use std::time::Duration;

use bytes::BytesMut;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::encode;
use super::frames::{Batch, Frames, Signal};
use super::*;
use crate::connect::{ConnectOptions, TlsOptions, connect};
use crate::server::{NatsServer, ServerOptions};

/// A message as it was sent: subject, reply, headers, payload.
type Sent = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

fn parts(message: &Message<'_>) -> Sent {
    assert_eq!(message.subject_bytes(), message.subject());
    assert_eq!(message.payload_bytes(), message.payload());
    let of = |bytes: &[u8]| bytes.to_vec();
    (of(message.subject()), of(message.reply()), of(message.headers()), of(message.payload()))
}

fn drain(mut batch: Batch, found: &mut Vec<Sent>) {
    while let Some(message) = batch.next() {
        found.push(parts(&message));
    }
    assert!(batch.is_over());
}

/// Messages and signals among them, in pieces of any length, come out as they went in.
#[test]
fn whatever_the_pieces_messages_come_out_whole() {
    for seed in 0..200 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut bytes, mut sent, mut pings) = (Vec::new(), Vec::new(), 0);
        for number in 0..random.random_range(1..60) {
            if random.random_ratio(1, 8) {
                bytes.extend_from_slice(b"PING\r\n");
                pings += 1;
            }
            let subject = format!("s.{number}");
            let reply = if random.random() { format!("_R.{number}") } else { String::new() };
            let space = if reply.is_empty() { "" } else { " " };
            let payload: Vec<u8> =
                (0..random.random_range(0..700)).map(|_| random.random()).collect();
            let headers = if random.random() {
                format!("NATS/1.0\r\nA: {number}\r\n\r\n")
            } else {
                String::new()
            };
            if headers.is_empty() {
                let line = format!("MSG {subject} 1 {reply}{space}{}\r\n", payload.len());
                bytes.extend_from_slice(line.as_bytes());
            } else {
                let (part, total) = (headers.len(), headers.len() + payload.len());
                let line = format!("HMSG {subject} 1 {reply}{space}{part} {total}\r\n");
                bytes.extend_from_slice(line.as_bytes());
            }
            bytes.extend_from_slice(headers.as_bytes());
            bytes.extend_from_slice(&payload);
            bytes.extend_from_slice(b"\r\n");
            sent.push((subject.into(), reply.into(), headers.into(), payload));
        }
        let (mut frames, mut signals, mut found) = (Frames::default(), Vec::new(), Vec::new());
        let mut left = &bytes[..];
        while !left.is_empty() {
            let piece = random.random_range(1..=left.len().min(1_500));
            frames.space().extend_from_slice(&left[..piece]);
            left = &left[piece..];
            if let Some(batch) = frames.take(&mut signals).unwrap() {
                drain(batch, &mut found);
            }
        }
        assert!(found == sent, "seed {seed}");
        assert_eq!(signals.len(), pings, "seed {seed}");
        assert!(frames.is_empty() && signals.iter().all(|signal| *signal == Signal::Ping));
    }
}

#[test]
fn what_no_server_sends_ends_the_line() {
    for bad in [
        "HELLO\r\n",
        "MSG a 1\r\n",
        "MSG a 1 b c 5\r\n",
        "MSG a 1 -5\r\n",
        "MSG a 1 5x\r\n",
        "MSG a 1 999999999\r\n",
        "MSG a 1 9999999999999999999999\r\n",
        "HMSG a 1 9 5\r\n",
        "HMSG a 1 5\r\n",
        "MSG a 1 5\n",
    ] {
        let mut frames = Frames::default();
        frames.space().extend_from_slice(bad.as_bytes());
        assert!(frames.take(&mut Vec::new()).is_err(), "{bad}");
    }
    let mut frames = Frames::default();
    frames.space().unsplit(BytesMut::zeroed(2 << 20));
    assert!(frames.take(&mut Vec::new()).is_err());
    let mut signals = Vec::new();
    let mut frames = Frames::default();
    frames.space().extend_from_slice(b"-ERR 'Stale Connection'\r\nPONG\r\n");
    assert!(frames.take(&mut signals).unwrap().is_none());
    assert_eq!(signals, [Signal::Error("Stale Connection".to_owned()), Signal::Pong]);
}

async fn next(line: &mut Line) -> Option<Sent> {
    poll_fn(|context| line.poll_next(context).map(|message| message.map(|message| parts(&message))))
        .await
}

/// Messages of all sizes arrive at the inbox in order; with its server the line is lost for good.
#[tokio::test]
async fn carries_messages_until_its_server_ends() {
    const SIZES: [usize; 6] = [0, 1, 100, 70_000, 900_000, 3];
    let mut server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let mut line = Line::open(&connection).await.unwrap();
    let sender = Line::open(&connection).await.unwrap();
    let mut output = Vec::new();
    for (number, size) in SIZES.into_iter().enumerate() {
        let subject = format!("{}.{number}", line.inbox());
        let payload = vec![b'x'; size];
        let headers = [("A", &b"b"[..]), ("C", b"")];
        encode::publish(&mut output, &subject, b"_R", &payload);
        encode::publish_with_headers(&mut output, &subject, b"_R", headers.into_iter(), &payload);
        sender.send(&mut output);
    }
    for (number, size) in SIZES.into_iter().enumerate() {
        for headers in [&b""[..], b"NATS/1.0\r\nA: b\r\nC: \r\n\r\n"] {
            let subject = format!("{}.{number}", line.inbox()).into_bytes();
            let expected = (subject, b"_R".to_vec(), headers.to_vec(), vec![b'x'; size]);
            assert!(next(&mut line).await == Some(expected), "{number} with {headers:?}");
        }
    }
    assert!(!line.is_lost());
    server.restart().await.unwrap();
    assert_eq!(next(&mut line).await, None);
    assert!(line.is_lost());
    // Nothing that was queued in it comes late.
    encode::publish(&mut output, "nowhere", b"", b"x");
    line.send(&mut output);
    assert!(output.is_empty());
}

/// The server asks whether we are there, and closes the connections of those who do not answer.
#[tokio::test]
async fn answers_the_server_although_nobody_listens() {
    let extra = "ping_interval: \"50ms\"\nping_max: 1".to_owned();
    let server =
        NatsServer::start(ServerOptions { extra, ..ServerOptions::default() }).await.unwrap();
    let connection = server.connect().await.unwrap();
    let mut line = Line::open(&connection).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(400), next(&mut line)).await.is_err());
    assert!(!line.is_lost());
}

/// Both sides show certificates; with and without the server's greeting before that.
#[tokio::test]
async fn secures_itself_like_the_client_library() {
    // That of the run: the build may come from another checkout.
    let package =
        std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").into());
    let file = |name: &str| format!("{package}/src/line/data/{name}.pem");
    let (authority, certificate, key) = (file("authority"), file("certificate"), file("key"));
    for first in [false, true] {
        let extra = format!(
            "tls {{ ca_file: {authority:?}, cert_file: {certificate:?}, key_file: {key:?}, verify: true, handshake_first: {first} }}"
        );
        let server =
            NatsServer::start(ServerOptions { extra, ..ServerOptions::default() }).await.unwrap();
        let mut options = ConnectOptions::to(&server.url());
        options.tls = TlsOptions {
            required: false,
            first,
            ca: Some(authority.clone().into()),
            certificate: Some(certificate.clone().into()),
            key: Some(key.clone().into()),
        };
        let connection = connect(options).await.unwrap();
        let mut line = Line::open(&connection).await.unwrap();
        let sender = Line::open(&connection).await.unwrap();
        let (subject, payload) = (format!("{}.1", line.inbox()), vec![7; 300_000]);
        let mut output = Vec::new();
        encode::publish(&mut output, &subject, b"", &payload);
        sender.send(&mut output);
        assert!(next(&mut line).await.unwrap() == (subject.into(), vec![], vec![], payload));
    }
}
