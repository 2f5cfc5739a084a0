//! Seeded card transactions as JSON lines: the input of the fraud job.
//!
//! Byte for byte what the Python generator of Flink's input writes for the same parameters, in
//! order of event time and in one file. A few accounts make most of the transactions (Zipf).

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::random::Random;

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

const CURRENCIES: [&str; 8] = ["EUR", "USD", "GBP", "PLN", "SEK", "CHF", "JPY", "BRL"];
const CATEGORIES: [&str; 8] = [
    "5411_grocery_stores",
    "5812_restaurants",
    "5541_service_stations",
    "5732_electronics",
    "4111_local_transport",
    "5999_misc_retail",
    "7995_gambling",
    "4829_money_transfer",
];
const COUNTRIES: [&str; 10] = ["DE", "US", "GB", "PL", "SE", "CH", "JP", "BR", "FR", "NL"];

/// Event time of the first transaction, in milliseconds since 1970.
pub const FIRST_MS: i64 = 1_700_000_040_000;
/// Transactions a second of event time.
const RATE: f64 = 10_000.0;
/// Share of small amounts, below 1.00.
const SMALL_SHARE: f64 = 0.02;
/// Share of small amounts that a large one of the same account follows.
const FOLLOWED_SHARE: f64 = 0.005;

/// A transaction far behind all others: the watermark that it brings fires all that is pending, which on a stream, unlike
/// in a file, no end does.
pub const CLOSER: &str = r#"{"txn_id":"closer","account_id":"closer","customer_id":"c","amount":10.00,"currency":"EUR","merchant_category":"5411_grocery_stores","country":"DE","ts":1900000000000}"#;

/// What to write.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Lines.
    pub records: u64,
    /// Accounts that may occur.
    pub accounts: usize,
    /// Exponent of the accounts' popularity.
    pub zipf: f64,
    /// Of the generator.
    pub seed: u32,
}

/// Writes the transactions of a plan and then `last` to a file.
pub fn write_file(plan: Plan, last: &str, path: &Path) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    let mut file = BufWriter::with_capacity(WRITE_BYTES, File::create(path).with_context(failed)?);
    write(plan, &mut file)
        .and_then(|()| file.write_all(last.as_bytes()))
        .and_then(|()| file.flush())
        .with_context(failed)
}

/// Writes the transactions of a plan, one a line.
pub fn write(plan: Plan, to: &mut dyn Write) -> io::Result<()> {
    let mut random = Random::new(plan.seed);
    let popularity = cumulated(plan.accounts, plan.zipf);
    let total = popularity.last().copied().unwrap_or_default();
    let mut followed = HashSet::new();
    let mut elapsed_us = 0.0;
    for sequence in 0..plan.records {
        elapsed_us += random.unit() * (2_000_000.0 / RATE);
        let ts = FIRST_MS + (elapsed_us / 1_000.0) as i64;
        let point = random.unit() * total;
        let account = popularity.partition_point(|up_to| *up_to <= point).min(plan.accounts - 1);
        let share = random.unit();
        let cents = if followed.remove(&account) {
            50_001 + (share * 200_000.0) as u32
        } else if share < SMALL_SHARE {
            if share < FOLLOWED_SHARE {
                followed.insert(account);
            }
            1 + (share * 4_950.0) as u32
        } else {
            // Pareto with exponent 2, from 8.00.
            ((800.0 / (1.0 - share).sqrt()) as u32).min(500_000)
        };
        let kind = (random.unit() * 640.0) as usize;
        writeln!(
            to,
            r#"{{"txn_id":"t{sequence:010}","account_id":"a{account:08}","customer_id":"c{:08}","amount":{}.{:02},"currency":"{}","merchant_category":"{}","country":"{}","ts":{ts}}}"#,
            account / 3,
            cents / 100,
            cents % 100,
            CURRENCIES[kind & 7],
            CATEGORIES[(kind >> 3) & 7],
            COUNTRIES[(kind >> 6) % 10],
        )?;
    }
    Ok(())
}

/// The weight of each account added to those of all before it.
fn cumulated(accounts: usize, zipf: f64) -> Vec<f64> {
    let mut sum = 0.0;
    (1..=accounts)
        .map(|rank| {
            let rank = rank as f64;
            sum += if zipf == 1.0 { 1.0 / rank } else { 1.0 / rank.powf(zipf) };
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Plan, write};

    #[test]
    fn the_records_are_those_of_the_python_generator() {
        let mut found = Vec::new();
        let plan = Plan { records: 2, accounts: 100_000, zipf: 1.0, seed: 1 };
        write(plan, &mut found).unwrap();
        let expected = [
            r#"{"txn_id":"t0000000000","account_id":"a00015809","customer_id":"c00005269","amount":16.45,"currency":"PLN","merchant_category":"4111_local_transport","country":"GB","ts":1700000040000}"#,
            r#"{"txn_id":"t0000000001","account_id":"a00000128","customer_id":"c00000042","amount":13.55,"currency":"EUR","merchant_category":"4829_money_transfer","country":"BR","ts":1700000040000}"#,
            "",
        ];
        assert_eq!(String::from_utf8(found).unwrap(), expected.join("\n"));
    }
}
