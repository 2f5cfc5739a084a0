//! Several inputs, of different types, that share the state of a key.

use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use serde_json::json;

#[derive(Input)]
struct Rate {
    percent: i64,
}

#[derive(Input)]
struct Deposit {
    cents: Decimal<2>,
}

#[derive(Output)]
struct Interest {
    interest: Decimal<2>,
}

#[derive(Output)]
struct Missing<'a> {
    account: &'a str,
}

#[derive(Outputs)]
struct Out {
    interest: Emit<Interest>,
    #[output(rename = "missing-rates")]
    missing: Emit<Missing<'static>>,
}

#[derive(States)]
struct Account {
    #[state(rename = "rate", version = 3)]
    percent: Value<i64>,
}

#[derive(Default)]
struct InterestDue;

#[udf(version = "1.0.0", state = Account, outputs = Out)]
impl InterestDue {
    #[input(name = "rates")]
    fn on_rate(&self, rate: Rate, account: &mut Account) {
        account.percent.set(rate.percent);
    }

    #[input]
    fn deposits(
        deposit: Deposit,
        ctx: &mut Context<'_>,
        out: &mut Out,
        account: &mut Account,
    ) -> Result<()> {
        match account.percent.get() {
            Some(percent) => {
                let interest = deposit.cents.mul_ratio(*percent, 100).unwrap_or(Decimal::ZERO);
                out.interest.emit(Interest { interest });
            }
            None => out.missing.emit(Missing { account: ctx.key_text()? }),
        }
        Ok(())
    }
}

#[test]
fn inputs_meet_in_the_state_of_a_key() {
    let mut harness = Harness::<InterestDue>::new().key_from("/account");
    harness.send_to("deposits", json!({"account": "a1", "cents": "100.00"})).unwrap();
    harness.send_to("rates", json!({"account": "a1", "percent": 3})).unwrap();
    harness.send_to("deposits", json!({"account": "a1", "cents": 250.5})).unwrap();
    assert_eq!(harness.take_lines("missing-rates"), [r#"{"account":"a1"}"#]);
    assert_eq!(harness.take_lines("interest"), [r#"{"interest":7.51}"#]);
    let description = harness.description();
    assert_eq!(
        description.inputs.iter().map(|input| &input.name[..]).collect::<Vec<_>>(),
        ["rates", "deposits"]
    );
    assert_eq!(
        (&description.states[0].name[..], description.states[0].schema_version),
        ("rate", 3)
    );
}
