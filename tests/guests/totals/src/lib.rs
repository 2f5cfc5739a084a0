//! Sums per account, and what the account did lately by event time: the first version of a UDF whose states
//! change.

use millstream_udf::prelude::*;

/// A transaction of the goldens.
#[derive(Input)]
pub struct Transaction<'a> {
    txn_id: &'a str,
    merchant_category: &'a str,
    amount: Decimal<2>,
}

/// What is known of the account behind a transaction.
#[derive(Output)]
pub struct Total<'a> {
    txn_id: &'a str,
    /// Of all its transactions.
    sum: Decimal<2>,
    /// Transactions of the last minute.
    recent: i64,
    /// Categories of the last minute.
    categories: i64,
    /// The amount before this one, if it is of the last minute.
    before: Option<Decimal<2>>,
}

/// What is kept per account.
#[derive(States)]
pub struct Account {
    sum: Value<Decimal<2>>,
    #[state(ttl = "1m", event_time)]
    recent: List<Decimal<2>>,
    #[state(ttl = "1m", event_time)]
    categories: Map<String, ()>,
    #[state(ttl = "1m", event_time)]
    last: Value<Decimal<2>>,
}

/// Adds up.
#[udf(state = Account)]
pub fn totals(txn: Transaction<'_>, account: &mut Account, out: &mut Emit<Total<'_>>) {
    let sum = account.sum.get_or_default();
    *sum += txn.amount;
    let sum = *sum;
    let before = account.last.get().copied();
    account.last.set(txn.amount);
    account.recent.push(&txn.amount);
    account.categories.insert(txn.merchant_category, &());
    out.emit(Total {
        txn_id: txn.txn_id,
        sum,
        recent: account.recent.len() as i64,
        categories: account.categories.iter().count() as i64,
        before,
    });
}
