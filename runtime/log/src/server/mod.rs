//! Private `nats-server` processes: for `millstream dev`, the demo, tests and benchmarks.
//!
//! A [`NatsServer`] is a child process on a loopback port with a JetStream store of its own. It can be
//! killed and started again on the same port and store. It never outlives the process
//! that started it.

mod config;
mod find;
mod process;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use config::{ServerOptions, SyncInterval};
pub use find::find_nats_server;

use crate::connect::{ConnectError, ConnectOptions, Connection, VERSION_RECOMMENDED, connect};
use process::Process;

/// How long a start may take. Recovering a large store takes seconds.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a graceful stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program was not found.
    #[error(
        "no nats-server of version {VERSION_RECOMMENDED} or newer: neither MILLSTREAM_NATS_SERVER, nor PATH, nor {cache} has one; run `cargo xtask setup`, or install one"
    )]
    NotFound {
        /// The project's own folder for it.
        cache: String,
    },
    /// A file or folder of the server.
    #[error("{path}")]
    File {
        /// Its path.
        path: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The program could not be started.
    #[error("{program} could not be started")]
    Start {
        /// Its path.
        program: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It ended, or did not get ready in time.
    #[error("{program} {what}; its last words: {log}")]
    NotReady {
        /// Its path.
        program: String,
        /// `ended` or `was not ready after ...`.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// It runs, but no connection can be had.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// A running (or killed) server of our own.
pub struct NatsServer {
    program: PathBuf,
    options: ServerOptions,
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
    // Removed when the server is dropped, after the process has ended.
    _temporary: Option<tempfile::TempDir>,
}

impl NatsServer {
    /// Starts a server on a free port and waits until it takes connections and JetStream answers.
    pub async fn start(options: ServerOptions) -> Result<NatsServer, ServerError> {
        let program = find_nats_server()?;
        let (folder, temporary) = match &options.folder {
            Some(folder) => (folder.clone(), None),
            None => {
                let temporary = tempfile::Builder::new()
                    .prefix("millstream-nats-")
                    .tempdir()
                    .map_err(|source| ServerError::File {
                        path: std::env::temp_dir().display().to_string(),
                        source,
                    })?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let port = options.port.unwrap_or(0);
        let mut server =
            NatsServer { program, options, folder, port, process: None, _temporary: temporary };
        server.launch().await?;
        Ok(server)
    }

    /// `nats://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port; stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, `None` after it was killed or stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Where store, configuration and log (`nats-server.log`) are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Connects to it.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        connect(ConnectOptions::to(&self.url())).await
    }

    /// SIGKILL. Returns when the process is gone.
    pub fn kill9(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Lets the server finish what it writes, and ends it.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop(STOP_TIMEOUT).await;
        }
    }

    /// Starts it again on the same port and store; kills it first if it runs.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        self.kill9();
        self.launch().await
    }

    async fn launch(&mut self) -> Result<(), ServerError> {
        let config = config::write(&self.folder, &self.options, self.port)?;
        let log = self.folder.join("nats-server.log");
        let (process, port) = Process::start(&self.program, &config, &log, READY_TIMEOUT).await?;
        self.process = Some(process);
        self.port = port;
        Ok(())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill9();
    }
}

#[cfg(test)]
mod tests;
