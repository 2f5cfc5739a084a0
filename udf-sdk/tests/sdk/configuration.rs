//! Configuration, and random numbers.

use millstream_udf::Udf;
use millstream_udf::contract::Capability;
use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "one")]
    keep_one_in: u64,
}

fn one() -> u64 {
    1
}

struct Sample {
    config: Config,
}

#[derive(Input)]
struct Tick {
    n: i64,
}

#[derive(Output)]
struct Kept {
    n: i64,
}

#[udf]
impl Sample {
    fn new(config: Config) -> Result<Self> {
        ensure!(config.keep_one_in > 0, "`keep_one_in` must not be 0");
        Ok(Self { config })
    }

    fn process(&self, tick: Tick, random: &mut Random) -> Option<Kept> {
        (random.below(self.config.keep_one_in) == 0).then_some(Kept { n: tick.n })
    }
}

#[udf]
fn scale(tick: Tick, config: &Config) -> Kept {
    Kept { n: tick.n * config.keep_one_in as i64 }
}

#[test]
fn the_sample_repeats_and_has_the_rate() {
    let run = || {
        let mut harness = Harness::<Sample>::with_config(json!({"keep_one_in": 10})).batches_of(64);
        assert_eq!(harness.send_all((0..2_000).map(|n| json!({"n": n}))), []);
        harness.take_lines("output")
    };
    let kept = run();
    assert!((120..280).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept, run());
}

#[test]
fn what_is_taken_is_what_is_asked_for() {
    assert_eq!(Sample::description().capabilities, [Capability::Config, Capability::Random]);
    assert_eq!(Scale::description().capabilities, [Capability::Config]);
}

#[test]
fn a_function_takes_its_configuration_by_reference() {
    let mut harness = Harness::<Scale>::with_config(json!({"keep_one_in": 3}));
    harness.send(json!({"n": 5})).unwrap();
    assert_eq!(harness.take_lines("output"), [r#"{"n":15}"#]);
}

#[test]
fn a_configuration_that_does_not_fit_says_why() {
    let refuse = |config| {
        Sample::create(Some(config)).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(refuse(r#"{"keep": 1}"#).contains("unknown field `keep`"));
    assert_eq!(refuse(r#"{"keep_one_in": 0}"#), "`keep_one_in` must not be 0");
    assert!(Sample::create(None).is_ok());
}
