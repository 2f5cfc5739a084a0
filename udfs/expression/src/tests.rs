//! The language as users see it: `docs/no-code.md`.

use millstream_udf::prelude::*;
use proptest::prelude::*;

use crate::{Compiler, Document, Meta, Scope};

const META: Meta<'_> = Meta { key: b"k1", subject: "orders.eu", event_time: 1_700_000_000_000 };

/// What an expression gives on a record, as JSON; `-` for nothing.
fn give(source: &str, record: &str) -> Result<String> {
    let mut compiler = Compiler::new(&[])?;
    let expression = compiler.compile("x", source)?;
    let plan = compiler.plan();
    let document = Document::read(&plan, record.as_bytes())?;
    let mut out = Vec::new();
    let written = expression.write(&Scope::of(&document, META, plan.uses_meta()), &mut out)?;
    Ok(if written { String::from_utf8(out).unwrap() } else { "-".into() })
}

#[track_caller]
fn gives(source: &str, record: &str, json: &str) {
    assert_eq!(give(source, record).map_err(|e| e.to_string()), Ok(json.to_owned()), "{source}");
}

#[track_caller]
fn refuses(source: &str, record: &str, message: &str) {
    let refused = give(source, record).expect_err(source).to_string();
    assert!(refused.contains(message), "{source}: {refused}");
}

