//! Signed requests: who is let through, and what somebody else can do with them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use millstream_control::access::signature::{
    self, AUDIENCE_HEADER, Audience, NONCE_HEADER, SIGNATURE_HEADER, TIME_HEADER,
};
use millstream_control::access::{Role, SigningKey};
use millstream_control::api::access::{Can, GrantRequest, Identity, List, Revoke, WhoAmI};
use millstream_control::api::local::StateGet;
use millstream_control::api::modules::Remove;
use millstream_control::api::node::Info;
use millstream_control::api::pipelines::{Get, Pause};
use millstream_control::api::{self, Data, Operation, SUBJECT_PREFIX};
use millstream_control::client::{Client, Signer};
use millstream_control::errors::{self, Code};
use millstream_control::problem::Problems;
use millstream_control::worker::Worker;
use millstream_log::connect::Connection;

use crate::support::{Cluster, PATIENCE, RunningNode, connect, guest, manifest};

/// The operator of every test.
const OPERATOR: [u8; 32] = [1; 32];

fn signer(seed: [u8; 32]) -> Arc<Signer> {
    Arc::new(Signer::new(SigningKey::user(seed), Box::new(|_| Ok(()))))
}

/// A client of a user.
async fn user(cluster: &Cluster, seed: [u8; 32]) -> Client {
    Client::new(connect(&cluster.server).await, PATIENCE).signed(signer(seed))
}

fn granting(seed: [u8; 32], name: &str, roles: &[Role], pipelines: &[&str]) -> GrantRequest {
    GrantRequest {
        key: SigningKey::user(seed).public().to_string(),
        name: name.into(),
        roles: roles.to_vec(),
        pipelines: pipelines.iter().map(|name| (*name).to_owned()).collect(),
        by: String::new(),
    }
}

/// A cluster with the pipeline `p` in which only the operator is granted something, and the operator's client.
async fn closed() -> (Cluster, Client) {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    cluster.apply(&manifest("p", &format!("sha256:{}", module.digest))).await.unwrap();
    cluster.node.worker.called("resume p").await;
    cluster.ask(&granting(OPERATOR, "ada", &[Role::Operator], &[])).await;
    let operator = user(&cluster, OPERATOR).await;
    (cluster, operator)
}

fn code<T>(answer: Result<T, Problems>) -> Option<Code> {
    answer.err().map(|problems| problems.0[0].code)
}

/// A request as it goes over the wire.
struct Wire {
    subject: String,
    payload: Vec<u8>,
    headers: HeaderMap,
}

impl Wire {
    /// Signed by the operator at `time_ms` for whoever answers now.
    async fn signed<O: Operation>(cluster: &Cluster, request: &O, time_ms: i64) -> Wire {
        let identified = cluster.ask(&Identity {}).await;
        let audience =
            Audience { cluster: identified.cluster, incarnation: identified.incarnation };
        let payload = serde_json::to_vec(request).unwrap();
        let key = SigningKey::user(OPERATOR);
        let nonce = nonce(&payload, time_ms);
        let headers = signature::sign(&key, &audience, O::NAME, &payload, time_ms, nonce);
        Wire { subject: format!("{SUBJECT_PREFIX}.{}", O::NAME), payload, headers }
    }

    /// Sends it as it is, as often as it is called; the code of the refusal.
    async fn send(&self, nats: &Connection) -> Option<Code> {
        let request = async_nats::Request::new()
            .payload(self.payload.clone().into())
            .headers(self.headers.clone())
            .timeout(Some(PATIENCE));
        let answer = nats.client().send_request(self.subject.clone(), request).await.unwrap();
        let status = answer.headers?.get("Nats-Service-Error")?.as_str().to_owned();
        Some(status.split(':').next().unwrap().parse().unwrap())
    }

    /// With another value of a header.
    fn with(&self, name: &str, value: &str) -> Wire {
        let mut headers = HeaderMap::new();
        for (known, values) in self.headers.iter() {
            headers.insert(known.clone(), values[0].clone());
        }
        headers.insert(name, value);
        Wire { subject: self.subject.clone(), payload: self.payload.clone(), headers }
    }
}

/// A nonce that no other request of the test has.
fn nonce(payload: &[u8], time_ms: i64) -> [u8; 16] {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&time_ms.to_le_bytes());
    nonce[8..].copy_from_slice(&payload.len().to_le_bytes());
    nonce
}

