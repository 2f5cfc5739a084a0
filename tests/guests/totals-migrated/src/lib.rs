//! The second version of `totals`: other types in the same states, which it reads in both.

use millstream_udf::prelude::*;

/// A transaction of the goldens.
#[derive(Input)]
pub struct Transaction<'a> {
    txn_id: &'a str,
    merchant_category: &'a str,
    amount: Decimal<2>,
}

/// As in the first version.
#[derive(Output)]
pub struct Total<'a> {
    txn_id: &'a str,
    sum: Decimal<2>,
    recent: i64,
    categories: i64,
    before: Option<Decimal<2>>,
}

/// The sum, with a count since the second version.
#[derive(Default, Serialize, Deserialize)]
pub struct Sum {
    units: Decimal<2>,
    counted: u32,
}

/// An amount that knows which version wrote it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Amount {
    units: Decimal<2>,
    from: u32,
}

/// As in the first version, with other types.
#[derive(States)]
pub struct Account {
    #[state(version = 2, migrate = sum)]
    sum: Value<Sum>,
    #[state(version = 2, migrate = amount, ttl = "1m", event_time)]
    recent: List<Amount>,
    #[state(version = 2, migrate = category, ttl = "1m", event_time)]
    categories: Map<String, u32>,
    #[state(version = 2, migrate = amount, ttl = "1m", event_time)]
    last: Value<Amount>,
}

fn sum(from: u32, bytes: &[u8]) -> Result<Sum> {
    ensure!(from == 1, "version {from} is not known");
    Ok(Sum { units: decode_state(bytes)?, counted: 0 })
}

fn amount(from: u32, bytes: &[u8]) -> Result<Amount> {
    Ok(Amount { units: decode_state(bytes)?, from })
}

fn category(_: u32, bytes: &[u8]) -> Result<u32> {
    let () = decode_state(bytes)?;
    Ok(1)
}

/// Adds up.
#[udf(state = Account)]
pub fn totals(txn: Transaction<'_>, account: &mut Account, out: &mut Emit<Total<'_>>) {
    let sum = account.sum.get_or_default();
    sum.units += txn.amount;
    sum.counted += 1;
    let sum = sum.units;
    let before = account.last.get().map(|last| last.units);
    let own = Amount { units: txn.amount, from: 2 };
    account.last.set(own.clone());
    account.recent.push(&own);
    let times = account.categories.get(txn.merchant_category).unwrap_or(0) + 1;
    account.categories.insert(txn.merchant_category, &times);
    out.emit(Total {
        txn_id: txn.txn_id,
        sum,
        recent: account.recent.len() as i64,
        categories: account.categories.iter().count() as i64,
        before,
    });
}
