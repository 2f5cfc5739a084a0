//! Screening of names against a sanctions list, by Jaro-Winkler similarity (Winkler 1990) of normalised names. Where
//! the entries come from is for the caller to decide.

use millstream_udf::prelude::*;

/// Entries of a list, at most: each name is compared with all of them.
pub const ENTRIES_MAX: usize = 20_000;
/// Names of an entry, at most, with its aliases.
pub const NAMES_MAX: usize = 20;
/// Characters of a name that count; the rest is ignored.
const NAME_CHARS_MAX: usize = 120;
/// Thousandths in a full similarity.
pub const FULL_MILLI: i64 = 1_000;
/// Letters and digits.
const SYMBOLS: usize = 36;

/// A sanctioned person, organisation or vessel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The list's own number of it.
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// The entry that a name resembles most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resemblance {
    pub entry_id: String,
    /// The name or alias of the entry.
    pub listed_name: String,
    /// Similarity in thousandths, rounded to the nearest.
    pub similarity_milli: i64,
}

/// An entry's names, ready for screening: what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing(Vec<Listed>);

/// A name of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    as_written: String,
    normal: NormalName,
}

/// A name as it is compared: upper-case Latin letters and digits, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NormalName {
    in_order: String,
    /// The words in the order of the alphabet: lists and payments disagree on which name comes first.
    sorted: String,
    symbols: Vec<u8>,
    chars: usize,
}

impl NormalName {
    /// The normal form of a name; none if it has neither letters nor digits.
    pub fn new(name: &str) -> Option<Self> {
        let latin = deunicode::deunicode(name).to_ascii_uppercase();
        let mut words: Vec<&str> = latin
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let cut = |words: &[&str]| words.join(" ").chars().take(NAME_CHARS_MAX).collect::<String>();
        let in_order = cut(&words);
        words.sort_unstable();
        let sorted = cut(&words);
        let mut symbols = vec![0; SYMBOLS];
        // Of the whole name: when it is cut, its two forms hold different letters.
        for byte in latin.bytes() {
            if let Some(symbol) = symbol(byte) {
                symbols[symbol] = u8::saturating_add(symbols[symbol], 1);
            }
        }
        if in_order.is_empty() {
            return None;
        }
        Some(Self { chars: in_order.len(), in_order, sorted, symbols })
    }

    /// No similarity of the two can be above this: Jaro with all common symbols matched and none
    /// transposed, with Winkler's full bonus.
    fn similarity_bound(&self, other: &Self) -> f64 {
        let common: usize =
            self.symbols.iter().zip(&other.symbols).map(|(a, b)| usize::from(*a.min(b))).sum();
        // Any space may match, too.
        let spaces = |name: &Self| name.in_order.bytes().filter(|byte| *byte == b' ').count();
        let (a, b) = (self.chars as f64, other.chars as f64);
        let matched = ((common + spaces(self).min(spaces(other))) as f64).min(a).min(b);
        let jaro = (matched / a + matched / b + 1.0) / 3.0;
        jaro + 0.4 * (1.0 - jaro)
    }

    /// Jaro-Winkler similarity, in thousandths: the better of the names as they are and of their words in order.
    pub fn similarity_milli(&self, other: &Self) -> i64 {
        let best = strsim::jaro_winkler(&self.in_order, &other.in_order)
            .max(strsim::jaro_winkler(&self.sorted, &other.sorted));
        (best * FULL_MILLI as f64).round() as i64
    }
}

fn symbol(byte: u8) -> Option<usize> {
    match byte {
        b'A'..=b'Z' => Some(usize::from(byte - b'A')),
        b'0'..=b'9' => Some(usize::from(byte - b'0') + 26),
        _ => None,
    }
}

impl Listing {
    /// The names of an entry.
    pub fn new(entry: &Entry) -> Result<Self> {
        let names = entry.aliases.len() + 1;
        ensure!(
            names <= NAMES_MAX,
            "entry `{}` has {names} names; {NAMES_MAX} are allowed",
            entry.id
        );
        let mut listed = Vec::with_capacity(names);
        for as_written in [&entry.name].into_iter().chain(&entry.aliases) {
            let Some(normal) = NormalName::new(as_written) else {
                bail!("entry `{}` has a name without letters: `{as_written}`", entry.id);
            };
            listed.push(Listed { as_written: as_written.clone(), normal });
        }
        Ok(Self(listed))
    }
}

