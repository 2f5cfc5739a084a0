//! The module's configuration, results and refusals, natively.

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Record};
use serde_json::{Value, json};

use super::Project;

/// What becomes of a record, or why it is refused.
fn project(config: Value, record: &str) -> Result<String, String> {
    let mut harness = Harness::<Project>::with_config(config);
    harness.send(Record::raw(record)).map_err(|refused| refused.to_string())?;
    let [made] = &harness.take_raw("output")[..] else { panic!("not one record") };
    Ok(String::from_utf8(made.clone()).unwrap())
}

#[test]
fn fields_are_computed_and_renamed_in_the_order_of_their_names() {
    let config = json!({"fields": {
        "total": "price * quantity", "id": "order.id", "eu": "country in ['DE', 'FR']", "key": "meta.key",
    }});
    let record = r#"{"price":2.5,"quantity":4,"country":"DE","order":{"id":"o1"}}"#;
    assert_eq!(project(config, record).unwrap(), r#"{"eu":true,"id":"o1","key":"","total":10.0}"#);
}

#[test]
fn what_is_only_moved_keeps_every_digit() {
    let config = json!({"fields": {"b": "a", "d": "record.c.d"}, "keep": ["big", "none"]});
    let record = r#"{"a":12.3400,"c":{"d":[1e2, 3]},"big":123456789012345678901234567890.10}"#;
    let expected = r#"{"b":12.3400,"big":123456789012345678901234567890.10,"d":[1e2, 3]}"#;
    assert_eq!(project(config, record).unwrap(), expected);
}

#[test]
fn all_may_be_kept_but_some() {
    let config = json!({"fields": {"a": "a + 1", "aa": "1 + 1", "z": "'!' + pan"}, "keep": "*", "drop": ["pan"]});
    let record = r#"{"pan":"4111","b":1,"a":1,"c":null}"#;
    assert_eq!(project(config, record).unwrap(), r#"{"a":2,"aa":2,"b":1,"c":null,"z":"!4111"}"#);
}

#[test]
fn an_empty_optional_leaves_its_field_out() {
    let config =
        json!({"fields": {"a": "record.?a", "b": "record.?b.orValue('none')", "c": "1 + 1"}});
    assert_eq!(project(config.clone(), "{}").unwrap(), r#"{"b":"none","c":2}"#);
    assert_eq!(project(config, r#"{"a":null}"#).unwrap(), r#"{"a":null,"b":"none","c":2}"#);
}

#[test]
fn a_missing_field_is_refused_with_its_name() {
    for (source, message) in [
        ("a", "`fields.x`: the record has no field `a`"),
        ("b.c.d", "`fields.x`: the record has no field `b.c.d`"),
        ("a + 1", "`fields.x`: the record has no field `a`"),
    ] {
        let refused = project(json!({"fields": {"x": source}}), r#"{"b":{}}"#).unwrap_err();
        assert!(refused.ends_with(message), "{refused}");
    }
    assert!(project(json!({"keep": "*"}), "[]").unwrap_err().contains("not a JSON object"));
}

#[test]
fn a_configuration_that_does_not_fit_is_refused() {
    for (config, message) in [
        (json!({}), "there must be a field"),
        (json!({"keep": "all"}), "`keep` is `all`; it is \"*\" or a list of names"),
        (json!({"keep": 1}), "`keep` is \"*\" or a list of names"),
        (json!({"keep": ["a"], "drop": ["b"]}), "`drop` goes with `keep: \"*\"`"),
        (json!({"fields": {"total": "price *"}}), "`fields.total`, line 1, column"),
        (json!({"fields": {"total": 1}}), "invalid type: integer `1`, expected a string"),
    ] {
        let refused =
            Project::create(Some(&config.to_string())).err().expect("refused").to_string();
        assert!(refused.contains(message), "{config}: {refused}");
    }
}
