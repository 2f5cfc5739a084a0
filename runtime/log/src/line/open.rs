//! Making a line: finding a server, the greeting, showing who we are.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use async_nats::{ServerAddr, ServerInfo};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::frames::{Frames, Signal};
use super::{Line, Reading, Writing, tls};
use crate::connect::{
    CONNECT_TIMEOUT, ConnectError, ConnectOptions, Connection, sign, without_user,
};

/// What a client says of itself.
#[derive(Serialize)]
struct Hello<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    headers: bool,
    no_responders: bool,
    echo: bool,
    lang: &'a str,
    version: &'a str,
    protocol: u8,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

impl Line {
    /// Makes a line to one of the servers that `connection` knows, as the same user.
    pub(crate) async fn open(connection: &Connection) -> Result<Line, ConnectError> {
        let options = connection.options();
        let inbox = connection.client.new_inbox();
        let servers = servers(options, &connection.client.server_info().connect_urls);
        let mut failed = None;
        for server in servers {
            let made = tokio::time::timeout(CONNECT_TIMEOUT, greet(options, &server, &inbox)).await;
            match made.unwrap_or_else(|_| Err(refused(&server, "no answer in time"))) {
                Ok((halves, frames)) => return Ok(Line::start(inbox, halves, frames)),
                Err(error @ ConnectError::Unauthorized { .. }) => return Err(error),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| ConnectError::Url {
            url: options.shown_servers(),
            description: "no server is named".to_owned(),
        }))
    }
}

/// The servers named and those of the same cluster, beginning with any of them so that lines spread.
fn servers(options: &ConnectOptions, discovered: &[String]) -> Vec<String> {
    let mut servers = options.servers.clone();
    servers.extend(discovered.iter().filter(|url| !options.servers.contains(url)).cloned());
    let named = options.servers.len().max(1) as u64;
    // Those that the user named go first: they are known to be reached from here.
    let first = (RandomState::new().hash_one(()) % named) as usize;
    servers[..options.servers.len()].rotate_left(first.min(options.servers.len()));
    servers
}

async fn greet(
    options: &ConnectOptions,
    server: &str,
    inbox: &str,
) -> Result<((Reading, Writing), Frames), ConnectError> {
    let address: ServerAddr = server.parse().map_err(|error: std::io::Error| {
        ConnectError::Url { url: without_user(server), description: error.to_string() }
    })?;
    let lost = |error: std::io::Error| refused(server, &error.to_string());
    let mut socket = TcpStream::connect((address.host(), address.port())).await.map_err(lost)?;
    socket.set_nodelay(true).map_err(lost)?;
    let mut frames = Frames::default();
    let wanted = options.tls.required || options.tls.ca.is_some() || address.tls_required();
    let mut info = None;
    if !options.tls.first {
        info = Some(information(&mut socket, &mut frames, server).await?);
    }
    let secured = wanted || options.tls.first || info.as_ref().is_some_and(|i| i.tls_required);
    let (mut reading, mut writing): (Reading, Writing) = if secured {
        // Whoever sits between could have appended it.
        if !frames.is_empty() {
            return Err(refused(server, "it says more than its greeting before TLS"));
        }
        let stream =
            tls::secure(&options.tls, address.host(), socket).await.map_err(|description| {
                ConnectError::Tls { server: without_user(server), description }
            })?;
        let (reading, writing) = tokio::io::split(stream);
        (Box::new(reading), Box::new(writing))
    } else {
        let (reading, writing) = socket.into_split();
        (Box::new(reading), Box::new(writing))
    };
    let info = match info {
        Some(info) => info,
        None => information(&mut reading, &mut frames, server).await?,
    };
    let hello = hello(options, secured, &info).await?;
    let text = format!("CONNECT {hello}\r\nSUB {inbox}.* 1\r\nPING\r\n");
    writing.write_all(text.as_bytes()).await.map_err(lost)?;
    writing.flush().await.map_err(lost)?;
    // The answer to PING says that everything before it was accepted.
    loop {
        match next_signal(&mut reading, &mut frames, server).await? {
            Signal::Pong => return Ok(((reading, writing), frames)),
            Signal::Error(error) if error.to_ascii_lowercase().contains("authorization") => {
                return Err(ConnectError::Unauthorized {
                    server: without_user(server),
                    credentials: options.credentials.kind(),
                });
            }
            Signal::Error(error) => return Err(refused(server, &error)),
            Signal::Ping | Signal::Info(_) => {}
        }
    }
}

async fn hello(
    options: &ConnectOptions,
    tls_required: bool,
    info: &ServerInfo,
) -> Result<String, ConnectError> {
    let login = options.login().await?;
    let unauthorized = || ConnectError::Unauthorized {
        server: options.shown_servers(),
        credentials: options.credentials.kind(),
    };
    let auth = sign(&login, info.nonce.as_bytes()).map_err(|_| unauthorized())?;
    let hello = Hello {
        verbose: false,
        pedantic: false,
        tls_required,
        headers: true,
        no_responders: true,
        echo: false,
        lang: "rust",
        version: env!("CARGO_PKG_VERSION"),
        protocol: 1,
        name: &options.name,
        user: auth.username,
        pass: auth.password,
        auth_token: auth.token,
        jwt: auth.jwt,
        nkey: auth.nkey,
        sig: auth.signature.map(|signature| URL_SAFE_NO_PAD.encode(signature)),
    };
    serde_json::to_string(&hello).map_err(|error| refused(&info.host, &error.to_string()))
}

/// The server's first line.
async fn information(
    socket: &mut (impl tokio::io::AsyncRead + Unpin),
    frames: &mut Frames,
    server: &str,
) -> Result<ServerInfo, ConnectError> {
    match next_signal(socket, frames, server).await? {
        Signal::Info(info) => {
            serde_json::from_slice(&info).map_err(|error| refused(server, &error.to_string()))
        }
        Signal::Error(error) => Err(refused(server, &error)),
        _ => Err(refused(server, "it greets like no nats-server")),
    }
}

/// The next thing that the server says. Nothing but signals comes before the greeting is over.
async fn next_signal(
    socket: &mut (impl tokio::io::AsyncRead + Unpin),
    frames: &mut Frames,
    server: &str,
) -> Result<Signal, ConnectError> {
    loop {
        if let Some(signal) =
            frames.signal().map_err(|error| refused(server, &error.to_string()))?
        {
            return Ok(signal);
        }
        match socket.read_buf(frames.space()).await {
            Ok(0) => return Err(refused(server, "it closed the connection")),
            Ok(_) => {}
            Err(error) => return Err(refused(server, &error.to_string())),
        }
    }
}

fn refused(server: &str, description: &str) -> ConnectError {
    ConnectError::Refused { server: without_user(server), description: description.to_owned() }
}