/// The clock of this machine, which the nodes share.
#[expect(clippy::disallowed_methods, reason = "requests are signed with the time")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn an_open_cluster_takes_all_and_a_closed_one_only_what_is_granted() {
    let cluster = Cluster::start().await;
    let me = cluster.ask(&WhoAmI::default()).await;
    assert_eq!((me.open, me.key, me.grant), (true, None, None));
    let nobody_left = cluster.refused(&granting([2; 32], "bob", &[Role::Viewer], &[])).await;
    assert_eq!(nobody_left.0[0].code, errors::NO_OPERATOR_LEFT);
    let granted = cluster.ask(&granting(OPERATOR, "ada", &[Role::Operator], &[])).await;
    assert_eq!(granted.name, "ada");

    // From now on nothing goes without a signature.
    assert_eq!(code(cluster.client.call(&Info {}).await), Some(errors::UNSIGNED));
    assert_eq!(code(cluster.client.call(&List {}).await), Some(errors::UNSIGNED));
    let ada = user(&cluster, OPERATOR).await;
    ada.call(&Info {}).await.unwrap();
    ada.call(&granting([2; 32], "bob", &[Role::Developer], &["card-*"])).await.unwrap();
    let bob = user(&cluster, [2; 32]).await;
    let me = bob.call(&WhoAmI::default()).await.unwrap();
    let grant = me.grant.unwrap();
    assert_eq!((me.open, grant.name.as_str(), grant.granted_by.as_str()), (false, "bob", "ada"));

    // A stranger learns that nothing is granted to it, and nothing else.
    let stranger = user(&cluster, [9; 32]).await;
    for answer in [
        stranger.call(&Get { pipeline: "p".into() }).await.map(drop),
        stranger.call(&Get { pipeline: "not-there".into() }).await.map(drop),
        stranger.call(&List {}).await.map(drop),
    ] {
        let problems = answer.unwrap_err();
        assert_eq!(problems.0[0].code, errors::NOT_ALLOWED);
        assert!(problems.0[0].message.ends_with("nothing is granted to this key"), "{problems}");
    }
    assert_eq!(stranger.call(&WhoAmI::default()).await.unwrap().grant, None);

    // Roles and pipelines.
    let can = async |client: &Client, operation: &str, pipeline: Option<&str>| {
        let pipeline = pipeline.map(str::to_owned);
        let request = Can { operation: operation.into(), pipeline, ..Can::default() };
        client.call(&request).await.unwrap().allowed
    };
    assert!(can(&bob, "pipeline.apply", Some("card-limits")).await);
    assert!(!can(&bob, "pipeline.apply", Some("ledger")).await);
    assert!(!can(&bob, "pipeline.delete", Some("card-limits")).await);
    assert!(can(&ada, "pipeline.delete", Some("card-limits")).await);
    let denied = code(bob.call(&Remove { module: "x".into() }).await);
    assert_eq!(denied, Some(errors::NOT_ALLOWED));
    let unknown = bob.call(&Can { operation: "pipeline.aply".into(), ..Can::default() }).await;
    assert!(unknown.unwrap_err().to_string().contains("did you mean `pipeline.apply`?"));

    // What is revoked is revoked at once.
    ada.call(&Revoke { user: "bob".into() }).await.unwrap();
    assert_eq!(code(bob.call(&Info {}).await), Some(errors::NOT_ALLOWED));
    assert_eq!(code(ada.call(&Revoke { user: "bob".into() }).await), Some(errors::USER_UNKNOWN));
    assert_eq!(
        code(ada.call(&Revoke { user: "ada".into() }).await),
        Some(errors::NO_OPERATOR_LEFT)
    );
    cluster.node.stop().await;
}

