//! A private server: starts, is killed, comes back on its store.

use super::*;

#[tokio::test]
async fn keeps_port_and_store_over_a_kill() {
    let mut server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let (url, pid) = (server.url(), server.pid().unwrap());
    let connection = server.connect().await.unwrap();
    let config = async_nats::jetstream::stream::Config { name: "S".into(), ..Default::default() };
    connection.jetstream().create_stream(config).await.unwrap();
    connection.jetstream().publish("S", "x".into()).await.unwrap().await.unwrap();
    server.kill9();
    assert_eq!(server.pid(), None);
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), Some(pid));
    let connection = server.connect().await.unwrap();
    assert_eq!(
        connection.jetstream().get_stream("S").await.unwrap().cached_info().state.messages,
        1
    );
    server.stop().await;
    assert_eq!(server.pid(), None);
}

/// A server that dies between the two files of a stream's configuration.
#[tokio::test]
async fn a_stream_whose_creation_was_cut_off_keeps_its_messages_once_it_was_created() {
    use crate::api::{code, create_stream, stream_info};
    let mut server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let config = async_nats::jetstream::stream::Config { name: "S".into(), ..Default::default() };
    create_stream(&server.connect().await.unwrap(), &config).await.unwrap();
    server.kill9();
    let checksum = server.folder().join("jetstream/jetstream/$G/streams/S/meta.sum");
    std::fs::remove_file(checksum).unwrap();
    server.restart().await.unwrap();
    let connection = server.connect().await.unwrap();
    let found = stream_info(&connection, "S").await.map(|info| info.config.name);
    assert_eq!(found.unwrap_err().code(), code::STREAM_NOT_FOUND, "that is how the server is");
    create_stream(&connection, &config).await.unwrap();
    connection.jetstream().publish("S", "x".into()).await.unwrap().await.unwrap();
    server.restart().await.unwrap();
    let connection = server.connect().await.unwrap();
    assert_eq!(stream_info(&connection, "S").await.unwrap().state.messages, 1);
}

#[tokio::test]
async fn says_why_it_does_not_start() {
    let options = ServerOptions { extra: "no_such_setting: 1".into(), ..ServerOptions::default() };
    let error = NatsServer::start(options).await.err().unwrap().to_string();
    assert!(error.contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn the_connection_says_what_is_wrong() {
    let extra = "authorization { user: joe, password: s3cret }".to_owned();
    let server =
        NatsServer::start(ServerOptions { extra, ..ServerOptions::default() }).await.unwrap();
    let error = server.connect().await.err().unwrap();
    assert!(matches!(error, ConnectError::Unauthorized { credentials: "none", .. }), "{error}");
    let mut options = ConnectOptions::to(&server.url());
    let password = crate::connect::Secret::new("s3cret");
    options.credentials = crate::connect::Credentials::User { user: "joe".into(), password };
    connect(options.clone()).await.unwrap();
    drop(server);
    let error = connect(options).await.err().unwrap();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");

    let extra = "accounts { A { users: [{user: a, password: a}] } }\nno_auth_user: a".to_owned();
    let server =
        NatsServer::start(ServerOptions { extra, ..ServerOptions::default() }).await.unwrap();
    let error = server.connect().await.err().unwrap();
    assert!(matches!(error, ConnectError::AccountWithoutJetStream { .. }), "{error}");
}

/// Signs with a key, as the client library and as a line.
#[tokio::test]
async fn connects_with_an_nkey() {
    use crate::connect::Credentials;
    use crate::line::Line;
    let pair = nkeys::KeyPair::new_user();
    let extra = format!("authorization {{ users: [{{ nkey: {} }}] }}", pair.public_key());
    let server =
        NatsServer::start(ServerOptions { extra, ..ServerOptions::default() }).await.unwrap();
    let seed = server.folder().join("seed.nk");
    std::fs::write(&seed, pair.seed().unwrap()).unwrap();
    let mut options = ConnectOptions::to(&server.url());
    options.credentials = Credentials::NkeyFile(seed);
    let connection = connect(options.clone()).await.unwrap();
    Line::open(&connection).await.unwrap();

    std::fs::write(server.folder().join("seed.nk"), nkeys::KeyPair::new_user().seed().unwrap())
        .unwrap();
    let error = connect(options).await.err().unwrap();
    assert!(matches!(error, ConnectError::Unauthorized { credentials: "nkey", .. }), "{error}");
    let error = Line::open(&connection).await.err().unwrap();
    assert!(matches!(error, ConnectError::Unauthorized { credentials: "nkey", .. }), "{error}");
}
