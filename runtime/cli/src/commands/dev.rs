//! `millstream dev`: a private NATS server and the runtime in one process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use millstream_control::api::node::Info;
use millstream_control::api::pipelines::Apply;
use millstream_control::api::status::Phase;
use millstream_control::errors;
use millstream_control::lease::LeaseOptions;
use millstream_log::connect::Connection;
use millstream_log::server::{NatsServer, ServerError, ServerOptions};
use tokio_util::sync::CancellationToken;

use super::lifecycle::wait_for_phase;
use crate::actor::actor;
use crate::connection::{Remote, unconnected};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::logging::LogArgs;
use crate::manifest::{self, Loaded};
use crate::output::format::say;
use crate::runtime::{Runtime, RuntimeArgs, block_on_all, stop_at_signals};
use crate::streams;

/// Nobody else contends on a private server, so a runtime that was killed is followed at once.
const LEASE: LeaseOptions = LeaseOptions {
    refresh: Duration::from_secs(1),
    expiry: Duration::from_secs(3),
    look: Duration::from_millis(200),
};
/// How long the runtime and a pipeline may take to start before the person is told.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Start a private NATS server and the runtime in one command; ctrl-c drains and ends both
#[derive(Args)]
pub struct Dev {
    /// Folder that keeps everything; without it a temporary one, removed at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Manifests to apply; the streams that they read and write are made where they are missing
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Port of the NATS server on 127.0.0.1; 0 takes a free one
    #[arg(long, env = "MILLSTREAM_PORT", default_value_t = 4222)]
    port: u16,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[command(flatten)]
    log: LogArgs,
}

impl Dev {
    /// Runs until ctrl-c.
    pub fn run(self) -> Result<Exit, Failure> {
        self.log.start("warn")?;
        // Mistakes in manifests come out before anything is started.
        let loaded: Vec<_> =
            self.files.iter().map(|file| manifest::load(file)).collect::<Result<_, _>>()?;
        let temporary = match &self.data {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("millstream-dev-").tempdir().map_err(
                |error| Failure::file("make a folder in", &std::env::temp_dir(), &error),
            )?),
        };
        let folder = match (&self.data, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => std::env::temp_dir(),
        };
        block_on_all(self.serve(&folder, &loaded))?;
        Ok(Exit::Ok)
    }

    async fn serve(&self, folder: &Path, loaded: &[Loaded]) -> Result<(), Failure> {
        let stop = CancellationToken::new();
        stop_at_signals(stop.clone())?;
        let mut server = self.start_server(&folder.join("nats")).await?;
        let connection = server.connect().await.map_err(|error| unconnected(&error))?;
        let state = folder.join("state");
        let runtime = Runtime::open(&self.runtime, LEASE, connection.clone(), &state).await?;
        let http = runtime.http();
        let running = tokio::spawn(runtime.run(stop.clone()));
        let set_up = tokio::select! {
            set_up = set_up(connection, loaded) => set_up,
            () = stop.cancelled() => Ok(()),
        };
        if set_up.is_ok() && !stop.is_cancelled() {
            self.greet(&server.url(), http, folder);
        }
        if set_up.is_err() {
            stop.cancel();
        }
        let ran = running.await;
        server.stop().await;
        set_up?;
        ran.map_err(|error| {
            Failure::coded(errors::SYSTEM, "the runtime ended unexpectedly").because(&error)
        })
    }

    async fn start_server(&self, folder: &Path) -> Result<NatsServer, Failure> {
        let options = ServerOptions {
            folder: Some(folder.to_owned()),
            port: Some(self.port),
            ..ServerOptions::default()
        };
        NatsServer::start(options).await.map_err(|error| {
            let failure = Failure::coded(
                errors::SERVER_NOT_STARTED,
                "the private nats-server does not start",
            )
            .because(&error);
            match error {
                ServerError::NotReady { .. } => failure.help(format!(
                    "if port {} is taken, choose another one with `--port`; 0 takes a free one",
                    self.port
                )),
                ServerError::NotFound { .. } => failure.help("`cargo xtask setup` fetches one"),
                _ => failure,
            }
        })
    }

    fn greet(&self, nats: &str, http: std::net::SocketAddr, folder: &Path) {
        let kept = match self.data {
            Some(_) => format!("data is kept in {}", folder.display()),
            None => "data is temporary: `--data DIR` keeps it".to_owned(),
        };
        say(&format!(
            "ready: NATS at {nats}, metrics and health at http://{http}; {kept}\n  \
             in another terminal:  export NATS_URL={nats}\n  \
             then:                 millstream get\n  \
             ctrl-c drains and ends"
        ));
    }
}

/// Waits for the runtime, makes missing streams, applies the manifests and waits until they run.
async fn set_up(connection: Connection, loaded: &[Loaded]) -> Result<(), Failure> {
    let remote = Remote::on(connection, START_TIMEOUT);
    remote
        .wait("the runtime does not answer", async || Ok(remote.ask(&Info {}).await.ok()))
        .await?;
    for one in loaded {
        let manifest = &one.document.manifest;
        for made in streams::make_missing(remote.connection().jetstream(), manifest).await? {
            say(&format!("made stream {} for {}", made.stream, made.subjects.join(", ")));
        }
        let request = Apply {
            manifest: one.upload(&remote).await?,
            dry_run: false,
            if_revision: None,
            by: actor(),
        };
        let applied = one.ask(&remote, &request).await?;
        wait_for_phase(&remote, &applied.pipeline, Phase::Running).await?;
        say(&format!("pipeline {} runs", applied.pipeline));
    }
    Ok(())
}
