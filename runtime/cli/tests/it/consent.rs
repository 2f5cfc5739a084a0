//! Changes that need the consent of somebody else than their author.

use crate::millstream::{Called, root};
use crate::served::Served;

/// Seeds of users' nkeys, of 32 bytes each with the value 1, 2 and 3.
const OPERATOR: &str = "SUAACAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAN7EY";
const DEVELOPER: &str = "SUAAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAT6EE";
const APPROVER: &str = "SUAAGAYDAMBQGAYDAMBQGAYDAMBQGAYDAMBQGAYDAMBQGAYDAMBQGA6BEM";

fn by(served: &Served, user: &str, args: &[&str]) -> Called {
    served.call(&[args, &["--nkey", &format!("{user}.nk")]].concat())
}

fn grant(served: &Served, user: &str, roles: &[&str], pipeline: Option<&str>) {
    let me = by(served, user, &["whoami", "-o", "json"]).ok().stdout;
    let me: serde_json::Value = serde_json::from_str(&me).expect("JSON");
    let mut args = vec!["access", "grant", me["key"].as_str().expect("a key"), "--name", user];
    args.extend(roles.iter().flat_map(|role| ["--role", *role]));
    args.extend(pipeline.iter().flat_map(|pipeline| ["--pipeline", *pipeline]));
    by(served, "ada", &args).ok();
}

fn manifest(served: &Served, limit: u32) {
    let guest = root().join("tests/guests/dist/misbehave.wasm");
    let text = format!(
        "name: p
sources:
  commands: {{ stream: COMMANDS }}
stages:
  work:
    module: {{ file: {} }}
    partitions: 1
    inputs:
      commands: {{ key: {{ pointer: /id }} }}
    config: {{ limit: {limit} }}
    outputs:
      echo: echoes
sinks:
  echoes: {{ subject: echoes }}
",
        guest.display()
    );
    served.millstream.file("p.yaml", &text);
}

fn proposals(served: &Served) -> Vec<String> {
    let listed = by(served, "ada", &["change", "ls", "-o", "name"]).ok().stdout;
    listed.lines().map(str::to_owned).collect()
}

fn revision(served: &Served) -> u64 {
    let described = by(served, "ada", &["describe", "p", "-o", "json"]).ok().stdout;
    let described: serde_json::Value = serde_json::from_str(&described).expect("JSON");
    described.pointer("/info/revision").and_then(serde_json::Value::as_u64).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_developer_applies_is_done_when_an_approver_consents() {
    let served = Served::start().await;
    let _run = served.serve();
    for (user, seed) in [("ada", OPERATOR), ("bob", DEVELOPER), ("eve", APPROVER)] {
        served.millstream.file(&format!("{user}.nk"), seed);
    }
    grant(&served, "ada", &["operator"], None);
    by(&served, "ada", &["access", "consent", "on"])
        .failed(5, &["MS1631", "nobody is an approver"]);
    grant(&served, "bob", &["developer", "approver"], None);
    grant(&served, "eve", &["approver"], Some("other"));
    by(&served, "bob", &["access", "consent", "on"]).failed(9, &["MS1602"]);
    by(&served, "ada", &["access", "consent", "on"]).ok();
    let listed = by(&served, "ada", &["access", "ls"]).ok();
    assert!(listed.stderr.contains("need the consent of an approver"), "{listed:?}");

    // What is wrong is refused at once, and a dry run is one still.
    manifest(&served, 5);
    by(&served, "bob", &["apply", "-f", "p.yaml", "--dry-run"]).ok();
    assert_eq!(proposals(&served), Vec::<String>::new());
    let applied = by(&served, "bob", &["apply", "-f", "p.yaml", "--wait"]).ok().stderr;
    let [id] = &proposals(&served)[..] else { panic!("{applied}") };
    assert!(applied.contains(&format!("millstream change approve {id}")), "{applied}");
    by(&served, "ada", &["get", "p"]).failed(4, &["p"]);
    let shown = by(&served, "eve", &["change", "show", &id[..6]]).ok();
    assert!(shown.stdout.contains("limit: 5") && shown.stderr.contains("bob"), "{shown:?}");

    by(&served, "bob", &["change", "approve", id]).failed(5, &["MS1633"]);
    by(&served, "eve", &["change", "approve", id]).failed(9, &["MS1602", "other pipelines"]);
    by(&served, "ada", &["change", "approve", id]).failed(9, &["MS1602", "approver"]);
    by(&served, "eve", &["change", "approve", "ffff"]).failed(4, &["MS1632"]);
    grant(&served, "eve", &["approver"], Some("p"));
    by(&served, "eve", &["change", "approve", id]).ok();
    assert_eq!((revision(&served), proposals(&served).len()), (1, 0));
    by(&served, "eve", &["change", "approve", id]).failed(4, &["MS1632"]);

    // Of two changes of the same revision one is made; the other is not what was looked at any more.
    for limit in [6, 7] {
        manifest(&served, limit);
        by(&served, "bob", &["apply", "-f", "p.yaml"]).ok();
    }
    let [first, second] = &proposals(&served)[..] else { panic!("two changes") };
    let shown = by(&served, "eve", &["change", "show", first]).ok();
    assert!(shown.stderr.contains("limit: 5 -> 6"), "{shown:?}");
    by(&served, "eve", &["change", "approve", first]).ok();
    by(&served, "eve", &["change", "approve", second]).failed(5, &["revision"]);
    by(&served, "bob", &["change", "reject", second]).ok();
    assert_eq!((revision(&served), proposals(&served).len()), (2, 0));

    // Who is the last approver stays one, until nobody needs to consent.
    grant(&served, "bob", &["developer"], None);
    by(&served, "ada", &["access", "revoke", "eve"]).failed(5, &["MS1631"]);
    by(&served, "ada", &["access", "consent", "off"]).ok();
    manifest(&served, 8);
    by(&served, "bob", &["apply", "-f", "p.yaml"]).ok();
    assert_eq!(revision(&served), 3);
    let trail = by(&served, "ada", &["audit", "ls", "--limit", "1000"]).ok().stdout;
    for words in ["change.approve", "change.approve denied", "access.consent", "eve"] {
        assert!(trail.contains(words), "{words} is not in {trail}");
    }
}
