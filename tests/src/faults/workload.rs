//! What the pipeline of a run is fed with, and the reference model: plain Rust that says what must come out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::workspace;

/// Name of the pipeline.
pub const PIPELINE: &str = "faults";
/// Stream of the source.
pub const SOURCE: &str = "RECORDS";
/// Stream of the sink, which captures `results.KEY`.
pub const SINK: &str = "RESULTS";
/// The pipeline's commit log.
pub const LOG: &str = "MILLSTREAM_LOG_faults";
/// Stage whose state is compared.
pub const TOTALS: &str = "totals";
/// Partitions of the two stages.
pub const PARTITIONS: (u16, u16) = (3, 3);
/// Accounts: the keys of the second stage.
const ACCOUNTS: u64 = 24;
/// Regions: the keys of the first stage.
const REGIONS: u64 = 7;
/// Event time of the first record. Records are so close to each other that nothing expires.
const BEGIN_MS: u64 = 1_700_000_000_000;
/// Records with the same event time.
const RECORDS_PER_MS: u64 = 100;

/// A record, the same for the same seed and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    number: u64,
    account: u64,
    region: u64,
    category: u64,
    cents: i64,
    /// How often it is published: the first stage lets each number pass once.
    pub copies: usize,
}

impl Record {
    /// Record `number` of a run.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed.rotate_left(32) ^ number);
        Self {
            number,
            account: random.random_range(0..ACCOUNTS),
            region: random.random_range(0..REGIONS),
            category: random.random_range(0..9),
            cents: random.random_range(1..100_000),
            copies: if random.random_bool(0.2) { 2 } else { 1 },
        }
    }

    /// The second stage's key.
    pub fn key(&self) -> String {
        format!("a{}", self.account)
    }

    /// The payload.
    pub fn line(&self) -> String {
        let Self { number, account, region, category, .. } = self;
        let (amount, ts) = (decimal(self.cents), BEGIN_MS + number / RECORDS_PER_MS);
        format!(
            r#"{{"n":{number},"txn_id":"t{number}","account_id":"a{account}","region":{region},"merchant_category":"c{category}","amount":{amount},"ts":{ts}}}"#
        )
    }
}

fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// All keys of the second stage.
pub fn keys() -> impl Iterator<Item = String> {
    (0..ACCOUNTS).map(|account| format!("a{account}"))
}

/// The manifest. `within` is how long the first stage remembers a number; whatever it is, the results are the same, so that a change
/// of it is a swap.
pub fn manifest(store: &Path, within: &str) -> String {
    let root = workspace();
    format!(
        "name: {PIPELINE}
checkpoint-interval: 1s
checkpoints: {{ store: 'file://{store}' }}
sources:
  records: {{ stream: {SOURCE}, event-time: {{ pointer: /ts }}, watermark: {{ bound: 1m }} }}
stages:
  once:
    module: {{ file: {root}/udfs/dist/dedup.wasm }}
    partitions: {}
    inputs:
      records: {{ key: {{ pointer: /region }} }}
    config: {{ by: 'n', within: {within} }}
  {TOTALS}:
    module: {{ file: {root}/tests/guests/dist/totals.wasm }}
    partitions: {}
    inputs:
      once.output: {{ key: {{ pointer: /account_id }} }}
    outputs:
      output: results
sinks:
  results: {{ subject: 'results.{{key}}' }}
",
        PARTITIONS.0,
        PARTITIONS.1,
        store = store.display(),
        root = root.display(),
    )
}

/// What is known of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Outputs, in order.
    pub outputs: Vec<String>,
    /// Cents of all records.
    pub sum: i64,
    /// Cents of each record.
    pub amounts: Vec<i64>,
    /// Categories seen.
    pub categories: BTreeSet<String>,
}

/// What the pipeline must give for the records `0..numbers`, by key.
pub fn expected(seed: u64, numbers: u64) -> BTreeMap<String, Account> {
    let mut accounts = BTreeMap::<String, Account>::new();
    for record in (0..numbers).map(|number| Record::new(seed, number)) {
        let account = accounts.entry(record.key()).or_default();
        let before = account.amounts.last().map(|cents| format!("\"before\":{},", decimal(*cents)));
        account.sum += record.cents;
        account.amounts.push(record.cents);
        account.categories.insert(format!("c{}", record.category));
        account.outputs.push(format!(
            r#"{{{}"categories":{},"recent":{},"sum":{},"txn_id":"t{}"}}"#,
            before.unwrap_or_default(),
            account.categories.len(),
            account.amounts.len(),
            decimal(account.sum),
            record.number,
        ));
    }
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_records_for_ever() {
        let all = |seed| (0..50).map(|number| Record::new(seed, number)).collect::<Vec<_>>();
        assert_eq!(all(3), all(3));
        assert_ne!(all(3), all(4));
        let model = expected(3, 50);
        assert_eq!(model.values().map(|account| account.outputs.len()).sum::<usize>(), 50);
    }
}
