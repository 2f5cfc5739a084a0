//! The messages users see, pinned, and the rules from manifest to wiring.

use std::collections::BTreeMap;

use millstream_core::description::{
    Capability, Description, Input, Output, StateKind, StateSpec, TimeDomain, TimerSpec,
};
use proptest::prelude::*;

use super::*;
use crate::problem::Problems;

const CARD_FRAUD: &str = r#"name: card-fraud
checkpoint-interval: 30s
sources:
  transactions:
    stream: TRANSACTIONS
    subject: "tx.>"
    start: { time: 2026-01-31T00:00:00Z }
    event-time: { pointer: /ts }
    watermark: { bound: 5s }
    on-gap: skip
stages:
  fraud:
    module: { file: ../card-fraud.wasm }
    partitions: 8
    inputs:
      transactions: { key: { pointer: /account_id } }
    config: { limit: 5, names: [a, b], rate: 0.5 }
    outputs:
      score: scores
      alert: alerts
    on-error: stop
sinks:
  scores: { subject: fraud.scores }
  alerts: { subject: "fraud.{key}.alerts" }
"#;

/// The smallest manifest: everything else by default.
const MINIMAL: &str = "name: p
sources: { s: { stream: S } }
stages: { a: { module: m@1.0.0, inputs: { s: { key: none } }, outputs: { out: k } } }
sinks: { k: { subject: k } }
";

