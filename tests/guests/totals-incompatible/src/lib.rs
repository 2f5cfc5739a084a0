//! A version of `totals` that cannot read what the others kept.

use millstream_udf::prelude::*;

/// A transaction of the goldens.
#[derive(Input)]
pub struct Transaction<'a> {
    txn_id: &'a str,
    merchant_category: &'a str,
    amount: Decimal<2>,
}

/// As in the other versions.
#[derive(Output)]
pub struct Total<'a> {
    txn_id: &'a str,
    sum: Decimal<2>,
    recent: i64,
    categories: i64,
    before: Option<Decimal<2>>,
}

/// The sum is of a version that reads no other.
#[derive(States)]
pub struct Account {
    #[state(version = 3)]
    sum: Value<String>,
    #[state(ttl = "1m", event_time)]
    recent: List<Decimal<2>>,
    #[state(ttl = "1m", event_time)]
    categories: Map<String, ()>,
    #[state(ttl = "1m", event_time)]
    last: Value<Decimal<2>>,
}

/// Would lose what is kept.
#[udf(name = "totals", state = Account)]
pub fn totals(txn: Transaction<'_>, account: &mut Account, out: &mut Emit<Total<'_>>) {
    account.sum.set(txn.merchant_category.to_owned());
    let before = account.last.get().copied();
    out.emit(Total { txn_id: txn.txn_id, sum: txn.amount, recent: 0, categories: 0, before });
}
