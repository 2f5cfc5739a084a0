//! What a client sends, appended to a buffer in place.

/// Answer to the server's question whether we are there.
pub(crate) const PONG: &[u8] = b"PONG\r\n";
/// First line of a block of headers.
const HEADERS: &[u8] = b"NATS/1.0\r\n";

/// Appends a message without headers.
pub(crate) fn publish(out: &mut Vec<u8>, subject: &str, reply: &[u8], payload: &[u8]) {
    out.extend_from_slice(b"PUB ");
    route(out, subject, reply);
    number(out, payload.len() as u64);
    body(out, payload);
}

/// Appends a message with headers, of which names and values hold no line breaks.
pub(crate) fn publish_with_headers<'a>(
    out: &mut Vec<u8>,
    subject: &str,
    reply: &[u8],
    headers: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    payload: &[u8],
) {
    let header_bytes = header_bytes(headers.clone());
    out.extend_from_slice(b"HPUB ");
    route(out, subject, reply);
    number(out, header_bytes as u64);
    out.push(b' ');
    number(out, (header_bytes + payload.len()) as u64);
    out.extend_from_slice(b"\r\n");
    let begin = out.len();
    out.extend_from_slice(HEADERS);
    for (name, value) in headers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    debug_assert_eq!(out.len() - begin, header_bytes);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Bytes of a block of headers, which the server counts as part of the message.
pub(crate) fn header_bytes<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> usize {
    let lines: usize = headers.map(|(name, value)| name.len() + value.len() + 4).sum();
    HEADERS.len() + lines + 2
}

/// Appends a number in decimal digits.
pub(crate) fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn route(out: &mut Vec<u8>, subject: &str, reply: &[u8]) {
    out.extend_from_slice(subject.as_bytes());
    out.push(b' ');
    out.extend_from_slice(reply);
    out.push(b' ');
}

fn body(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}
