//! A trail in a file: its entries, one line each, as they are stored; and as the last line the signed head.
//!
//! The head vouches for the last entry, and every entry that is vouched for vouches for the one before it. So the file is
//! read from its end, and what was changed, removed, added or put elsewhere is found where it was done.

use std::collections::BTreeSet;
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use super::{Digest, SignedHead, What};
use crate::access::PublicKey;

/// Longest line that is read: no message of a server is longer.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Entries that were read.
    pub entries: u64,
    /// The head at the end, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<SignedHead>,
    /// Whether the key that signed the head was one of those that were asked for. Otherwise it is only what the file says of
    /// itself.
    pub key_is_known: bool,
    /// What is wrong, in the order of the file; empty: nothing.
    pub findings: Vec<Finding>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Number of the entry; none: it is about the head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// Line of the file, from 1; none: it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// One fact.
    pub fact: String,
}

/// What is needed of a line.
struct Line {
    hash: Digest,
    /// Number and previous hash; none: it is no entry.
    says: Option<(u64, Digest)>,
}

#[derive(Deserialize)]
struct Linked {
    number: u64,
    previous: Digest,
}

#[derive(Deserialize)]
struct Written {
    #[serde(flatten)]
    what: What,
}

/// The last line of an export.
pub fn head_line(head: &SignedHead) -> String {
    // Plain texts and numbers: serialising cannot fail.
    serde_json::to_string(head).unwrap_or_default()
}

