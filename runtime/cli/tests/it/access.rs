//! Signed requests, roles, and the audit trail with its export.

use millstream_core::commit::hash_of;
use serde_json::Value;

use crate::millstream::Called;
use crate::served::Served;

/// Seeds of users' nkeys, of 32 bytes each with the value 1 and 2.
const ADA: &str = "SUAACAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAN7EY";
const BOB: &str = "SUAAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAT6EE";

fn json(called: Called) -> Value {
    serde_json::from_str(&called.ok().stdout).expect("JSON")
}

/// Calls a command signed by whose seed is in this file.
fn by(served: &Served, nkey: &str, args: &[&str]) -> Called {
    served.call(&[args, &["--nkey", nkey]].concat())
}

fn key_of(served: &Served, nkey: &str) -> String {
    let me = json(by(served, nkey, &["whoami", "-o", "json"]));
    me["key"].as_str().expect("it is signed").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_granted_is_what_can_be_done_and_the_trail_says_who_did_it() {
    let served = Served::start().await;
    let run = served.serve();
    served.apply("p", 2);
    served.millstream.file("ada.nk", ADA);
    served.millstream.file("bob.nk", BOB);
    served.millstream.file("no.nk", "secret");
    by(&served, "no.nk", &["whoami"]).failed(3, &["MS1613", "no.nk"]);
    by(&served, "not-there.nk", &["whoami"]).failed(4, &["not-there.nk"]);
    let (ada, bob) = (key_of(&served, "ada.nk"), key_of(&served, "bob.nk"));
    let open = served.call(&["whoami"]).ok().stdout;
    assert!(open.contains("everybody may do everything"), "{open}");
    served.call(&["can-i", "pipeline.delete", "p"]).ok();

    served
        .call(&["access", "grant", &ada, "--name", "ada", "--role", "viewer"])
        .failed(5, &["MS1609"]);
    served.call(&["access", "grant", &ada, "--name", "ada", "--role", "operator"]).ok();
    served.call(&["get"]).failed(9, &["MS1601", "--nkey FILE"]);
    by(&served, "ada.nk", &["access", "grant", &bob, "--name", "bob", "--role", "viewer"]).ok();
    let listed = by(&served, "ada.nk", &["access", "ls", "-o", "name"]).ok().stdout;
    assert_eq!(listed, "ada\nbob\n");

    by(&served, "bob.nk", &["get"]).ok();
    by(&served, "bob.nk", &["pause", "p"])
        .failed(9, &["MS1602", "bob may not do pipeline.pause with pipeline p", "developer"]);
    by(&served, "bob.nk", &["can-i", "pipeline.pause", "p"])
        .failed_with_data(9, "no: it needs the role developer or operator");
    by(&served, "bob.nk", &["access", "ls"]).failed(9, &["MS1602"]);
    by(&served, "ada.nk", &["can-i", "pipeline.pause", "p"]).ok();
    by(&served, "ada.nk", &["pause", "p", "--wait"]).ok();
    by(&served, "ada.nk", &["resume", "p", "--wait"]).ok();
    let described = json(by(&served, "bob.nk", &["describe", "p", "-o", "json"]));
    assert_eq!(described.pointer("/info/by"), Some(&"ada".into()));

    // Another cluster at the same server would be noticed, and nothing be signed for it.
    let zeros = "0".repeat(32);
    by(&served, "ada.nk", &["get", "--cluster", &zeros]).failed(9, &["MS1607", "--cluster names"]);
    let known = served.millstream.folder.path().join(".config/millstream/clusters");
    let text = std::fs::read_to_string(&known).expect("clusters are remembered");
    let number = text.split_whitespace().nth(2).expect("a line per key");
    std::fs::write(&known, text.replace(number, &zeros)).expect("write");
    by(&served, "ada.nk", &["get"]).failed(9, &["MS1607", "clusters names 000"]);
    std::fs::write(&known, &text).expect("write");

    // The end of a runtime pins what it has committed.
    served.publish(&["a", "b", "c"]);
    while served.messages("ECHOES").await < 3 {
        tokio::task::yield_now().await;
    }
    run.end();
    let _run = served.run();
    served.until("the runtime answers", || {
        (by(&served, "ada.nk", &["info"]).code == 0).then_some(())
    });
    let entries = json(by(&served, "ada.nk", &["audit", "ls", "--limit", "1000", "-o", "json"]));
    let entries = entries.as_array().expect("a list");
    let points: Vec<&Value> =
        entries.iter().flat_map(|entry| entry["points"].as_array()).flatten().collect();
    assert!(!points.is_empty(), "{entries:?}");
    let log = served.connection.jetstream().get_stream("MILLSTREAM_LOG_p").await.expect("the log");
    for point in points {
        let sequence = point["sequence"].as_u64().expect("a number");
        let record = log.get_raw_message(sequence).await.expect("the record").payload;
        let hash: String = hash_of(&record).0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(point["hash"], hash, "{point}");
    }
    let told = by(&served, "ada.nk", &["audit", "ls", "--limit", "1000"]).ok().stdout;
    for words in ["ada", "pipeline.pause", "pipeline.pause denied", "done", "pins"] {
        assert!(told.contains(words), "`{words}` is not in:\n{told}");
    }

    // An export is verified without a server.
    by(&served, "ada.nk", &["audit", "export", "trail.ndjson"]).ok();
    by(&served, "ada.nk", &["audit", "export", "trail.ndjson"]).failed(1, &["trail.ndjson"]);
    let millstream = &served.millstream;
    let whole = millstream.call(["audit", "verify", "trail.ndjson"]).ok();
    assert!(whole.stdout.contains("nothing was changed"), "{whole:?}");
    assert!(whole.stderr.contains("--key"), "{whole:?}");
    let node = entries[0]["key"].as_str().expect("the first entry says who writes");
    let known = millstream.call(["audit", "verify", "trail.ndjson", "--key", node]).ok();
    assert_eq!(known.stderr, "");
    let other = json(millstream.call(["audit", "verify", "trail.ndjson", "-o", "json"]));
    assert_eq!(other["findings"], Value::Array(Vec::new()));
    let path = millstream.folder.path().join("trail.ndjson");
    let text = std::fs::read_to_string(&path).expect("the export");
    millstream.file("changed.ndjson", &text.replacen("pipeline.pause", "pipeline.delete", 1));
    let changed = millstream.call(["audit", "verify", "changed.ndjson", "--key", node]);
    changed.failed_with_data(8, " was changed: its SHA-256 is ");
    let cut: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
    millstream.file("cut.ndjson", &cut);
    millstream
        .call(["audit", "verify", "cut.ndjson"])
        .failed_with_data(8, "the file was cut short");
    let missing: String = text
        .lines()
        .enumerate()
        .filter(|(at, _)| *at != 4)
        .map(|(_, l)| format!("{l}\n"))
        .collect();
    millstream.file("missing.ndjson", &missing);
    millstream
        .call(["audit", "verify", "missing.ndjson"])
        .failed_with_data(8, "entry 5 is missing");
    millstream
        .call(["audit", "verify", "trail.ndjson", "--key", "NABC"])
        .failed(2, &["no public nkey"]);

    by(&served, "ada.nk", &["access", "revoke", "bob"]).ok();
    by(&served, "bob.nk", &["get"]).failed(9, &["MS1602", "nothing is granted to this key"]);
}
