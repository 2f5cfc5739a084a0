//! Rows of the database: which key holds what.
//!
//! There is one column family, so a write batch is atomic even when the process dies: a
//! memtable reaches the disk whole, and memtables do so in order. What is found after a crash is therefore
//! always a prefix of the batches written.
//!
//! | key | value | lifetime |
//! |---|---|---|
//! | `00 00` | log positions ([`crate::positions`]) | written by every batch |
//! | `00 01` | catalogue ([`crate::catalogue`]), JSON | written when it changes |
//! | `01` key | cells of all value states ([`crate::row`]) | until all are deleted or expired |
//! | `02` escaped key, state (u16 BE), entry | list head, list item or map entry | until deleted, cleared or expired |
//! | `03` timer (u16 BE), time (i64, order-preserving), key | empty | until the timer fires or is deleted |
//!
//! An escaped key writes `00` as `00 FF` and ends in `00 01`: byte order is kept and no key is a prefix of another.

/// Key of the row with the log positions.
pub(crate) const POSITIONS: &[u8] = &[0, 0];
/// Key of the row with the catalogue.
pub(crate) const CATALOGUE: &[u8] = &[0, 1];
/// First byte of rows of value states.
pub(crate) const VALUES: u8 = 1;
/// First byte of rows of lists and maps.
pub(crate) const ELEMENTS: u8 = 2;
/// First byte of timer rows, and the whole prefix of the group of all timers.
pub(crate) const TIMERS: u8 = 3;

/// Appends the escaped form of `key`.
pub(crate) fn escape(out: &mut Vec<u8>, key: &[u8]) {
    for &b in key {
        out.push(b);
        if b == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 1]);
}

/// Reads an escaped key; returns it and what follows. `None` when it is malformed.
pub(crate) fn unescape(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut key = Vec::new();
    let mut i = 0;
    loop {
        match *bytes.get(i)? {
            0 => match *bytes.get(i + 1)? {
                1 => return Some((key, &bytes[i + 2..])),
                0xFF => key.push(0),
                _ => return None,
            },
            b => {
                key.push(b);
                i += 1;
                continue;
            }
        }
        i += 2;
    }
}

/// Writes the prefix of all rows of one list or map into `out`.
pub(crate) fn group_prefix(out: &mut Vec<u8>, state: u16, key: &[u8]) {
    out.clear();
    out.push(ELEMENTS);
    escape(out, key);
    out.extend_from_slice(&state.to_be_bytes());
}

/// Length of the group prefix at the start of a row key; `None` if the row is not of a list or map.
pub(crate) fn group_prefix_length(key: &[u8]) -> Option<usize> {
    if key.first() != Some(&ELEMENTS) {
        return None;
    }
    // The first 00 01 ends the key: inside it, 00 is always followed by FF.
    let end = key.windows(2).position(|pair| pair == [0, 1])?;
    Some(end + 2 + 2)
}

/// The least byte string above all that start with `prefix` (which is not all `FF`).
pub(crate) fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last != 0xFF {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// Writes a timer's row key without its first byte into `out`.
pub(crate) fn timer_entry(out: &mut Vec<u8>, timer: u16, time: i64, key: &[u8]) {
    out.clear();
    out.extend_from_slice(&timer.to_be_bytes());
    out.extend_from_slice(&((time as u64) ^ (1 << 63)).to_be_bytes());
    out.extend_from_slice(key);
}

/// Reads what [`timer_entry`] wrote: timer, time, key. `None` when it is too short.
pub(crate) fn read_timer_entry(entry: &[u8]) -> Option<(u16, i64, &[u8])> {
    let (timer, rest) = entry.split_first_chunk::<2>()?;
    let (time, key) = rest.split_first_chunk::<8>()?;
    let time = (u64::from_be_bytes(*time) ^ (1 << 63)) as i64;
    Some((u16::from_be_bytes(*timer), time, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(key: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        escape(&mut out, key);
        out
    }

    proptest! {
        #[test]
        fn escaping_keeps_order_and_comes_back(a in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..6),
                                               b in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..6)) {
            prop_assert_eq!(escaped(&a).cmp(&escaped(&b)), a.cmp(&b));
            let mut bytes = escaped(&a);
            bytes.extend_from_slice(b"rest");
            prop_assert_eq!(unescape(&bytes), Some((a, &b"rest"[..])));
        }

        #[test]
        fn timers_order_by_time(timer: u16, t1: i64, t2: i64, key in prop::collection::vec(any::<u8>(), 0..6)) {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            timer_entry(&mut a, timer, t1, &key);
            timer_entry(&mut b, timer, t2, &key);
            prop_assert_eq!(a.cmp(&b), t1.cmp(&t2));
            prop_assert_eq!(read_timer_entry(&a), Some((timer, t1, &key[..])));
        }
    }

    #[test]
    fn successors() {
        assert_eq!(successor(&[3]), [4]);
        assert_eq!(successor(&[2, 7, 0xFF, 0xFF]), [2, 8]);
    }
}
