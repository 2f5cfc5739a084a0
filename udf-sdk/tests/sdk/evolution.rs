//! State that an older version of a UDF left: read by `migrate`, refused without it.

use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use serde_json::json;

#[derive(Input)]
pub struct Payment {
    cents: i64,
}

#[derive(Output)]
pub struct Total {
    cents: i64,
    payments: i64,
    recent: Json<Vec<i64>>,
    largest: Option<i64>,
}

mod first {
    use super::*;

    #[derive(States)]
    pub struct Account {
        pub sum: Value<i64>,
        #[state(ttl = "10s", event_time)]
        pub recent: List<i64>,
        pub largest: Map<String, i64>,
    }

    #[udf(state = Account)]
    pub fn totals(payment: Payment, account: &mut Account) {
        *account.sum.get_or_default() += payment.cents;
        account.recent.push(&payment.cents);
        account.largest.insert("ever", &payment.cents);
    }
}

mod second {
    use super::*;

    #[derive(Default, Serialize, Deserialize)]
    pub struct Sum {
        pub cents: i64,
        pub payments: i64,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Cents(pub i64, pub bool);

    #[derive(States)]
    pub struct Account {
        #[state(version = 2, migrate = Account::sum)]
        pub sum: Value<Sum>,
        #[state(version = 2, migrate = cents, ttl = "10s", event_time)]
        pub recent: List<Cents>,
        #[state(version = 3, migrate = cents, reads = [1])]
        pub largest: Map<String, Cents>,
    }

    impl Account {
        fn sum(from: u32, bytes: &[u8]) -> Result<Sum> {
            ensure!(from == 1, "version {from} is unknown");
            Ok(Sum { cents: decode_state(bytes)?, payments: -1 })
        }
    }

    fn cents(_: u32, bytes: &[u8]) -> Result<Cents> {
        Ok(Cents(decode_state(bytes)?, true))
    }

    #[udf(state = Account)]
    pub fn totals(payment: Payment, account: &mut Account) -> Total {
        let sum = account.sum.get_or_default();
        sum.cents += payment.cents;
        sum.payments += 1;
        let (cents, payments) = (sum.cents, sum.payments);
        account.recent.push(&Cents(payment.cents, false));
        Total {
            cents,
            payments,
            recent: Json(account.recent.iter().map(|Cents(cents, _)| cents).collect()),
            largest: account.largest.get("ever").map(|Cents(cents, _)| cents),
        }
    }
}

mod incompatible {
    use super::*;

    #[derive(States)]
    pub struct Account {
        #[state(version = 2)]
        pub sum: Value<String>,
        #[state(ttl = "10s", event_time)]
        pub recent: List<i64>,
        pub largest: Map<String, i64>,
    }

    #[udf(state = Account)]
    pub fn totals(_payment: Payment, _account: &mut Account) {}
}

fn harness() -> Harness<first::Totals> {
    let mut harness = Harness::new().key_from("/account").event_time_from("/at");
    harness.send(json!({"account": "a", "cents": 100, "at": 1_000})).unwrap();
    harness.send(json!({"account": "a", "cents": 20, "at": 9_000})).unwrap();
    harness.advance_watermark(5_000);
    harness
}

#[test]
fn what_an_older_version_left_is_migrated_when_it_is_read() {
    let mut harness = harness().swapped::<second::Totals>(json!({})).batches_of(2);
    harness.send(json!({"account": "a", "cents": 3, "at": 9_500})).unwrap();
    let total = json!({"cents": 123, "largest": 20, "payments": 0, "recent": [100, 20, 3]});
    assert_eq!(harness.take("output"), [total]);
    // An element keeps its time through a migration, and its version until it is written.
    harness.advance_watermark(11_000);
    harness.with_state("a", |account| {
        let recent: Vec<_> = account.recent.iter().collect();
        assert_eq!(recent.iter().map(|c| (c.0, c.1)).collect::<Vec<_>>(), [(20, true), (3, false)]);
        assert_eq!(account.sum.get().map(|sum| sum.payments), Some(0));
    });
}

#[test]
fn versions_that_can_be_read_are_declared() {
    let harness = Harness::<second::Totals>::new();
    let states = &harness.description().states;
    let declared: Vec<_> =
        states.iter().map(|state| (state.schema_version, state.reads.clone())).collect();
    assert_eq!(declared, [(2, vec![1]), (2, vec![1]), (3, vec![1])]);
}

#[test]
#[should_panic(
    expected = "state `sum` may hold elements of version 1, which version 2 does not read"
)]
fn a_module_that_cannot_read_what_is_kept_is_refused() {
    harness().swapped::<incompatible::Totals>(json!({}));
}
