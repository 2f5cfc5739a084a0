//! A runtime in two NATS accounts: what the engine keeps lies in one that users do not enter.

use futures::StreamExt;
use millstream_log::connect::{ConnectOptions, Connection, Credentials, Secret, connect};
use millstream_log::server::{NatsServer, ServerOptions};

use crate::millstream::Millstream;
use crate::served::{Run, Served};

/// The accounts: users of the first one know nothing of the second.
const ACCOUNTS: &str = r#"
accounts {
  ACME { jetstream: enabled, users: [ { user: acme, password: one } ] }
  ACME_ENGINE { jetstream: enabled, users: [ { user: engine, password: two } ] }
}
no_auth_user: acme
"#;

async fn connection(server: &NatsServer, user: &str, password: &str) -> Connection {
    let mut options = ConnectOptions::to(&server.url());
    options.credentials =
        Credentials::User { user: user.to_owned(), password: Secret::new(password) };
    connect(options).await.expect("a connection")
}

async fn streams(connection: &Connection) -> Vec<String> {
    let mut names: Vec<String> =
        connection.jetstream().stream_names().map(|name| name.expect("a name")).collect().await;
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn users_see_their_streams_and_nothing_of_the_engines() {
    let options = ServerOptions { extra: ACCOUNTS.to_owned(), ..ServerOptions::default() };
    let server = NatsServer::start(options).await.expect("a nats-server");
    let acme = connection(&server, "acme", "one").await;
    let engine = connection(&server, "engine", "two").await;
    let served = Served { millstream: Millstream::new(), server, connection: acme };
    served.stream("COMMANDS", "commands.>").await;
    served.stream("ECHOES", "echoes").await;
    let contexts = served.millstream.folder.path().join(".config/nats/context");
    std::fs::create_dir_all(&contexts).expect("a folder");
    for (name, user, password) in [("acme", "acme", "one"), ("engine", "engine", "two")] {
        let context = serde_json::json!({
            "url": served.server.url(), "user": user, "password": password,
        });
        let file = contexts.join(format!("{name}.json"));
        std::fs::write(file, context.to_string()).expect("a context");
    }
    let run = || -> Run {
        let args = ["run", "--http", "127.0.0.1:0", "--data", "state", "--context", "acme"];
        let mut command = served.millstream.command(args);
        // What the environment says of a connection is about the users' account.
        command.args(["--engine-context", "engine"]).env("NATS_USER", "acme");
        command.env("NATS_PASSWORD", "one");
        let mut run = Run::of(command);
        run.until_it_serves();
        run
    };
    let running = run();
    served.until("the runtime answers", || (served.call(&["info"]).code == 0).then_some(()));
    served.apply("p", 2);
    served.publish(&["a", "b", "fail", "c"]);
    let until_echoed = async |count| {
        while served.messages("ECHOES").await < count {
            tokio::task::yield_now().await;
        }
    };
    until_echoed(3).await;
    let until_tried = |attempts: u64| {
        served.until("the dead letter", || {
            let listed = served.call(&["dlq", "ls", "p", "-o", "json"]).stdout;
            let letters: serde_json::Value = serde_json::from_str(&listed).ok()?;
            (letters[0]["attempts"].as_u64() == Some(attempts)).then_some(())
        });
    };
    until_tried(1);
    assert_eq!(streams(&served.connection).await, ["COMMANDS", "ECHOES", "OBJ_millstream-uploads"]);
    let kept = streams(&engine).await;
    for name in ["KV_millstream-pipelines", "MILLSTREAM_LOG_p", "OBJ_millstream-modules"] {
        assert!(kept.iter().any(|kept| kept == name), "{name} is not in {kept:?}");
    }
    let uploads = served.connection.jetstream().get_object_store("millstream-uploads").await;
    let left = uploads.expect("the store").list().await.expect("a listing").count().await;
    assert_eq!(left, 0, "what is registered is no upload any more");

    // It goes on from what is there, and a dead letter that is redriven comes from the engine's account.
    running.kill9();
    let _running = run();
    served.until("the runtime answers", || (served.call(&["info"]).code == 0).then_some(()));
    served.publish(&["d"]);
    until_echoed(4).await;
    served.call(&["dlq", "redrive", "p", "--all"]).ok();
    until_tried(2);
    served.call(&["stop", "p", "--drain", "--wait"]).ok();
    assert_eq!(served.messages("ECHOES").await, 4);
}
