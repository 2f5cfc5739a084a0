//! Reading a block of headers.

use async_nats::{HeaderMap, HeaderName, HeaderValue};

/// What the first line says instead of nothing: a status and its description.
pub(crate) fn status(block: &[u8]) -> Option<(u16, &str)> {
    let line = block.strip_prefix(b"NATS/1.0 ")?.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    let (code, description) = line.split_once(' ').unwrap_or((line, ""));
    Some((code.parse().ok()?, description.trim()))
}

/// The first value of a header, named exactly so.
pub(crate) fn value<'a>(block: &'a [u8], name: &str) -> Option<&'a str> {
    lines(block).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// All headers. Names that the library does not take are left out.
pub(crate) fn map(block: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines(block) {
        if let Ok(name) = name.parse::<HeaderName>() {
            map.append(name, HeaderValue::from(value));
        }
    }
    map
}

/// Names and values; lines that are not UTF-8 are left out.
fn lines(block: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    block.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        Some((name, value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_statuses_and_headers() {
        let block =
            b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\nA:b:c \r\nA: d\r\n\r\n";
        assert_eq!(status(block), Some((100, "Idle Heartbeat")));
        assert_eq!(value(block, "Nats-Last-Consumer"), Some("7"));
        assert_eq!(value(block, "Nats"), None);
        let all: Vec<_> = map(block).get_all("A").map(|value| value.as_str().to_owned()).collect();
        assert_eq!(all, ["b:c", "d"]);
        assert_eq!(status(b"NATS/1.0 503\r\n\r\n"), Some((503, "")));
        for none in
            [&b"NATS/1.0\r\nA: b\r\n\r\n"[..], b"", b"NATS/1.0 \r\n\r\n", b"NATS/1.0 x\r\n\r\n"]
        {
            assert_eq!(status(none), None);
        }
        assert!(map(b"NATS/1.0\r\n\xff: b\r\n\r\n").is_empty());
    }
}