#[test]
fn fields_are_names_and_the_record_is_whole() {
    let record = r#"{"amount":12.5,"n":3,"order":{"id":"o1","lines":[{"q":2},{"q":5}]},"ok":true,"no":null}"#;
    gives("amount > 10 && ok", record, "true");
    gives("order.id", record, r#""o1""#);
    gives("record.order.id + '/' + string(n)", record, r#""o1/3""#);
    gives("record['order']['id']", record, r#""o1""#);
    gives("order.lines.map(l, l.q * n)", record, "[6,15]");
    gives("order.lines.exists(l, l.q > 4)", record, "true");
    gives("order.lines.filter(l, l.q > 4)", record, r#"[{"q":5}]"#);
    gives("record", r#"{"b":1,"a":[]}"#, r#"{"a":[],"b":1}"#);
    gives("{'record': record.size(), 'n': n}", r#"{"n":1,"m":2}"#, r#"{"n":1,"record":2}"#);
    gives("no == null", record, "true");
    gives("record.`odd name`", r#"{"odd name":1}"#, "1");
}

#[test]
fn absence() {
    gives("has(record.x)", r#"{"y":1}"#, "false");
    gives("has(record.y) && y == 1", r#"{"y":1}"#, "true");
    gives("has(record.y)", r#"{"y":null}"#, "true");
    gives("has(order.x)", r#"{"order":{}}"#, "false");
    gives("record.?x.orValue(7)", r#"{"y":1}"#, "7");
    gives("record.?x", r#"{"y":1}"#, "-");
    gives("{'a': record.?x, 'b': 1}.b", "{}", "1");
    refuses("x > 1", r#"{"y":1}"#, "`x`: the record has no field `x`");
    refuses("order.x", r#"{"order":{}}"#, "there is no field `x`");
    refuses("order.x", r#"{"order":1}"#, "does not take");
    // An error on one side of `||` does not count if the other side decides.
    gives("x > 1 || y == 1", r#"{"y":1}"#, "true");
    gives("x > 1 && y == 2", r#"{"y":1}"#, "false");
}

#[test]
fn integers_and_doubles_go_together() {
    gives("price * quantity", r#"{"price":12.5,"quantity":2}"#, "25.0");
    gives("price * quantity", r#"{"price":12,"quantity":2}"#, "24");
    gives("[2 * p, p + 1, 1 - p, p / 2]", r#"{"p":0.5}"#, "[1.0,1.5,0.5,0.25]");
    gives("7 / 2", "{}", "3");
    gives("7 % 4", "{}", "3");
    gives("p > 0 && 1 > p && p in [0.5]", r#"{"p":0.5}"#, "true");
    gives("n", r#"{"n":18446744073709551615}"#, "18446744073709551615");
    gives("'a' + 'b'", "{}", r#""ab""#);
    gives("[1] + [2]", "{}", "[1,2]");
    refuses("p + 1", r#"{"p":"1"}"#, "`+` does not take (string, int)");
    refuses("n + 1", r#"{"n":9223372036854775807}"#, "`+` overflows 64 bits");
    refuses("1 / n", r#"{"n":0}"#, "division by zero");
    refuses("1.0 / n", r#"{"n":0}"#, "not a finite number");
    refuses("n % 2", r#"{"n":1.5}"#, "does not take");
    refuses("[1] + {'a': 1}", "{}", "does not take (list, map)");
}

#[test]
fn money_is_exact() {
    gives("units(price, 2) * quantity", r#"{"price":0.1,"quantity":3}"#, "30");
    gives("decimal(units(price, 2) * 3, 2)", r#"{"price":"0.10"}"#, "0.30");
    gives("units(price, 2)", r#"{"price":12}"#, "1200");
    refuses("units(price, 2)", r#"{"price":0.125}"#, "`units`: 0.125 has more than 2 digits");
    refuses("units(price, 2)", r#"{"price":12345678901234.56}"#, "send it as text");
    gives("units(price, 2)", r#"{"price":"12345678901234.56"}"#, "1234567890123456");
    refuses("units(price, 2)", r#"{"price":true}"#, "`a bool` is not a decimal number");
    refuses("units(price, 10)", r#"{"price":1}"#, "the scale must be 0 to 9");
}

#[test]
fn maps_are_in_the_order_of_their_keys() {
    gives("{'b': 1, 'a': 2, 'c': 3}.map(k, k)", "{}", r#"["a","b","c"]"#);
    gives("m.filter(k, m[k] > 1)", r#"{"m":{"z":2,"a":3,"k":1}}"#, r#"["a","z"]"#);
    gives("{3: 0, 1u: 0, 2: 0}.map(k, int(k))", "{}", "[1,2,3]");
    gives("{'b': {'y': 1, 'x': 2}, 'a': 0}", "{}", r#"{"a":0,"b":{"x":2,"y":1}}"#);
    refuses("{1: 2}", "{}", "keys other than text");
}

#[test]
fn what_is_known_beside_the_payload() {
    gives("[meta.key, meta.subject, meta.event_time]", "{}", r#"["k1","orders.eu",1700000000000]"#);
    gives("meta.subject.startsWith('orders.')", "{}", "true");
    refuses("meta.nope", "{}", "there is no field `nope`");
}

#[test]
fn text_functions() {
    gives("name.trim().lowerAscii()", r#"{"name":" Ab "}"#, r#""ab""#);
    gives("iban.substring(0, 2)", r#"{"iban":"DE89"}"#, r#""DE""#);
    gives("tags.split(',').size()", r#"{"tags":"a,b,c"}"#, "3");
    gives("['a', 'b'].join('-')", "{}", r#""a-b""#);
    gives("math.round(x)", r#"{"x":2.5}"#, "3.0");
    gives("optional.of(1).orValue(2)", "{}", "1");
    gives("int('12') + int(2.9)", "{}", "14");
    refuses("int(x)", r#"{"x":"abc"}"#, "`int`");
}

#[test]
fn mistakes_are_told_before_the_first_record() {
    for (source, message) in [
        ("amount >", "`x`, line 1, column "),
        ("amount > 1 &&\n  (b ==", "`x`, line 2, column "),
        ("a = b", "`x`, line 1, column 3"),
        ("amount > 1 && nope(b)", "`x`, line 1, column 15: there is no function `nope`"),
        ("a.nope()", "`x`, line 1, column 3: there is no method `nope`"),
        ("math.nope(1)", "there is no function `math.nope`"),
        ("a.matches('x')", "there is no method `matches`"),
        ("size(a, b)", "`size` takes 1 arguments, and is given 2"),
        ("a.substring()", "`substring` takes 1 to 2 arguments, and is given 0"),
        ("Order{id: 1}", "there are no messages at all"),
        ("  ", "`x` is empty"),
        ("has(a)", "`x`, line 1, column"),
        ("for", "`x`, line 1, column 1"),
    ] {
        refuses(source, "{}", message);
    }
}

/// Deep expressions are refused before they can exhaust the stack. A debug build's stack frames are many times those of a
/// module.
#[test]
fn depth_is_limited() {
    let thread = std::thread::Builder::new().stack_size(32 << 20);
    thread.spawn(deep_expressions).unwrap().join().unwrap();
}

fn deep_expressions() {
    refuses(&"1 + ".repeat(2_000), "{}", "4096 at most");
    refuses(&format!("1{}", " + 1".repeat(500)), "{}", "64 levels deep");
    refuses(&format!("{}1{}", "[".repeat(500), "]".repeat(500)), "{}", "levels of brackets");
    refuses(&format!("{}1{}", "(".repeat(2_000), ")".repeat(2_000)), "{}", "levels of brackets");
    refuses(&format!("a{}", ".b".repeat(2_000)), "{}", "64 levels deep");
    refuses(&format!("{}1", "true ? 1 : ".repeat(370)), "{}", "64 levels deep");
    refuses(&format!("{}a", "!-".repeat(2_000)), "{}", "64 levels deep");
    refuses(&format!("a{}", "[0]".repeat(1_300)), "{}", "64 levels deep");
    refuses(&format!("a{}", " == a".repeat(800)), "{}", "64 levels deep");
    gives(&format!("{}1{}", "(".repeat(32), ")".repeat(32)), "{}", "1");
    gives(&format!("1{}", " + 1".repeat(60)), "{}", "61");
    gives(&format!("true{}", " && true".repeat(400)), "{}", "true");
}

#[test]
fn records_that_are_no_objects() {
    refuses("1", "[1]", "the record is not a JSON object");
    refuses("1", "{\"a\":1", "the record is not a JSON object");
    refuses("1", "{} {}", "the record is not a JSON object");
    refuses("a", r#"{"a":[}"#, "the record is not a JSON object");
    gives("a", r#"{"a":1,"\u0061":2}"#, "2");
}

#[test]
fn only_the_fields_that_are_used_are_read() {
    let mut compiler = Compiler::new(&["row"]).unwrap();
    for source in
        ["a.b > record.c", "d.exists(e, e == f) || row.g == 1", "has(record.h) && meta.key == 'x'"]
    {
        compiler.compile("x", source).unwrap();
    }
    let plan = compiler.plan();
    assert_eq!(plan.names, ["a", "c", "d", "f", "h"]);
    assert!(!plan.whole && plan.uses_meta());
}

#[test]
fn paths_are_known() {
    let mut compiler = Compiler::new(&["row"]).unwrap();
    for (source, path) in [
        ("a.b.c", Some("a.b.c")),
        ("record.a", Some("a")),
        ("record", None),
        ("row.a", None),
        ("meta.key", None),
        ("a[0]", None),
        ("has(a.b)", None),
    ] {
        let expression = compiler.compile("x", source).unwrap();
        assert_eq!(expression.path().map(|path| path.join(".")).as_deref(), path, "{source}");
    }
}

proptest! {
    /// Whatever stands in a configuration and a record: an answer or an error, and no panic.
    #[test]
    fn any_text_is_answered(source in "[a-c0-9 .+*/%()\\[\\]{}'\"?:,&|<>=!-]{1,40}", record in "[ab{}\\[\\]\":,0-9]{0,20}") {
        let _ = give(&source, &record);
        let _ = give(&source, r#"{"a":1,"b":"x","c":{"a":[1.5]}}"#);
    }

    /// JSON that goes through an expression comes out as the same JSON.
    #[test]
    fn json_round_trips(value in json(4)) {
        let record = serde_json::json!({"a": value}).to_string();
        let given = give("[record, a]", &record).unwrap();
        let expected = serde_json::json!([{"a": value}, value]);
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&given).unwrap(), expected);
    }

    #[test]
    fn integers_are_exact(a: i64, b: i64) {
        let record = format!(r#"{{"a":{a},"b":{b}}}"#);
        match a.checked_mul(b) {
            Some(product) => prop_assert_eq!(give("a * b", &record).unwrap(), product.to_string()),
            None => prop_assert!(give("a * b", &record).is_err()),
        }
        prop_assert_eq!(give("a < b", &record).unwrap(), (a < b).to_string());
    }
}

/// Any JSON value of so many levels.
fn json(levels: u32) -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| json!(x)),
        "\\PC{0,8}".prop_map(|s| json!(s)),
    ];
    scalar.prop_recursive(levels, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