fn parse(text: &str) -> Document {
    Document::parse("p.yaml", text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// All problems of a text that is not accepted.
fn refused(text: &str) -> String {
    Document::parse("p.yaml", text).map(|document| document.manifest).unwrap_err().to_string()
}

/// The problems after one replacement in [`CARD_FRAUD`].
fn broken(from: &str, to: &str) -> String {
    assert!(CARD_FRAUD.contains(from), "{from}");
    refused(&CARD_FRAUD.replacen(from, to, 1))
}

#[test]
fn all_fields_are_read() {
    let manifest = parse(CARD_FRAUD).manifest;
    let source = &manifest.sources["transactions"];
    assert_eq!(manifest.checkpoint_interval.ms, 30_000);
    assert_eq!(source.start, Start::Time(Timestamp { ms: 1_769_817_600_000 }));
    assert_eq!(source.event_time, EventTime::Pointer("/ts".into()));
    assert_eq!((source.watermark.bound.ms, source.on_gap), (5_000, OnGap::Skip));
    let stage = &manifest.stages["fraud"];
    assert_eq!(stage.module, ModuleRef::File { file: "../card-fraud.wasm".into() });
    assert_eq!((stage.partitions, stage.on_error), (8, OnError::Stop));
    assert_eq!(stage.inputs["transactions"].key, Key::Pointer("/account_id".into()));
    assert_eq!(stage.config.to_string(), r#"{"limit":5,"names":["a","b"],"rate":0.5}"#);
    assert_eq!(manifest.sinks["alerts"].subject, "fraud.{key}.alerts");
}

#[test]
fn what_is_left_out_has_defaults() {
    let manifest = parse(MINIMAL).manifest;
    let (source, stage) = (&manifest.sources["s"], &manifest.stages["a"]);
    assert_eq!(manifest.checkpoint_interval, CHECKPOINT_INTERVAL);
    assert_eq!((source.start, &source.event_time), (Start::Beginning, &EventTime::Broker));
    assert_eq!((source.watermark.bound.ms, source.on_gap), (0, OnGap::Stop));
    assert_eq!((stage.partitions, stage.on_error), (PARTITIONS, OnError::DeadLetter));
    assert_eq!(stage.module, ModuleRef::Named { name: "m".into(), version: "1.0.0".into() });
}

#[test]
fn every_form_of_start_and_key_is_read() {
    for (text, start) in [
        ("new", Start::New),
        ("beginning", Start::Beginning),
        ("{ sequence: 42 }", Start::Sequence(42)),
    ] {
        let manifest = parse(&CARD_FRAUD.replace("{ time: 2026-01-31T00:00:00Z }", text)).manifest;
        assert_eq!(manifest.sources["transactions"].start, start);
    }
    for (text, key) in [
        ("none", Key::None),
        ("{ header: Id }", Key::Header("Id".into())),
        ("{ subject-token: 2 }", Key::SubjectToken(2)),
    ] {
        let manifest = parse(&CARD_FRAUD.replace("{ pointer: /account_id }", text)).manifest;
        assert_eq!(manifest.stages["fraud"].inputs["transactions"].key, key);
    }
}

#[test]
fn a_transactional_sink_names_its_stream_and_no_other_does() {
    let with = |sink: &str| CARD_FRAUD.replace("{ subject: fraud.scores }", sink);
    let manifest = parse(CARD_FRAUD).manifest;
    assert_eq!(manifest.sinks["scores"].delivery, Delivery::Deduplicated);
    let text = with("{ subject: fraud.scores, delivery: transactional, stream: SCORES }");
    let sink = parse(&text).manifest.sinks["scores"].clone();
    assert_eq!((sink.delivery, sink.stream.as_deref()), (Delivery::Transactional, Some("SCORES")));
    for (sink, says) in [
        ("{ subject: a, delivery: transactional }", "stream: ORDER_COUNTS"),
        ("{ subject: a, stream: SCORES }", "a deduplicated sink names no stream"),
        ("{ subject: a, delivery: atomic }", "`transactional`"),
        ("{ subject: a, delivery: transactional, stream: a.b }", "contains '.'"),
    ] {
        let problems = refused(&with(sink));
        assert!(problems.contains(says), "{problems}");
    }
}

#[test]
fn several_mistakes_are_reported_at_once_in_the_order_of_the_text() {
    let text = CARD_FRAUD
        .replace("watermark: { bound: 5s }", "watermark: { bound: 5 }")
        .replace("partitions: 8", "partitons: 8")
        .replace("on-error: stop", "on-error: drop")
        .replace("stream: TRANSACTIONS", "stream: 42");
    let expected = "\
p.yaml:5:13: MS1005: sources.transactions.stream: expected a text, found the number 42
  help: write it in quotes, such as `stream: ORDERS`
p.yaml:9:25: MS1007: sources.transactions.watermark.bound: the duration 5 has no unit
  help: write `5s` or `5ms`
p.yaml:14:5: MS1003: stages.fraud.partitons: there is no field `partitons` here
  help: did you mean `partitions`?
p.yaml:21:15: MS1009: stages.fraud.on-error: \"drop\" is not known here
  help: use one of `dead-letter`, `stop`";
    assert_eq!(refused(&text), expected);
}

#[test]
fn single_mistakes_are_named_with_their_place_and_their_cure() {
    let cases = [
        (
            "name: card-fraud",
            "name: Card Fraud",
            "p.yaml:1:7: MS1006: name: the name \"Card Fraud\" contains 'C'\n  help: use 1 to 40 lower-case letters, digits and dashes, such as `card-fraud`",
        ),
        (
            "name: card-fraud\n",
            "",
            "p.yaml:1:1: MS1004: `name` is missing\n  help: add `name: my-pipeline`",
        ),
        (
            "partitions: 8",
            "partitions: 257",
            "p.yaml:14:17: MS1008: stages.fraud.partitions: 257 is out of range\n  help: use 1 to 256",
        ),
        (
            "partitions: 8",
            "partitions: lots",
            "p.yaml:14:17: MS1005: stages.fraud.partitions: expected a whole number, found the text \"lots\"\n  help: write a number, 1 to 256",
        ),
        (
            "partitions: 8",
            "standbys: 4",
            "p.yaml:14:15: MS1008: stages.fraud.standbys: 4 is out of range\n  help: use 0 to 3",
        ),
        (
            "checkpoint-interval: 30s",
            "checkpoint-interval: 30 s",
            "p.yaml:2:22: MS1007: checkpoint-interval: \"30 s\" is not a duration\n  help: write a whole number and a unit: `500ms`, `5s`, `2m`, `1h` or `1d`",
        ),
        (
            "checkpoint-interval: 30s",
            "checkpoint-interval: 10ms",
            "p.yaml:2:22: MS1007: checkpoint-interval: 10ms is out of range\n  help: use 1s to 1d",
        ),
        (
            "{ pointer: /account_id }",
            "{ pointer: account.id }",
            "p.yaml:16:39: MS1012: stages.fraud.inputs.transactions.key.pointer: the pointer \"account.id\" does not begin with `/`\n  help: write `/account/id`",
        ),
        (
            "{ pointer: /account_id }",
            "/account_id",
            "p.yaml:16:28: MS1005: stages.fraud.inputs.transactions.key: a pointer needs its name\n  help: write `{ pointer: /account_id }`",
        ),
        (
            "{ pointer: /account_id }",
            "{ pointer: /a, header: b }",
            "p.yaml:16:28: MS1010: stages.fraud.inputs.transactions.key: expected one alternative, found `pointer` and `header`\n  help: write `{ pointer: /id }`, `{ header: Id }`, `{ subject-token: 2 }` or `none`",
        ),
        (
            "{ pointer: /account_id }",
            "{ ponter: /a }",
            "p.yaml:16:30: MS1003: stages.fraud.inputs.transactions.key.ponter: there is no field `ponter` here\n  help: did you mean `pointer`?",
        ),
        (
            "transactions: { key: { pointer: /account_id } }",
            "transactions: {}",
            "p.yaml:16:7: MS1004: stages.fraud.inputs.transactions: `key` is missing\n  help: add `key: { pointer: /id }`",
        ),
        (
            "transactions: { key: { pointer: /account_id } }",
            "transaction: { key: none }",
            "p.yaml:16:7: MS1101: stages.fraud.inputs.transaction: there is no source `transaction`\n  help: did you mean `transactions`?",
        ),
        (
            "transactions: { key: { pointer: /account_id } }",
            "fraud: { key: none }",
            "p.yaml:16:7: MS1017: stages.fraud.inputs.fraud: `fraud` is a stage, and which of its outputs is read is not said\n  help: write `fraud.OUTPUT`, with the name of an output of its module",
        ),
        (
            "score: scores",
            "score: results",
            "p.yaml:19:14: MS1102: stages.fraud.outputs.score: there is no sink `results`\n  help: declare it: `sinks: { results: { subject: ... } }`",
        ),
        (
            "subject: \"tx.>\"",
            "subject: \"tx.>.a\"",
            "p.yaml:6:14: MS1011: sources.transactions.subject: the subject \"tx.>.a\" has `>` before its last token\n  help: write `orders.>` or `orders.*.eu`",
        ),
        (
            "subject: fraud.scores",
            "subject: fraud.*",
            "p.yaml:23:22: MS1011: sinks.scores.subject: the subject \"fraud.*\" has a wildcard\n  help: write `orders.counts` or, with the record's key, `orders.{key}.counts`",
        ),
        (
            "{ time: 2026-01-31T00:00:00Z }",
            "{ time: yesterday }",
            "p.yaml:7:20: MS1013: sources.transactions.start.time: \"yesterday\" is not a point in time\n  help: write `2026-01-31T00:00:00Z`",
        ),
        (
            "{ time: 2026-01-31T00:00:00Z }",
            "2026-01-31T00:00:00Z",
            "p.yaml:7:12: MS1005: sources.transactions.start: a time needs its name\n  help: write `start: { time: 2026-01-31T00:00:00Z }`",
        ),
        (
            "module: { file: ../card-fraud.wasm }",
            "module: ../card-fraud.wasm",
            "p.yaml:13:13: MS1014: stages.fraud.module: \"../card-fraud.wasm\" names no module\n  help: a file is written `module: { file: ../card-fraud.wasm }`",
        ),
        (
            "module: { file: ../card-fraud.wasm }",
            "module: { name: card-fraud, version: 1.0 }",
            "p.yaml:13:42: MS1005: stages.fraud.module.version: expected a text, found the number 1.0\n  help: write it in quotes, such as `version: \"1.0.0\"`",
        ),
        (
            "module: { file: ../card-fraud.wasm }",
            "module: { name: card-fraud }",
            "p.yaml:13:5: MS1004: stages.fraud.module: `version` is missing\n  help: add `version: \"1.0.0\"`",
        ),
        (
            "    stream: TRANSACTIONS\n",
            "    stream: TRANSACTIONS\n    stream: T2\n",
            "p.yaml:6:5: MS1015: the field `stream` is here a second time\n  help: remove one of them",
        ),
        (
            "config: { limit: 5, names: [a, b], rate: 0.5 }",
            "config: [1]",
            "p.yaml:17:13: MS1005: stages.fraud.config: expected a mapping, found a list\n  help: write `config: { limit: 5 }`",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(broken(from, to), expected, "{from} -> {to}");
    }
}

#[test]
fn whole_documents_that_are_nothing_are_refused() {
    assert_eq!(
        refused(""),
        "p.yaml:1:1: MS1016: the manifest is empty\n  help: begin with `name: my-pipeline`"
    );
    assert!(refused("- a\n").starts_with("p.yaml:1:1: MS1005: expected a mapping, found a list"));
    assert!(refused("name: p\nsources:\nstages:\n").contains("MS1004: `sources` is missing"));
    assert!(
        refused("name: p\nsources: {}\nstages: {}\n")
            .contains("MS1016: sources: at least one entry is needed")
    );
    assert!(refused(&"#".repeat(MANIFEST_SIZE_MAX + 1)).contains("MS1001"));
}

#[test]
fn the_subject_token_must_exist() {
    let text = CARD_FRAUD
        .replace("tx.>", "tx.*.eu")
        .replace("{ pointer: /account_id }", "{ subject-token: 4 }");
    let expected = "p.yaml:16:45: MS1114: stages.fraud.inputs.transactions.key.subject-token: the subjects of source `transactions` (tx.*.eu) have 3 tokens\n  help: use a number from 1 to 3";
    assert_eq!(refused(&text), expected);
    parse(&text.replace("subject-token: 4", "subject-token: 3"));
}

#[test]
fn the_schema_knows_every_field_and_refuses_others() {
    let schema = json_schema();
    assert_eq!(schema["additionalProperties"], false);
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        ["checkpoint-interval", "checkpoints", "name", "sinks", "sources", "stages"]
    );
    assert_eq!(schema["required"], serde_json::json!(["name", "sources", "stages"]));
    let stage = &schema["$defs"]["Stage"];
    assert_eq!(stage["required"], serde_json::json!(["module", "inputs"]));
    assert_eq!(stage["properties"]["module"]["$ref"], "#/$defs/ModuleForms");
    assert_eq!(schema["$defs"]["ModuleForms"]["anyOf"].as_array().unwrap().len(), 4);
    assert_eq!(schema["$defs"]["Start"]["oneOf"].as_array().unwrap().len(), 4);
}

#[test]
fn checkpoints_have_a_store_of_a_known_kind() {
    let stored = |url: &str| format!("{MINIMAL}checkpoints: {{ store: {url} }}\n");
    assert_eq!(parse(MINIMAL).manifest.checkpoints.store, None);
    let manifest = parse(&stored("file:///mnt/checkpoints")).manifest;
    assert_eq!(manifest.checkpoints.store.as_deref(), Some("file:///mnt/checkpoints"));
    for url in ["s3://bucket/folder", "gs://bucket/folder", "az://container/folder"] {
        assert_eq!(parse(&stored(url)).manifest.checkpoints.store.as_deref(), Some(url));
    }
    for url in ["/mnt/checkpoints", "ftp://host/folder"] {
        let found = refused(&stored(url));
        let place = "p.yaml:5:23: MS1019: checkpoints.store: storage URL ";
        assert!(found.starts_with(place) && found.contains(url), "{found}");
    }
    assert!(refused(&stored("42")).contains("MS1005"));
    let module = description(&["in"], &["out"]);
    let moved = evolve((MINIMAL, &module), (&stored("file:///elsewhere"), &module));
    assert!(
        moved.starts_with("p.yaml:5:16: MS1207: checkpoints.store: the checkpoints of the running pipeline are in the JetStream object store, not in file:///elsewhere"),
        "{moved}"
    );
}

fn description(inputs: &[&str], outputs: &[&str]) -> Description {
    Description {
        name: "m".into(),
        version: "1.0.0".into(),
        inputs: inputs
            .iter()
            .map(|name| Input { name: (*name).into(), fields: Vec::new(), broadcast: false })
            .collect(),
        outputs: outputs
            .iter()
            .map(|name| Output { name: (*name).into(), fields: Vec::new() })
            .collect(),
        capabilities: vec![Capability::Config],
        ..Description::default()
    }
}

fn wired(text: &str, description: &Description) -> Result<Wiring, Problems> {
    let document = parse(text);
    let descriptions =
        document.manifest.stages.keys().map(|stage| (stage.clone(), description)).collect();
    wire(&document, &descriptions).map(|mut wirings| wirings.pop_first().unwrap().1)
}

#[test]
fn declared_ports_are_wired_in_their_order() {
    let wiring = wired(CARD_FRAUD, &description(&["in"], &["alert", "unused", "score"])).unwrap();
    let key = Key::Pointer("/account_id".into());
    assert_eq!(wiring.inputs, [Feed { from: "transactions".into(), input: 0, key }]);
    assert_eq!(wiring.outputs, [vec!["alerts".to_owned()], vec![], vec!["scores".to_owned()]]);
}

/// Two sources on one stage; `INPUTS` is replaced by each case.
const TWO_SOURCES: &str = "name: p
sources: { left: { stream: L }, right: { stream: R } }
stages:
  a:
    module: m@1.0.0
    inputs: INPUTS
    outputs: { out: k }
sinks: { k: { subject: k } }
";

#[test]
fn several_inputs_are_told_apart_by_name_or_as() {
    let text = TWO_SOURCES
        .replace("INPUTS", "{ left: { key: none, as: b }, right: { key: none, as: a } }");
    let sources =
        |wiring: Wiring| wiring.inputs.into_iter().map(|feed| feed.from).collect::<Vec<_>>();
    assert_eq!(
        sources(wired(&text, &description(&["a", "b"], &["out"])).unwrap()),
        ["right", "left"]
    );
    let text = TWO_SOURCES.replace("INPUTS", "{ left: { key: none }, right: { key: none } }");
    assert_eq!(
        sources(wired(&text, &description(&["right", "left"], &["out"])).unwrap()),
        ["right", "left"]
    );
}

#[test]
fn several_inputs_may_feed_the_same() {
    let text = TWO_SOURCES.replace("INPUTS", "{ left: { key: none }, right: { key: none } }");
    let wiring = wired(&text, &description(&["in"], &["out"])).unwrap();
    let fed: Vec<_> = wiring.inputs.iter().map(|feed| (feed.from.as_str(), feed.input)).collect();
    assert_eq!(fed, [("left", 0), ("right", 0)]);
}

/// Two stages, the second of which reads what `INPUT` says.
const TWO_STAGES: &str = "name: p
sources: { s: { stream: S } }
stages:
  a:
    module: m@1.0.0
    inputs: { s: { key: none } }
    outputs: { out: [k, l] }
  b:
    module: m@1.0.0
    inputs: { INPUT }
    outputs: { out: k }
sinks: { k: { subject: k }, l: { subject: l } }
";

#[test]
fn a_stage_reads_an_output_of_another() {
    let text = TWO_STAGES.replace("INPUT", "a.out: { key: { pointer: /id } }");
    let document = parse(&text);
    assert_eq!(document.manifest.stages["a"].outputs["out"], ["k", "l"]);
    let module = description(&["in"], &["out"]);
    let descriptions = [("a".to_owned(), &module), ("b".to_owned(), &module)].into();
    let wirings = wire(&document, &descriptions).unwrap();
    let key = Key::Pointer("/id".into());
    assert_eq!(wirings["b"].inputs, [Feed { from: "a.out".into(), input: 0, key }]);

    let moved = description(&["in"], &["other", "out"]);
    let after = [("a".to_owned(), &moved), ("b".to_owned(), &module)].into();
    let rewired = wire(&document, &after).unwrap();
    let version = |descriptions, wirings| Version { document: &document, descriptions, wirings };
    let problems = check_evolution(&version(&descriptions, &wirings), &version(&after, &rewired));
    assert!(
        problems
            .unwrap_err()
            .to_string()
            .contains("`out` was output number 1 of stage `a`, in the new module it is number 2")
    );
}

#[test]
fn a_chained_stage_shares_what_the_one_before_it_has_and_keeps_its_place() {
    let text = TWO_STAGES
        .replace("INPUT", "a.out: { key: same }")
        .replace("  a:\n", "  a:\n    partitions: 7\n    standbys: 2\n    on-error: stop\n");
    let manifest = parse(&text).manifest;
    let b = &manifest.stages["b"];
    assert_eq!((b.partitions, b.standbys, b.on_error), (7, 2, OnError::Stop));
    assert_eq!((manifest.head_of("b"), manifest.chained_behind("b")), ("a", Some(("a", "out"))));

    let module = description(&["in"], &["out"]);
    let grown = description(&["in"], &["out", "more"]);
    let broadcast = Description {
        inputs: vec![Input { broadcast: true, ..module.inputs[0].clone() }],
        ..module.clone()
    };
    let document = parse(&text);
    let of = |a, b| [("a".to_owned(), a), ("b".to_owned(), b)].into();
    let refused = wire(&document, &of(&module, &broadcast)).unwrap_err().to_string();
    assert!(refused.contains("MS1119") && refused.contains("broadcast"), "{refused}");
    let before: BTreeMap<String, &Description> = of(&module, &module);
    let (first, last) = (of(&grown, &module), of(&module, &grown));
    let wirings = wire(&document, &before).unwrap();
    let evolve = |after: &BTreeMap<String, &Description>| {
        let rewired = wire(&document, after).unwrap();
        let old = Version { document: &document, descriptions: &before, wirings: &wirings };
        check_evolution(
            &old,
            &Version { document: &document, descriptions: after, wirings: &rewired },
        )
    };
    assert!(evolve(&last).is_ok());
    let refused = evolve(&first).unwrap_err().to_string();
    assert!(
        refused.contains("MS1216") && refused.contains("`b` is chained behind it"),
        "{refused}"
    );
}

#[test]
fn inputs_that_are_outputs_are_checked() {
    let cases = [
        (
            "aa.out: { key: none }",
            "p.yaml:10:15: MS1116: stages.b.inputs.aa.out: there is no stage `aa`\n  help: did you mean `a`?",
        ),
        (
            "a.out: { key: { header: Id } }",
            "p.yaml:10:29: MS1118: stages.b.inputs.a.out.key: an output of a stage has neither headers nor a subject\n  help: write `{ pointer: /id }`, or `none`",
        ),
        (
            "b.out: { key: none }",
            "p.yaml:10:5: MS1117: stages.b.inputs: the stage `b` reads its own output\n  help: remove one of these inputs",
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(refused(&TWO_STAGES.replace("INPUT", input)), expected);
    }
    let chained = TWO_STAGES.replace("INPUT", "a.out: { key: same }");
    let with = |stage: &str, field: &str| {
        let module = format!("  {stage}:\n");
        refused(&chained.replace(&module, &format!("{module}    {field}\n")))
    };
    let found = with("b", "partitions: 5");
    assert!(
        found.contains("MS1119: stages.b.partitions: it runs in the 4 partitions of `a`"),
        "{found}"
    );
    let found = with("b", "on-error: stop");
    assert!(found.contains("MS1119: stages.b.on-error: what fails in it fails in `a`"), "{found}");
    let found = refused(&TWO_STAGES.replace("INPUT", "a.out: { key: same }, s: { key: none }"));
    assert!(found.contains("MS1119: stages.b.inputs.a.out.key: a stage that is chained behind another reads nothing else"), "{found}");
    let found = refused(&TWO_STAGES.replace("INPUT", "s: { key: same }"));
    assert!(found.contains("MS1119: stages.b.inputs.s.key: `s` is a source"), "{found}");
    let found = refused(&TWO_STAGES.replace("INPUT", "b.out: { key: same }"));
    assert!(found.contains("MS1117"), "{found}");
    let circle = TWO_STAGES
        .replace("INPUT", "a.out: { key: none }")
        .replace("s: { key: none }", "b.out: { key: none }");
    let found = refused(&circle);
    assert!(found.contains("MS1117") && found.contains("feed each other in a circle"), "{found}");
    let text = TWO_STAGES.replace("INPUT", "a.oud: { key: none }");
    let module = description(&["in"], &["out"]);
    let descriptions = [("a".to_owned(), &module), ("b".to_owned(), &module)].into();
    let problem = wire(&parse(&text), &descriptions).unwrap_err().to_string();
    assert!(problem.contains("declares no output `oud`"), "{problem}");
}

#[test]
fn what_does_not_fit_the_module_is_named() {
    let two = "{ left: { key: none }, right: { key: none } }";
    let cases = [
        (
            two,
            vec!["a", "b"],
            "p.yaml:6:15: MS1107: stages.a.inputs.left: module m@1.0.0 declares 2 inputs: `a`, `b`\n  help: add `as:` with the one that this source feeds\np.yaml:6:36: MS1107: stages.a.inputs.right: module m@1.0.0 declares 2 inputs: `a`, `b`\n  help: add `as:` with the one that this source feeds",
        ),
        (
            "{ left: { key: none, as: lft } }",
            vec!["left"],
            "p.yaml:6:38: MS1104: stages.a.inputs.left.as: module m@1.0.0 declares no input `lft`\n  help: did you mean `left`?",
        ),
        (
            "{ left: { key: none } }",
            vec!["left", "right"],
            "p.yaml:6:5: MS1105: stages.a.inputs: module m@1.0.0 declares the input `right`, and no source feeds it\n  help: add a source with `as: right`",
        ),
    ];
    for (inputs, declared, expected) in cases {
        let problems =
            wired(&TWO_SOURCES.replace("INPUTS", inputs), &description(&declared, &["out"]))
                .unwrap_err();
        assert_eq!(problems.to_string(), expected, "{inputs}");
    }
    let problems = wired(CARD_FRAUD, &description(&["in"], &["scores", "alert"])).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "p.yaml:19:7: MS1103: stages.fraud.outputs.score: module m@1.0.0 declares no output `score`\n  help: did you mean `scores`?"
    );
    let silent =
        Description { capabilities: Vec::new(), ..description(&["in"], &["score", "alert"]) };
    let problems = wired(CARD_FRAUD, &silent).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "p.yaml:17:5: MS1108: stages.fraud.config: module m@1.0.0 takes no configuration\n  help: remove `config`"
    );
    let dropped = MINIMAL.replace(", outputs: { out: k }", "");
    let problems = wired(&dropped, &description(&["in"], &["out"])).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "p.yaml:3:11: MS1109: stages.a: no output of module m@1.0.0 goes anywhere\n  help: add `outputs: { out: <sink> }`"
    );
}

#[test]
fn differences_are_listed_field_by_field_with_defaults_filled_in() {
    let old = parse(CARD_FRAUD).manifest;
    assert_eq!(diff(&old, &old), []);
    let explicit =
        MINIMAL.replace("module: m@1.0.0", "module: { name: m, version: 1.0.0 }, partitions: 4");
    assert_eq!(diff(&parse(MINIMAL).manifest, &parse(&explicit).manifest), []);
    let new = CARD_FRAUD
        .replace("limit: 5", "limit: 6")
        .replace("      alert: alerts\n", "")
        .replace("checkpoint-interval: 30s\n", "")
        .replace("module: { file: ../card-fraud.wasm }", "module: m@1.0.0");
    let changes: Vec<String> = diff(&old, &parse(&new).manifest)
        .into_iter()
        .map(|change| {
            let side = |value: Option<String>| value.unwrap_or_else(|| "-".into());
            format!("{} {} {}", change.field, side(change.old), side(change.new))
        })
        .collect();
    assert_eq!(
        changes,
        [
            r#"checkpoint-interval "30s" "10s""#,
            "stages.fraud.config.limit 5 6",
            r#"stages.fraud.module.file "../card-fraud.wasm" -"#,
            r#"stages.fraud.module.name - "m""#,
            r#"stages.fraud.module.version - "1.0.0""#,
            r#"stages.fraud.outputs.alert "alerts" -"#,
        ]
    );
}

/// The verdict on changing a manifest and its module.
fn evolve(old: (&str, &Description), new: (&str, &Description)) -> String {
    let (old_document, new_document) = (parse(old.0), parse(new.0));
    let all = |document: &Document, description| -> BTreeMap<String, &Description> {
        document.manifest.stages.keys().map(|stage| (stage.clone(), description)).collect()
    };
    let (old_descriptions, new_descriptions) =
        (all(&old_document, old.1), all(&new_document, new.1));
    let old_wirings = wire(&old_document, &old_descriptions).unwrap();
    let new_wirings = wire(&new_document, &new_descriptions).unwrap();
    let old =
        Version { document: &old_document, descriptions: &old_descriptions, wirings: &old_wirings };
    let new =
        Version { document: &new_document, descriptions: &new_descriptions, wirings: &new_wirings };
    check_evolution(&old, &new).map_or_else(|problems| problems.to_string(), |()| "fits".to_owned())
}

#[test]
fn a_running_pipeline_takes_what_leaves_its_log_meaningful() {
    let module = description(&["in"], &["score", "alert"]);
    let new = CARD_FRAUD
        .replace("limit: 5", "limit: 6")
        .replace("      alert: alerts\n", "")
        .replace("on-gap: skip", "on-gap: stop")
        .replace("on-error: stop", "on-error: dead-letter")
        .replace("fraud.scores", "fraud.scores2")
        .replace("checkpoint-interval: 30s", "checkpoint-interval: 1m");
    let next = description(&["input"], &["alert", "score", "more"]);
    assert_eq!(evolve((CARD_FRAUD, &module), (&new, &next)), "fits");
}

#[test]
fn a_running_pipeline_refuses_what_would_change_its_past() {
    let module = description(&["in"], &["score", "alert"]);
    let keep = "\n  help: keep it as it is, or create a new pipeline: `name: card-fraud-2`";
    let cases = [
        (
            "partitions: 8",
            "partitions: 4",
            "p.yaml:14:5: MS1203: stages.fraud.partitions: the stage has 8 partitions, not 4",
        ),
        (
            "/account_id",
            "/card",
            "p.yaml:16:23: MS1204: stages.fraud.inputs.transactions.key: the key of `transactions` was {\"pointer\":\"/account_id\"}",
        ),
        (
            "stream: TRANSACTIONS",
            "stream: T2",
            "p.yaml:5:5: MS1201: sources.transactions.stream: the running pipeline has another `stream`",
        ),
        (
            "subject: \"tx.>\"",
            "subject: \"tx.eu\"",
            "p.yaml:6:5: MS1201: sources.transactions.subject: the running pipeline has another `subject`",
        ),
        (
            "bound: 5s",
            "bound: 6s",
            "p.yaml:9:18: MS1201: sources.transactions.watermark.bound: the running pipeline has another `watermark.bound`",
        ),
        (
            "  fraud:\n",
            "  scams:\n",
            "p.yaml:11:1: MS1205: stages: the running pipeline has a stage `fraud`",
        ),
    ];
    for (from, to, expected) in cases {
        let found = evolve((CARD_FRAUD, &module), (&CARD_FRAUD.replace(from, to), &module));
        assert_eq!(
            found.split("\np.yaml").next(),
            Some(format!("{expected}{keep}").as_str()),
            "{from} -> {to}"
        );
    }
    let two = TWO_SOURCES
        .replace("INPUTS", "{ left: { key: none, as: a }, right: { key: none, as: b } }");
    let swapped = evolve(
        (&two, &description(&["a", "b"], &["out"])),
        (&two, &description(&["b", "a"], &["out"])),
    );
    assert!(swapped.starts_with("p.yaml:6:5: MS1206: stages.a.inputs: the stage's inputs were fed by left, right, now by right, left"), "{swapped}");
}

#[test]
fn a_module_swap_must_keep_states_and_timers() {
    let state = |name: &str, kind, schema_version| StateSpec {
        schema_version,
        ..StateSpec::new(name, kind)
    };
    let timer = |name: &str, domain| TimerSpec { name: name.into(), domain };
    let base = description(&["in"], &["score", "alert"]);
    let old = Description {
        states: vec![state("account", StateKind::Value, 1), state("seen", StateKind::Map, 1)],
        timers: vec![timer("expire", TimeDomain::EventTime)],
        ..base.clone()
    };
    let verdict = |states: Vec<StateSpec>, timers: Vec<TimerSpec>| {
        let new = Description { states, timers, ..base.clone() };
        evolve((CARD_FRAUD, &old), (CARD_FRAUD, &new)).lines().next().unwrap_or_default().to_owned()
    };
    let place = "p.yaml:13:5: ";
    let (account, seen) = (&old.states[0], &old.states[1]);
    let grown = vec![
        account.clone(),
        StateSpec { ttl_ms: Some(5), ..seen.clone() },
        state("new", StateKind::List, 1),
    ];
    let migrated = StateSpec { reads: vec![1], ..state("seen", StateKind::Map, 2) };
    assert_eq!(verdict(vec![account.clone(), migrated], old.timers.clone()), "fits");
    assert_eq!(
        verdict(grown, vec![old.timers[0].clone(), timer("more", TimeDomain::ProcessingTime)]),
        "fits"
    );
    let cases = [
        (
            vec![account.clone()],
            "MS1210: stages.fraud.module: the new module does not declare the state `seen`",
        ),
        (
            vec![account.clone(), state("seen", StateKind::List, 1)],
            "MS1211: stages.fraud.module: state `seen` is a map, not a list",
        ),
        (
            vec![account.clone(), StateSpec { broadcast: true, ..seen.clone() }],
            "MS1211: stages.fraud.module: state `seen` is a map, not a broadcast map",
        ),
        (
            vec![account.clone(), state("seen", StateKind::Map, 2)],
            "MS1212: stages.fraud.module: state `seen` may hold elements of schema version 1, which the new module, whose version is 2, does not read",
        ),
        (
            vec![
                account.clone(),
                StateSpec { ttl_ms: Some(5), ttl_domain: TimeDomain::EventTime, ..seen.clone() },
            ],
            "MS1215: stages.fraud.module: elements of state `seen` expire by no clock, not by event time",
        ),
        (
            vec![seen.clone(), account.clone()],
            "MS1213: stages.fraud.module: the new module must declare first, in this order, the states account, seen",
        ),
    ];
    for (states, expected) in cases {
        assert_eq!(verdict(states, old.timers.clone()), format!("{place}{expected}"));
    }
    assert_eq!(
        verdict(old.states.clone(), vec![timer("expire", TimeDomain::ProcessingTime)]),
        format!(
            "{place}MS1214: stages.fraud.module: timer `expire` follows event-time, not processing-time"
        )
    );
    assert_eq!(
        verdict(old.states.clone(), Vec::new()),
        format!(
            "{place}MS1214: stages.fraud.module: the new module must declare the timer `expire` at place 1"
        )
    );
}

proptest! {
    /// Whatever is written at one place, the answer is a manifest or located problems.
    #[test]
    fn mutilated_manifests_never_panic(at in 0..CARD_FRAUD.len(), length in 0usize..20, insert in "[ -~\n]{0,8}") {
        let end = (at + length).min(CARD_FRAUD.len());
        let text = format!("{}{insert}{}", &CARD_FRAUD[..at], &CARD_FRAUD[end..]);
        if let Err(problems) = Document::parse("p.yaml", &text) {
            prop_assert!(!problems.0.is_empty());
            for problem in &problems.0 {
                let location = problem.location.as_ref().expect("located");
                prop_assert!(location.line >= 1 && location.column >= 1, "{}", problem);
                prop_assert!(crate::errors::entry(problem.code).is_some());
            }
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,64}") {
        let _ = Document::parse("p.yaml", &text);
    }
}