#[tokio::test]
async fn a_request_counts_once_unchanged_and_in_time() {
    let (cluster, _) = closed().await;
    let nats = connect(&cluster.server).await;
    let now = now_ms();
    let pause = Pause { pipeline: "p".into(), by: "mallory".into() };
    let request = Wire::signed(&cluster, &pause, now).await;

    // Nothing of it can be changed.
    let unchanged = |wire: &Wire| (wire.headers.clone(), wire.payload.clone());
    let body = br#"{"pipeline":"q","by":"mallory"}"#.to_vec();
    let (headers, payload) = unchanged(&request);
    let altered =
        Wire { subject: request.subject.clone(), payload: body, headers: headers.clone() };
    assert_eq!(altered.send(&nats).await, Some(errors::SIGNATURE_INVALID));
    let subject = format!("{SUBJECT_PREFIX}.pipeline.resume");
    let redirected = Wire { subject, payload, headers };
    assert_eq!(redirected.send(&nats).await, Some(errors::SIGNATURE_INVALID));
    let zeros = "0".repeat(128);
    let later = (now + 1).to_string();
    for (name, value) in [
        (SIGNATURE_HEADER, zeros.as_str()),
        (SIGNATURE_HEADER, "?"),
        (TIME_HEADER, later.as_str()),
        (NONCE_HEADER, "00000000000000000000000000000000"),
    ] {
        let forged = request.with(name, value).send(&nats).await;
        assert_eq!(forged, Some(errors::SIGNATURE_INVALID), "{name}: {value}");
    }
    let elsewhere = request.with(AUDIENCE_HEADER, "0/0").send(&nats).await;
    assert_eq!(elsewhere, Some(errors::SIGNED_FOR_ANOTHER));

    // It is taken once, and the record says who it was.
    assert_eq!(request.send(&nats).await, None);
    assert_eq!(request.send(&nats).await, Some(errors::REPLAYED));
    let operator = user(&cluster, OPERATOR).await;
    assert_eq!(operator.call(&Get { pipeline: "p".into() }).await.unwrap().by, "ada");

    for off in [-61_000, 61_000] {
        let stale = Wire::signed(&cluster, &Info {}, now_ms() + off).await;
        assert_eq!(stale.send(&nats).await, Some(errors::SIGNATURE_STALE), "{off} ms");
    }
    cluster.node.stop().await;
}

#[tokio::test]
async fn a_request_is_of_no_use_at_the_next_node_nor_at_another_cluster() {
    let (cluster, _) = closed().await;
    let nats = connect(&cluster.server).await;
    // What is on its way when a node dies gets no answer.
    let operator = Client::new(nats.clone(), Duration::from_secs(1)).signed(signer(OPERATOR));
    operator.call(&Info {}).await.unwrap();
    let taken =
        Wire::signed(&cluster, &Pause { pipeline: "p".into(), by: String::new() }, now_ms()).await;
    let kept_back = Wire::signed(&cluster, &Info {}, now_ms()).await;
    assert_eq!(taken.send(&nats).await, None);

    let other = RunningNode::start(&cluster.server, "n2").await;
    cluster.node.crash().await;
    // The client that asked the first node signs anew for the second one by itself.
    let mut said = String::new();
    let asking = async {
        while let Err(problems) = operator.call(&Info {}).await {
            said = problems.to_string();
            tokio::task::yield_now().await;
        }
    };
    let answered = tokio::time::timeout(PATIENCE, asking).await;
    answered.unwrap_or_else(|_| panic!("the other node does not answer in time: {said}"));
    assert_eq!(taken.send(&nats).await, Some(errors::SIGNED_FOR_ANOTHER));
    assert_eq!(kept_back.send(&nats).await, Some(errors::SIGNED_FOR_ANOTHER));

    let elsewhere = Cluster::start().await;
    assert_eq!(
        taken.send(&connect(&elsewhere.server).await).await,
        Some(errors::SIGNED_FOR_ANOTHER)
    );
    elsewhere.node.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn nodes_answer_nodes_only() {
    let (cluster, operator) = closed().await;
    let other = RunningNode::start(&cluster.server, "n2").await;
    // The nodes themselves go on asking each other.
    let held = async {
        let moved = |node: &RunningNode| node.worker.held("p").values().flatten().count();
        while (moved(&cluster.node), moved(&other)) != (1, 1) {
            tokio::task::yield_now().await;
        }
        let listed = operator.call(&api::node::List {}).await.unwrap();
        assert!(listed.nodes.iter().all(|node| node.running == Some(1)), "{listed:?}");
        listed
    };
    let listed = tokio::time::timeout(PATIENCE, held).await.expect("the nodes share the work");

    let request = StateGet { pipeline: "p".into(), stage: "work".into(), key: Data::from("k") };
    let nats = connect(&cluster.server).await;
    for node in listed.nodes {
        let client = Client::of_node(nats.clone(), PATIENCE, &node.identity);
        assert_eq!(code(client.call(&request).await), Some(errors::UNSIGNED));
        let client = client.signed(signer(OPERATOR));
        assert_eq!(code(client.call(&request).await), Some(errors::NOT_ALLOWED));
        // A key that says of itself that it is a node's.
        let cluster = cluster.client.call(&Identity {}).await.unwrap().cluster;
        let audience = Audience { cluster, incarnation: node.incarnation };
        let forged = Signer::for_node(SigningKey::node([5; 32]), Some(audience));
        let client =
            Client::of_node(nats.clone(), PATIENCE, &node.identity).signed(Arc::new(forged));
        assert_eq!(code(client.call(&request).await), Some(errors::NOT_ALLOWED));
    }
    other.stop().await;
    cluster.node.stop().await;
}
