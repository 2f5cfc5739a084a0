//! What commands say when there is no server.

use std::net::TcpListener;

use crate::millstream::Millstream;

/// An address where nobody listens: bound a moment ago, and free again.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    format!("nats://{}", listener.local_addr().expect("an address"))
}

#[test]
fn no_server_exits_with_6_and_says_what_to_do() {
    let millstream = Millstream::new();
    let server = nobody();
    for command in
        [&["get"][..], &["lag"], &["describe", "x"], &["module", "ls"], &["state", "ls", "x"]]
    {
        let args = command.iter().copied().chain(["--server", &server]);
        millstream
            .call(args)
            .failed(6, &["MS1403", server.trim_start_matches("nats://"), "millstream dev"]);
    }
}

#[test]
fn a_server_that_does_not_answer_times_out() {
    let millstream = Millstream::new();
    // It accepts, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let server = format!("nats://{}", silent.local_addr().expect("an address"));
    millstream
        .call(["get", "--server", &server, "--timeout", "300ms"])
        .failed(6, &["no NATS server answers"]);
}

#[test]
fn an_unknown_context_is_not_found() {
    let millstream = Millstream::new();
    millstream.call(["get", "--context", "nope"]).failed(4, &["nope", "nats context ls"]);
}

#[test]
fn the_doctor_reports_a_missing_server_as_a_finding() {
    let millstream = Millstream::new();
    let server = nobody();
    let called = millstream.call(["doctor", "--server", &server, "--data", ".", "-o", "json"]);
    assert_eq!(called.code, 1, "{called:?}");
    let findings: serde_json::Value = serde_json::from_str(&called.stdout).expect("JSON");
    let connection =
        findings.as_array().expect("a list").iter().find(|one| one["check"] == "connection");
    let connection = connection.expect("the connection was checked");
    assert_eq!(connection["level"], "fail", "{findings}");
    assert!(connection["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{findings}");
    assert!(
        findings[0]["check"].as_str().is_some_and(|check| check.starts_with("data folder")),
        "{findings}"
    );
}
