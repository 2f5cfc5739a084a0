//! What a period's records add up to, in any order of arrival.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;
use sha2::{Digest, Sha256};

/// Classes of a period, at most.
pub const CLASSES_MAX: usize = 64;

/// Number and sum of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub count: i64,
    pub total_minor: i64,
}

impl Sum {
    fn add(self, other: Self) -> Result<Self> {
        let Some(total_minor) = self.total_minor.checked_add(other.total_minor) else {
            bail!("the period's amounts leave the range of 64 bits");
        };
        Ok(Self { count: self.count + other.count, total_minor })
    }
}

/// A period's records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub classes: BTreeMap<String, Sum>,
    /// See [`Self::digest`].
    digest: [u8; 32],
    /// Versions of the report so far.
    pub versions: u32,
}

impl Totals {
    /// Takes a record in; nothing changes if it does not fit.
    pub fn add(&mut self, txn_id: &str, class: &str, ts: i64, amount: i64) -> Result<()> {
        let one = Sum { count: 1, total_minor: amount };
        // All records' sum is within range, so that no sum of classes leaves it.
        self.all()?.add(one)?;
        match self.classes.get_mut(class) {
            Some(sum) => *sum = sum.add(one)?,
            None => {
                let classes = self.classes.len() + 1;
                ensure!(classes <= CLASSES_MAX, "{classes} classes; {CLASSES_MAX} are allowed");
                self.classes.insert(class.to_owned(), one);
            }
        }
        let hash = Sha256::digest(format!("{txn_id}\n{class}\n{ts}\n{amount}"));
        add_hash(&mut self.digest, &hash.into());
        Ok(())
    }

    /// All records.
    pub fn all(&self) -> Result<Sum> {
        self.of(|_| true)
    }

    /// The records of some classes.
    pub fn of(&self, wanted: impl Fn(&str) -> bool) -> Result<Sum> {
        let wanted = self.classes.iter().filter(|(class, _)| wanted(class));
        wanted.map(|(_, sum)| *sum).try_fold(Sum::default(), Sum::add)
    }

    /// A digest of the records that their order does not change: the sum, modulo 2^256, of their SHA-256 hashes (AdHash,
    /// Bellare and Micciancio 1997), in hexadecimal.
    pub fn digest(&self) -> String {
        hex(&self.digest)
    }
}

/// Adds big-endian numbers modulo 2^256.
fn add_hash(sum: &mut [u8; 32], hash: &[u8; 32]) {
    let mut carry = 0;
    for (digit, other) in sum.iter_mut().zip(hash).rev() {
        let added = u16::from(*digit) + u16::from(*other) + carry;
        *digit = added as u8;
        carry = added >> 8;
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes_add_with_carry_and_wrap() {
        let mut sum = [255; 32];
        let mut one = [0; 32];
        one[31] = 1;
        add_hash(&mut sum, &one);
        assert_eq!(sum, [0; 32]);
        sum[31] = 255;
        add_hash(&mut sum, &one);
        assert_eq!((sum[30], sum[31]), (1, 0));
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut totals = Totals::default();
        totals.add("a", "x", 0, i64::MAX).unwrap();
        let before = totals.clone();
        let error = totals.add("b", "y", 0, 1).unwrap_err();
        assert_eq!(error.message(), "the period's amounts leave the range of 64 bits");
        assert_eq!(totals, before);
        totals.add("b", "y", 0, -1).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn order_does_not_matter_and_records_do(
            records in prop::collection::vec((0..50_u8, 0..5_u8, -1_000_000..1_000_000_i64), 1..30), shift in 0..30_usize,
        ) {
            let of = |records: &[(u8, u8, i64)]| {
                let mut totals = Totals::default();
                for (i, class, amount) in records {
                    totals.add(&format!("t{i}"), &format!("c{class}"), 7, *amount).expect("it fits");
                }
                totals
            };
            let mut shifted = records.clone();
            shifted.rotate_left(shift % records.len());
            prop_assert_eq!(of(&shifted), of(&records));
            prop_assert_ne!(of(&records[1..]).digest(), of(&records).digest());
            let sum: i64 = records.iter().map(|(_, _, amount)| amount).sum();
            prop_assert_eq!(of(&records).all().expect("it fits"), Sum { count: records.len() as i64, total_minor: sum });
        }
    }
}
