//! From the global options to a connection, and from there to the runtime's control API.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use millstream_control::api::Operation;
use millstream_control::client::{Client, Signer};
use millstream_control::errors;
use millstream_control::problem::Problems;
use millstream_log::connect::{
    ConnectError, ConnectOptions, Connection, ContextError, Credentials, connect,
};

use crate::cli::{App, Global};
use crate::failure::Failure;
use crate::signing;

/// How often a command that waits for something asks again.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Pause before a server that is waited for is tried again.
pub const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long a command waits at least that stores or reads all state of a pipeline.
pub const LONG: Duration = Duration::from_secs(600);

/// A runtime somewhere, as commands talk to it.
pub struct Remote {
    connection: Connection,
    client: Client,
    signer: Option<Arc<Signer>>,
    timeout: Duration,
}

impl Remote {
    /// Connects as the global options say, and signs requests if there is a key.
    pub async fn connect(app: &App) -> Result<Self, Failure> {
        Remote::over(app, open(&app.global).await?, app.global.timeout).await
    }

    /// The same over a connection that is there, waiting for answers at most so long.
    pub async fn over(
        app: &App,
        connection: Connection,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let signer = signing::signer(&app.global, &connection).await?;
        Ok(Remote::with(connection, timeout, signer))
    }

    fn with(connection: Connection, timeout: Duration, signer: Option<Arc<Signer>>) -> Self {
        let client = Client::new(connection.clone(), timeout);
        let client = match &signer {
            Some(signer) => client.signed(Arc::clone(signer)),
            None => client,
        };
        Remote { connection, client, signer, timeout }
    }

    /// The same, waiting for answers at most so long.
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Remote::with(self.connection.clone(), timeout, self.signer.clone())
    }

    /// Asks the runtime.
    pub async fn call<O: Operation>(&self, request: &O) -> Result<O::Response, Failure> {
        self.ask(request).await.map_err(|problems| Failure::problems(problems, None))
    }

    /// Asks the runtime; a refusal comes back as it is, for who knows the manifest that it is about.
    pub async fn ask<O: Operation>(&self, request: &O) -> Result<O::Response, Problems> {
        self.client.call(request).await
    }

    /// The client, for what takes more than one call: pushing modules, uploading a manifest's files.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The connection, for what is not the runtime's: streams, account limits.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Asks until `probe` has an answer, at most for `--timeout`. `what` fits "{what} within 10s".
    pub async fn wait<T>(
        &self,
        what: &str,
        probe: impl AsyncFn() -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let waiting = async {
            loop {
                if let Some(answer) = probe().await? {
                    return Ok(answer);
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(self.timeout, waiting).await.unwrap_or_else(|_| {
            let timeout = crate::output::units::duration(self.timeout);
            Err(Failure::coded(errors::NOT_IN_TIME, format!("{what} within {timeout}"))
                .help("it may still happen: look again, or repeat with a larger `--timeout`"))
        })
    }
}

/// Runs a command's future to its end.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
            Failure::coded(errors::SYSTEM, "cannot start the asynchronous runtime").because(&error)
        })?;
    runtime.block_on(future)
}

/// Where the engine's own account is: a context of the `nats` CLI alone. What the environment says of a connection is about
/// the other account.
pub fn engine_options(context: &str) -> Result<ConnectOptions, ContextError> {
    let env = |name: &str| std::env::var(name).ok().filter(|_| !name.starts_with("NATS_"));
    ConnectOptions::load(Some(context), &env)
}

/// Where to connect: the environment and the contexts of the `nats` CLI, and above them the options.
pub fn options(global: &Global) -> Result<ConnectOptions, ContextError> {
    let env = |name: &str| std::env::var(name).ok();
    let mut options = ConnectOptions::load(global.context.as_deref(), &env)?;
    if let Some(server) = &global.server {
        options.servers = ConnectOptions::to(server).servers;
    }
    if let Some(creds) = &global.creds {
        options.credentials = Credentials::CredsFile(creds.clone());
    }
    Ok(options)
}

/// Connects as the global options say, at most for `--timeout`.
pub async fn open(global: &Global) -> Result<Connection, Failure> {
    attempt(options(global), global.timeout).await.map_err(|error| unconnected(&error))
}

/// As [`open`], for a process that is started before its server: what may pass is waited for. `say` hears of every failed
/// attempt.
pub async fn open_when_there(
    options: impl Fn() -> Result<ConnectOptions, ContextError>,
    timeout: Duration,
    say: &mut impl FnMut(&Failure),
) -> Result<Connection, Failure> {
    loop {
        match attempt(options(), timeout).await {
            Ok(connection) => return Ok(connection),
            Err(error) if error.is_passing() => say(&unconnected(&error)),
            Err(error) => return Err(unconnected(&error)),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn attempt(
    options: Result<ConnectOptions, ContextError>,
    timeout: Duration,
) -> Result<Connection, ConnectError> {
    let options = options?;
    let server = options.shown_servers();
    match tokio::time::timeout(timeout, connect(options)).await {
        Ok(connected) => connected,
        Err(_) => {
            let waited = crate::output::units::duration(timeout);
            Err(ConnectError::Refused { server, description: format!("not within {waited}") })
        }
    }
}

/// What to say when there is no connection.
pub fn unconnected(error: &ConnectError) -> Failure {
    let message = error.to_string();
    let failure = match error {
        ConnectError::Context(ContextError::Missing { .. }) => {
            Failure::coded(errors::CONTEXT_UNKNOWN, message)
                .help("`nats context ls` lists contexts; `--server URL` needs none")
        }
        ConnectError::CredsFormat { .. } => Failure::coded(errors::SETTINGS, message)
            .help("name a `.creds` file as `nsc` writes it"),
        ConnectError::Context(_) | ConnectError::Url { .. } => {
            Failure::coded(errors::SETTINGS, message)
                .help("`--server nats://HOST:PORT` connects without a context")
        }
        ConnectError::File { path, source } => {
            return Failure::file("use", std::path::Path::new(path), source);
        }
        ConnectError::Unauthorized { .. } => Failure::coded(errors::NOT_PERMITTED, message)
            .help("name the right credentials with `--creds FILE` or a context of the nats CLI"),
        ConnectError::Refused { .. } | ConnectError::Tls { .. } => {
            Failure::coded(errors::NO_NATS, message)
                .help("check the address; for a private server and runtime: `millstream dev`")
        }
        ConnectError::NoJetStream { .. }
        | ConnectError::AccountWithoutJetStream { .. }
        | ConnectError::JetStream { .. } => Failure::coded(errors::STORAGE, message),
        ConnectError::TooOld { .. } => Failure::coded(errors::SERVER_TOO_OLD, message)
            .help("upgrade nats-server; `millstream dev` brings the version it needs"),
    };
    match std::error::Error::source(error) {
        Some(source) => failure.because(source),
        None => failure,
    }
}
