//! Which UDF is measured on which records.

use clap::builder::PossibleValuesParser;

/// A UDF and what it is measured on.
pub struct Case {
    /// The name that it gives itself.
    pub udf: &'static str,
    /// Folder of the example whose pipeline is run.
    pub example: &'static str,
    /// Field with the key, for the baseline.
    pub key: &'static str,
    pub records: Records,
}

/// Where records come from.
#[derive(Clone, Copy)]
pub enum Records {
    /// The files of an example, repeated.
    Repeated {
        /// The sources' files without their extension; the baseline reads the first.
        sources: &'static [&'static str],
        /// Fields that each repetition has of its own: keys, as far as the UDF takes any text for one.
        renewed: &'static [&'static str],
    },
    /// Generated card transactions.
    Transactions,
}

/// The names, for the command line.
pub fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(CASES.iter().map(|case| case.udf))
}

/// A UDF on an example with one source.
const fn one(
    (udf, example): (&'static str, &'static str),
    key: &'static str,
    renewed: &'static [&'static str],
) -> Case {
    several((udf, example), &["input"], key, renewed)
}

/// A UDF on an example whose sources have names.
const fn several(
    (udf, example): (&'static str, &'static str),
    sources: &'static [&'static str],
    key: &'static str,
    renewed: &'static [&'static str],
) -> Case {
    Case { udf, example, key, records: Records::Repeated { sources, renewed } }
}

/// A UDF on generated transactions.
const fn transactions(udf: &'static str, example: &'static str) -> Case {
    Case { udf, example, key: "account_id", records: Records::Transactions }
}

const ACCOUNT: &[&str] = &["account_id"];
const CUSTOMER: &[&str] = &["customer_id"];
const EXPOSURE: &[&str] = &["trades", "rates"];

/// All that are shipped, but for the queries of Nexmark, which have a benchmark of their own.
pub const CASES: &[Case] = &[
    one(("account-takeover", "account-takeover"), "account_id", ACCOUNT),
    one(("aggregate", "no-code/aggregate"), "counterparty", &["counterparty"]),
    several(("aml-monitor", "aml-monitor"), &["transactions", "sanctions"], "account_id", ACCOUNT),
    one(("behavior-analytics", "behavior-analytics"), "customer_id", CUSTOMER),
    transactions("card-fraud", "flink-parity/fraud"),
    one(("card-score", "card-score"), "merchant_id", &["merchant_id", "device_id", "card_id"]),
    one(("compliance-report", "compliance-report"), "person", &["person"]),
    several(
        ("counterparty-exposure", "counterparty-exposure"),
        EXPOSURE,
        "trade_id",
        &["trade_id", "counterparty"],
    ),
    one(("credit-score", "credit-score"), "customer_id", CUSTOMER),
    one(("data-integrity", "data-integrity"), "source", &["source"]),
    one(("dedup", "no-code/dedup"), "debtor", &["debtor"]),
    one(("dynamic-pricing", "dynamic-pricing"), "product", &["product"]),
    one(("enrich", "no-code/enrich-reference"), "customer", &[]),
    one(("filter", "no-code/filter"), "account", &[]),
    one(("fx", "fx"), "pair", &[]),
    one(("insurance-claims", "insurance-claims"), "line", &["line"]),
    several(("live-rules", "live-rules"), &["payments", "rules"], "account_id", ACCOUNT),
    one(("market-risk", "market-risk"), "book", &["book"]),
    one(("model-score", "model-score"), "customer_id", CUSTOMER),
    one(("operational-risk", "operational-risk"), "unit", &["unit"]),
    several(
        ("payment-settlement", "payment-settlement"),
        &["payments", "settlements"],
        "payment_id",
        &["payment_id"],
    ),
    one(("payments", "payments"), "currency", &[]),
    one(("portfolio", "portfolio"), "portfolio", &["portfolio"]),
    several(
        ("price-fan-out", "market-risk-feeds"),
        &["trades", "prices"],
        "instrument",
        &["instrument", "book"],
    ),
    one(("project", "no-code/project"), "order/id", &[]),
    one(("recommender", "recommender"), "customer_id", CUSTOMER),
    several(("round-trips", "round-trips"), &["transfers"], "debtor", &["debtor", "creditor"]),
    one(("route", "no-code/route"), "debtor", &[]),
    one(("session-analytics", "session-analytics"), "customer_id", CUSTOMER),
    transactions("small-then-large", "flink-parity/pattern"),
    several(
        ("trade-valuation", "counterparty-exposure"),
        EXPOSURE,
        "trade_id",
        &["trade_id", "counterparty"],
    ),
    transactions("window-sums", "flink-parity/tumbling"),
];