/// The entry that resembles a name most, if by `at_least_milli` thousandths; of equals the first.
pub fn screen<'l>(
    name: &str,
    at_least_milli: i64,
    entries: impl Iterator<Item = (&'l str, &'l Listing)>,
) -> Option<Resemblance> {
    let name = NormalName::new(name)?;
    let mut best: Option<(&str, &Listed, i64)> = None;
    for (id, listed) in entries.flat_map(|(id, names)| names.0.iter().map(move |name| (id, name))) {
        let wanted = best.map_or(at_least_milli, |(_, _, milli)| milli + 1);
        // A whole thousandth of room, for rounding.
        if name.similarity_bound(&listed.normal) * FULL_MILLI as f64 + 1.0 < wanted as f64 {
            continue;
        }
        let milli = name.similarity_milli(&listed.normal);
        if milli >= wanted {
            best = Some((id, listed, milli));
        }
    }
    best.map(|(id, listed, similarity_milli)| Resemblance {
        entry_id: id.to_owned(),
        listed_name: listed.as_written.clone(),
        similarity_milli,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn milli(a: &str, b: &str) -> i64 {
        NormalName::new(a).unwrap().similarity_milli(&NormalName::new(b).unwrap())
    }

    /// W. E. Winkler, "String Comparator Metrics and Enhanced Decision Rules in the Fellegi-Sunter Model of Record
    /// Linkage" (1990); the values are those of the table in Winkler, "Overview of Record Linkage and Current Research
    /// Directions" (US Census Bureau, 2006).
    #[test]
    fn the_published_similarities() {
        for (a, b, published) in [
            ("MARTHA", "MARHTA", 961),
            ("DIXON", "DICKSONX", 813),
            ("DWAYNE", "DUANE", 840),
            ("SHACKLEFORD", "SHACKELFORD", 982),
            ("NICHLESON", "NICHULSON", 956),
            ("JONES", "JOHNSON", 832),
            ("MASSEY", "MASSIE", 933),
            ("ABROMS", "ABRAMS", 922),
        ] {
            assert_eq!(milli(a, b), published, "{a} and {b}");
        }
    }

    #[test]
    fn accents_alphabets_case_and_order_of_words_do_not_matter() {
        assert_eq!(milli("José GARCÍA-Pérez", "Perez, Garcia Jose"), 1_000);
        assert_eq!(milli("Иван Петров", "IVAN PETROV"), 1_000);
        assert_eq!(milli("Müller", "Muller"), 1_000);
    }

    /// Listings by id.
    fn list(entries: &[(&str, &str)]) -> Vec<(String, Listing)> {
        let listing = |(id, name): &(&str, &str)| {
            let aliases = vec!["Nom de Guerre".into()];
            let entry = Entry { id: (*id).into(), name: (*name).into(), aliases };
            ((*id).to_owned(), Listing::new(&entry).expect("the entry is fine"))
        };
        entries.iter().map(listing).collect()
    }

    fn screened(name: &str, least: i64, list: &[(String, Listing)]) -> Option<Resemblance> {
        screen(name, least, list.iter().map(|(id, listing)| (&id[..], listing)))
    }

    #[test]
    fn the_most_similar_counts_and_of_equals_the_first() {
        let list = list(&[("b", "Viktor Orlan"), ("a", "Viktor Orlan")]);
        assert_eq!(screened("viktor orlan", 900, &list).unwrap().entry_id, "b");
        assert_eq!(screened("nom de gurre", 900, &list).unwrap().listed_name, "Nom de Guerre");
        assert_eq!(screened("...", 0, &list), None);
        let entry = Entry { id: "c".into(), name: "***".into(), aliases: vec![] };
        let nameless = Listing::new(&entry).unwrap_err();
        assert_eq!(nameless.message(), "entry `c` has a name without letters: `***`");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Leaving out entries that cannot resemble the name changes nothing.
        #[test]
        fn pruning_does_not_show(names in prop::collection::vec("[A-D]{1,6}( [A-D]{1,6})?", 1..20), name in "[A-D]{1,6}( [A-D]{1,6})?", least in 500..1_000_i64) {
            let list: Vec<(String, Listing)> = names.iter().enumerate().map(|(i, name)| {
                let entry = Entry { id: format!("{i:02}"), name: name.clone(), aliases: vec![] };
                let listing = Listing::new(&entry).expect("the entry is fine");
                (entry.id, listing)
            }).collect();
            let all = names.iter().enumerate().map(|(i, listed)| (milli(&name, listed), std::cmp::Reverse(i)));
            let expected = all.max().filter(|(milli, _)| *milli >= least).map(|(milli, i)| (format!("{:02}", i.0), milli));
            prop_assert_eq!(screened(&name, least, &list).map(|hit| (hit.entry_id, hit.similarity_milli)), expected);
        }

        #[test]
        fn similarity_is_symmetric_and_bounded(a in "[A-E ]{0,3}[A-E]{1,8}", b in "[A-E ]{0,3}[A-E]{1,8}") {
            prop_assert_eq!(milli(&a, &b), milli(&b, &a));
            prop_assert!((0..=FULL_MILLI).contains(&milli(&a, &b)));
            prop_assert_eq!(milli(&a, &a), FULL_MILLI);
        }
    }
}