/// Reads an export and says what is wrong with it. `keys` are those that its head may be signed with; empty: any that the
/// entries themselves name.
///
/// # Errors
/// If the file cannot be read.
pub fn verify(mut file: impl BufRead, keys: &BTreeSet<PublicKey>) -> io::Result<Verified> {
    let (mut lines, mut named, mut last) = (Vec::new(), BTreeSet::new(), None::<Vec<u8>>);
    let mut cut_off = false;
    loop {
        let mut line = Vec::new();
        let read = io::Read::take(&mut file, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if let Some(before) = last.take() {
            if read == 0 {
                last = Some(before);
                break;
            }
            lines.push(entry_line(&before, &mut named));
        } else if read == 0 {
            break;
        }
        cut_off = line.pop_if(|end| *end == b'\n').is_none();
        last = Some(line);
    }
    let entries = lines.len() as u64;
    let head = last.as_deref().and_then(|line| {
        let head: SignedHead = serde_json::from_slice(line).ok()?;
        // Written in one way only: not even a space can be added.
        (head_line(&head).as_bytes() == line).then_some(head)
    });
    let mut verified = Verified { entries, head, key_is_known: false, findings: Vec::new() };
    let of_head = |fact: String| Finding { entry: None, line: Some(entries + 1), fact };
    let Some(head) = verified.head.clone() else {
        let missing = match last {
            None => "the file is empty",
            Some(_) => {
                "the last line is no signed head: the file was cut short, or its end was changed"
            }
        };
        verified.findings.push(of_head(missing.to_owned()));
        return Ok(verified);
    };
    if cut_off {
        verified.findings.push(of_head("the file does not end with a line end".to_owned()));
    }
    verified.key_is_known = keys.contains(&head.key);
    if !head.holds() {
        let fact = format!("the head's signature is not {}'s", head.key);
        verified.findings.push(of_head(fact));
    } else if !keys.is_empty() && !verified.key_is_known {
        verified.findings.push(of_head(format!("the head is signed by another key, {}", head.key)));
    } else if keys.is_empty() && !named.contains(&head.key) && head.head.first == 1 {
        let fact = format!("the head is signed by {}, which no entry names", head.key);
        verified.findings.push(of_head(fact));
    }
    let mut found = walk(&lines, &head);
    found.append(&mut verified.findings);
    verified.findings = found;
    Ok(verified)
}

fn entry_line(line: &[u8], named: &mut BTreeSet<PublicKey>) -> Line {
    let linked: Option<Linked> = serde_json::from_slice(line).ok();
    if let Ok(Written { what: What::Writer { key, .. } }) = serde_json::from_slice(line) {
        named.insert(key);
    }
    let says = linked.map(|linked| (linked.number, linked.previous));
    Line { hash: Digest::of(line), says }
}

/// From the head to the beginning. What is wrong, in the order of the file.
fn walk(lines: &[Line], signed: &SignedHead) -> Vec<Finding> {
    let head = &signed.head;
    // Entries are counted from 1, whatever a head says.
    let first = head.first.max(1);
    let mut findings = Vec::new();
    // The next entry to meet, and its hash; none: nobody vouches for it, since what did is missing or changed.
    let (mut number, mut hash) = (head.last, Some(head.hash));
    let mut at = lines.len();
    while at > 0 && number >= first {
        let line = &lines[at - 1];
        let place = Some(at as u64);
        let mut add = |entry: u64, line: Option<u64>, fact: String| {
            findings.push(Finding { entry: Some(entry), line, fact });
        };
        let is_it = match hash {
            Some(hash) => line.hash == hash,
            None => line.says.is_some_and(|(found, _)| found == number),
        };
        if is_it {
            let link = line.says.filter(|(found, _)| *found == number);
            if link.is_none() {
                let fact = format!(
                    "entry {number} is not one that a node wrote: it does not follow the one before it"
                );
                add(number, place, fact);
            }
            (at, number, hash) = (at - 1, number - 1, link.map(|(_, previous)| previous));
            continue;
        }
        let stands_before = at >= 2 && hash == Some(lines[at - 2].hash);
        match line.says {
            // What is meant stands right before: this one was put in between.
            _ if stands_before => {
                let fact =
                    format!("the line does not belong there: entry {number} is the one before it");
                add(number, place, fact);
                at -= 1;
            }
            None => {
                add(number, place, format!("the line is no entry; entry {number} has to be there"));
                (at, number, hash) = (at - 1, number - 1, None);
            }
            Some((found, previous)) if found == number => {
                let by = if number == head.last {
                    "the head".to_owned()
                } else {
                    format!("entry {}", number + 1)
                };
                let fact = match hash {
                    Some(hash) => format!(
                        "entry {number} was changed: its SHA-256 is {}, {by} says {hash}",
                        line.hash
                    ),
                    None => format!("entry {number} was changed"),
                };
                add(number, place, fact);
                (at, number, hash) = (at - 1, number - 1, Some(previous));
            }
            Some((found, _)) if found < number && found >= first => {
                let missing = span(found + 1, number);
                add(
                    found + 1,
                    None,
                    format!("{missing} missing: entry {found} is followed by what comes after"),
                );
                // Nobody is left who vouches for it.
                (number, hash) = (found, None);
            }
            Some((found, _)) => {
                add(
                    found,
                    place,
                    format!("entry {found} does not belong there: entry {number} does"),
                );
                at -= 1;
            }
        }
    }
    if number >= first {
        let fact = format!("{} missing at the beginning", span(first, number));
        findings.push(Finding { entry: Some(first), line: None, fact });
    } else if let Some(found) = hash.filter(|hash| *hash != head.before) {
        let fact = format!(
            "entry {first} follows an entry with the SHA-256 {found}, the head says {}",
            head.before
        );
        findings.push(Finding { entry: Some(first), line: None, fact });
    }
    for line in (1..=at).rev() {
        let fact = format!("the line does not belong there: the head begins with entry {first}");
        findings.push(Finding { entry: Some(first), line: Some(line as u64), fact });
    }
    findings.reverse();
    findings
}

fn span(first: u64, last: u64) -> String {
    match first == last {
        true => format!("entry {first} is"),
        false => format!("entries {first} to {last} are"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::chain::Head;
    use super::super::entry::{Asked, Entry};
    use super::*;
    use crate::access::SigningKey;

    fn key() -> SigningKey {
        SigningKey::node([1; 32])
    }

    fn keys() -> BTreeSet<PublicKey> {
        [key().public()].into()
    }

    /// Entries `first..=last` of a trail, as lines.
    fn entries(last: u64) -> Vec<String> {
        let mut previous = Digest::default();
        let entry = |number| {
            let what = match number {
                1 => What::Writer { cluster: "c".into(), key: key().public() },
                number if number % 2 == 0 => What::Request(Asked {
                    operation: "pipeline.pause".into(),
                    pipeline: Some(format!("p{number}")),
                    changes: true,
                    ..Asked::default()
                }),
                number => What::Outcome { of: number - 1, done: true, code: None },
            };
            let (node, incarnation) = ("n1".to_owned(), "7".to_owned());
            let time_ms = 1_000 + number as i64;
            let entry = Entry { number, previous, time_ms, node, incarnation, what };
            let line = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry);
            previous = Digest::of(line.as_bytes());
            line
        };
        (1..=last).map(entry).collect()
    }

    /// An export of entries `first..`.
    fn export(entries: &[String], first: u64) -> Vec<String> {
        let skipped = first as usize - 1;
        let before = skipped.checked_sub(1).map(|at| Digest::of(entries[at].as_bytes()));
        let head = Head {
            cluster: "c".into(),
            first,
            before: before.unwrap_or_default(),
            last: entries.len() as u64,
            hash: Digest::of(entries.last().unwrap().as_bytes()),
            time_ms: 5,
        };
        let mut lines = entries[skipped..].to_vec();
        lines.push(head_line(&head.sign(&key())));
        lines
    }

    fn file(lines: &[String]) -> Vec<u8> {
        lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
    }

    fn facts(lines: &[String]) -> Vec<String> {
        let found = verify(&file(lines)[..], &keys()).unwrap().findings;
        found.into_iter().map(|finding| finding.fact).collect()
    }

    #[test]
    fn what_was_done_is_said_where_it_was_done() {
        let all = export(&entries(9), 1);
        assert_eq!(facts(&all), Vec::<String>::new());
        let mut changed = all.clone();
        changed[3] = changed[3].replace("p4", "q4");
        let found = facts(&changed);
        assert!(
            found.len() == 1 && found[0].starts_with("entry 4 was changed: its SHA-256 is "),
            "{found:?}"
        );
        let mut removed = all.clone();
        removed.remove(4);
        assert_eq!(
            facts(&removed),
            ["entry 5 is missing: entry 4 is followed by what comes after"]
        );
        removed.drain(3..6);
        assert_eq!(
            facts(&removed),
            ["entries 4 to 7 are missing: entry 3 is followed by what comes after"]
        );
        let mut doubled = all.clone();
        doubled.insert(5, all[4].clone());
        assert_eq!(
            facts(&doubled),
            ["the line does not belong there: entry 4 is the one before it"]
        );
        let mut foreign = all.clone();
        foreign.insert(5, "{}".into());
        assert_eq!(
            facts(&foreign),
            ["the line does not belong there: entry 5 is the one before it"]
        );
        let mut swapped = all.clone();
        swapped.swap(4, 5);
        let found = facts(&swapped);
        assert!(found.iter().any(|fact| fact.contains("entry 6")), "{found:?}");
        assert_eq!(facts(&all[2..]), ["entries 1 to 2 are missing at the beginning"]);
        let cut = facts(&all[..8]);
        assert_eq!(
            cut,
            ["the last line is no signed head: the file was cut short, or its end was changed"]
        );
        let mut without_the_last = all.clone();
        without_the_last.remove(8);
        assert_eq!(
            facts(&without_the_last),
            ["entry 9 is missing: entry 8 is followed by what comes after"]
        );
        let mut in_front = all.clone();
        in_front.insert(0, "x".into());
        assert_eq!(
            facts(&in_front),
            ["the line does not belong there: the head begins with entry 1"]
        );
        assert_eq!(verify(&b""[..], &keys()).unwrap().findings[0].fact, "the file is empty");
    }

    #[test]
    fn a_part_is_vouched_for_as_well() {
        let part = export(&entries(9), 4);
        assert_eq!(facts(&part), Vec::<String>::new());
        let found = facts(&export(&entries(9), 1)[3..]);
        assert_eq!(found, ["entries 1 to 3 are missing at the beginning"]);
        // The head of a part with the entries of another trail before it.
        let mut other = part.clone();
        other[0] = other[0].replace("p4", "q4");
        assert!(facts(&other)[0].starts_with("entry 4 was changed"));
    }

    #[test]
    fn a_trail_that_was_written_anew_is_signed_by_somebody_else() {
        let all = export(&entries(4), 1);
        let head: SignedHead = serde_json::from_str(&all[4]).unwrap();
        let thief = SigningKey::node([9; 32]);
        let mut stolen = all.clone();
        stolen[4] = head_line(&head.head.clone().sign(&thief));
        assert!(facts(&stolen)[0].starts_with("the head is signed by another key, N"));
        let without_key = verify(&file(&stolen)[..], &BTreeSet::new()).unwrap();
        assert!(without_key.findings[0].fact.ends_with("which no entry names"), "{without_key:?}");
        let own = verify(&file(&all)[..], &BTreeSet::new()).unwrap();
        assert!(own.findings.is_empty() && !own.key_is_known, "{own:?}");
        stolen[4] = stolen[4].replace(thief.public().as_str(), key().public().as_str());
        assert!(
            facts(&stolen)[0].starts_with("the head's signature is not N"),
            "{:?}",
            facts(&stolen)
        );
    }

    #[derive(Clone, Debug)]
    enum Mutation {
        Flip { at: prop::sample::Index, bit: u8 },
        Insert { at: prop::sample::Index, byte: u8 },
        Remove { at: prop::sample::Index },
        Cut { at: prop::sample::Index },
        RemoveLines { from: prop::sample::Index, count: usize },
        CopyLine { from: prop::sample::Index, to: prop::sample::Index },
        Swap { one: prop::sample::Index, other: prop::sample::Index },
        Reverse { from: prop::sample::Index, count: usize },
    }

    fn mutation() -> impl Strategy<Value = Mutation> {
        let at = any::<prop::sample::Index>;
        prop_oneof![
            (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip { at, bit }),
            (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert { at, byte }),
            at().prop_map(|at| Mutation::Remove { at }),
            at().prop_map(|at| Mutation::Cut { at }),
            (at(), 1..4_usize).prop_map(|(from, count)| Mutation::RemoveLines { from, count }),
            (at(), at()).prop_map(|(from, to)| Mutation::CopyLine { from, to }),
            (at(), at()).prop_map(|(one, other)| Mutation::Swap { one, other }),
            (at(), 2..5_usize).prop_map(|(from, count)| Mutation::Reverse { from, count }),
        ]
    }

    fn mutated(lines: &[String], mutation: &Mutation) -> Vec<u8> {
        let (mut bytes, mut changed) = (file(lines), lines.to_vec());
        match mutation {
            Mutation::Flip { at, bit } => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                return bytes;
            }
            Mutation::Insert { at, byte } => {
                bytes.insert(at.index(bytes.len() + 1), *byte);
                return bytes;
            }
            Mutation::Remove { at } => {
                bytes.remove(at.index(bytes.len()));
                return bytes;
            }
            Mutation::Cut { at } => {
                bytes.truncate(at.index(bytes.len()));
                return bytes;
            }
            Mutation::RemoveLines { from, count } => {
                let from = from.index(changed.len());
                changed.drain(from..(from + count).min(lines.len()));
            }
            Mutation::CopyLine { from, to } => {
                changed.insert(to.index(lines.len() + 1), lines[from.index(lines.len())].clone());
            }
            Mutation::Swap { one, other } => {
                changed.swap(one.index(lines.len()), other.index(lines.len()));
            }
            Mutation::Reverse { from, count } => {
                let from = from.index(lines.len());
                changed[from..(from + count).min(lines.len())].reverse();
            }
        }
        file(&changed)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_is_done_to_an_export_is_found(
            last in 1..12_u64,
            first in any::<prop::sample::Index>(),
            mutations in prop::collection::vec(mutation(), 1..3),
        ) {
            let lines = export(&entries(last), first.index(last as usize) as u64 + 1);
            prop_assert!(verify(&file(&lines)[..], &keys()).unwrap().findings.is_empty());
            let mut bytes = mutated(&lines, &mutations[0]);
            if let Some(second) = mutations.get(1)
                && let Ok(text) = String::from_utf8(bytes.clone())
                && text.lines().count() > 0
            {
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                bytes = mutated(&lines, second);
            }
            let found = verify(&bytes[..], &keys()).unwrap();
            prop_assert_eq!(found.findings.is_empty(), bytes == file(&lines), "{:?}", found);
        }
    }
}
