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
/// The sinks. Both get every output.
pub const SINKS: [Sink; 2] = [
    Sink { name: "results", stream: "RESULTS" },
    // Transactional.
    Sink { name: "ledger", stream: "LEDGER" },
];
/// The pipeline's commit log in its first life; what later ones' begin with.
pub const LOG: &str = "MILLSTREAM_LOG_faults";
/// The first stage.
pub const ONCE: &str = "once";
/// Stage whose state is compared.
pub const TOTALS: &str = "totals";
/// Partitions of each of the two stages, at first.
pub const PARTITIONS: (u16, u16) = (3, 3);
/// Most partitions of a stage.
pub const PARTITIONS_MAX: u16 = 7;
/// Accounts: the keys of the second stage.
const ACCOUNTS: u64 = 24;
/// Regions: the keys of the first stage.
const REGIONS: u64 = 7;
/// Event time of the first record. Records are so close to each other that nothing expires.
const BEGIN_MS: u64 = 1_700_000_000_000;
/// Records with the same event time.
const RECORDS_PER_MS: u64 = 100;

/// Where outputs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Its name; its subjects are `NAME.KEY`.
    pub name: &'static str,
    /// The stream that captures them.
    pub stream: &'static str,
}

impl Sink {
    /// Matches the subjects of its outputs.
    pub fn subjects(&self) -> String {
        format!("{}.*", self.name)
    }

    /// The key of an output on this subject; none: it is none.
    pub fn key<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(self.name)?.strip_prefix('.')
    }
}

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

/// The manifest for so many partitions of the two stages. `within` is how long the first stage remembers a number; whatever it is, the
/// results are the same, so that a change of it is a swap.
pub fn manifest(store: &Path, within: &str, partitions: (u16, u16)) -> String {
    let root = workspace();
    let [deduplicated, transactional] = SINKS;
    format!(
        "name: {PIPELINE}
checkpoint-interval: 1s
checkpoints: {{ store: 'file://{store}' }}
sources:
  records: {{ stream: {SOURCE}, event-time: {{ pointer: /ts }}, watermark: {{ bound: 1m }} }}
stages:
  {ONCE}:
    module: {{ file: {root}/udfs/dist/dedup.wasm }}
    partitions: {}
    inputs:
      records: {{ key: {{ pointer: /region }} }}
    config: {{ by: 'n', within: {within} }}
  {TOTALS}:
    module: {{ file: {root}/tests/guests/dist/totals.wasm }}
    partitions: {}
    inputs:
      {ONCE}.output: {{ key: {{ pointer: /account_id }} }}
    outputs:
      output: [{}, {}]
sinks:
  {}: {{ subject: '{}.{{key}}' }}
  {}: {{ subject: '{}.{{key}}', delivery: transactional, stream: {} }}
",
        partitions.0,
        partitions.1,
        deduplicated.name,
        transactional.name,
        deduplicated.name,
        deduplicated.name,
        transactional.name,
        transactional.name,
        transactional.stream,
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
