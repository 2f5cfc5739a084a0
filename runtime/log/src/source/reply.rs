//! The reply subject of a delivery, which carries its metadata.
//!
//! `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, or with
//! `<domain>.<account hash>` behind `$JS.ACK` and possibly one random token at the end (ADR-15).

/// What a reply subject says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub stream_sequence: u64,
    pub consumer_sequence: u64,
    pub time_ns: i64,
    pub pending: u64,
}

/// Tokens of the short form; of the long form; of the long form with its random token.
const TOKENS_SHORT: usize = 9;
const TOKENS_LONG: usize = 11;
const TOKENS_MAX: usize = 12;

impl Reply {
    /// Reads a reply subject; `None` when it is not one of a delivery.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Reply> {
        if !bytes.starts_with(b"$JS.ACK.") {
            return None;
        }
        // Where each token begins.
        let mut starts = [0usize; TOKENS_MAX + 1];
        let mut tokens = 1;
        for (at, &byte) in bytes.iter().enumerate() {
            if byte == b'.' {
                if tokens == TOKENS_MAX {
                    return None;
                }
                starts[tokens] = at + 1;
                tokens += 1;
            }
        }
        starts[tokens] = bytes.len() + 1;
        let first = match tokens {
            TOKENS_SHORT => 5,
            TOKENS_LONG..=TOKENS_MAX => 7,
            _ => return None,
        };
        let token = |index: usize| number(&bytes[starts[index]..starts[index + 1] - 1]);
        Some(Reply {
            stream_sequence: token(first)?,
            consumer_sequence: token(first + 1)?,
            time_ns: i64::try_from(token(first + 2)?).ok()?,
            pending: token(first + 3)?,
        })
    }
}

#[inline]
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for &digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(value))?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_forms() {
        let wanted = Reply {
            stream_sequence: 1234,
            consumer_sequence: 7,
            time_ns: 1_732_342_853_000_000_001,
            pending: 42,
        };
        let tail = "1.1234.7.1732342853000000001.42";
        assert_eq!(Reply::parse(format!("$JS.ACK.ORDERS.c1.{tail}").as_bytes()), Some(wanted));
        assert_eq!(
            Reply::parse(format!("$JS.ACK._.hash.ORDERS.c1.{tail}").as_bytes()),
            Some(wanted)
        );
        assert_eq!(
            Reply::parse(format!("$JS.ACK.hub.hash.ORDERS.c1.{tail}.rAnd0m").as_bytes()),
            Some(wanted)
        );
    }

    #[test]
    fn refuses_what_is_not_one() {
        for bad in [
            "",
            "$JS.ACK.",
            "_INBOX.abc",
            "$JS.ACK.S.c.1.2.3.4",
            "$JS.ACK.S.c.1.2.3.4.x",
            "$JS.ACK.S.c.1..3.4.5",
            "$JS.ACK.S.c.1.2.3.4.5.6",
            "$JS.ACK.a.b.S.c.1.2.3.4.5.6.7",
            "$JS.ACK.S.c.1.99999999999999999999.3.4.5",
        ] {
            assert_eq!(Reply::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
