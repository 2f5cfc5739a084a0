//! `millstream dev`: a private NATS server and the runtime in one process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use millstream_control::api::node::Info;
use millstream_control::api::pipelines::{Applied, Apply, Get, Outcome};
use millstream_control::errors;
use millstream_control::lease::LeaseOptions;
use millstream_log::server::{NatsServer, ServerError, ServerOptions};
use tokio_util::sync::CancellationToken;

use super::lifecycle::wait_until_taken;
use super::watch::Watch;
use crate::actor::actor;
use crate::cli::App;
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

    /// Build and apply the project again with each change of its files, and show what comes out. The project is that of the
    /// manifest: `pipeline.yaml`, unless `-f` names another one
    #[arg(long)]
    watch: bool,

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
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        self.log.start("warn")?;
        let watched = self.watched()?;
        // Mistakes in manifests come out before anything is started.
        let loaded: Vec<_> = match &watched {
            Some(manifest) => manifest::load(manifest).map(|_| Vec::new())?,
            None => self.files.iter().map(|file| manifest::load(file)).collect::<Result<_, _>>()?,
        };
        let watch = watched.map(Watch::of).transpose()?;
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
        block_on_all(self.serve(&folder, &loaded, watch, app))?;
        Ok(Exit::Ok)
    }

    /// The manifest whose project is watched.
    fn watched(&self) -> Result<Option<&Path>, Failure> {
        match (self.watch, &self.files[..]) {
            (false, _) => Ok(None),
            (true, []) => Ok(Some(Path::new("pipeline.yaml"))),
            (true, [file]) => Ok(Some(file)),
            (true, _) => {
                Err(Failure::coded(errors::USAGE, "`--watch` takes one manifest, not several"))
            }
        }
    }

    async fn serve(
        &self,
        folder: &Path,
        loaded: &[Loaded],
        mut watch: Option<Watch>,
        app: &App,
    ) -> Result<(), Failure> {
        let stop = CancellationToken::new();
        stop_at_signals(stop.clone())?;
        let mut server = self.start_server(&folder.join("nats")).await?;
        let connection = server.connect().await.map_err(|error| unconnected(&error))?;
        let remote = Remote::over(app, connection.clone(), START_TIMEOUT).await?;
        let state = folder.join("state");
        let runtime = Runtime::open(&self.runtime, LEASE, connection.into(), &state).await?;
        let http = runtime.http();
        // The end of the runtime is the end of this, whatever ended it.
        let ends = stop.clone().drop_guard();
        let running = tokio::spawn({
            let stop = stop.clone();
            async move {
                let _ends = ends;
                runtime.run(stop).await;
            }
        });
        let serving = async {
            set_up(&remote, loaded).await?;
            if let Some(watch) = &mut watch {
                watch.turn(&remote).await;
            }
            self.greet(&server.url(), &http, folder);
            match watch {
                Some(watch) => watch.follow(&remote, &app.out).await,
                None => std::future::pending().await,
            }
        };
        let served = tokio::select! {
            served = serving => served,
            () = stop.cancelled() => Ok(()),
        };
        stop.cancel();
        let ran = running.await;
        // A connection that outlived its server would complain.
        drop(remote);
        server.stop().await;
        served?;
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

    fn greet(&self, nats: &str, http: &str, folder: &Path) {
        let kept = match self.data {
            Some(_) => format!("data is kept in {}", folder.display()),
            None => "data is temporary: `--data DIR` keeps it".to_owned(),
        };
        say(&format!(
            "ready: NATS at {nats}, metrics and health at {http}; {kept}\n  \
             in another terminal:  export NATS_URL={nats}\n  \
             then:                 millstream get\n  \
             ctrl-c drains and ends"
        ));
    }
}

/// Waits for the runtime, and starts the pipelines of the manifests.
async fn set_up(remote: &Remote, loaded: &[Loaded]) -> Result<(), Failure> {
    remote
        .wait("the runtime does not answer", async || Ok(remote.ask(&Info {}).await.ok()))
        .await?;
    for one in loaded {
        let applied = start(remote, one).await?;
        say(&format!("pipeline {} runs", applied.pipeline));
    }
    Ok(())
}

/// Makes the streams that a manifest lacks, applies it, and waits until it runs, with the modules that are new.
pub(super) async fn start(remote: &Remote, loaded: &Loaded) -> Result<Applied, Failure> {
    let manifest = &loaded.document.manifest;
    for made in streams::make_missing(remote.connection().jetstream(), manifest).await? {
        say(&format!("made stream {} for {}", made.stream, made.subjects.join(", ")));
    }
    let before = remote.ask(&Get { pipeline: manifest.name.clone() }).await.ok();
    let request = Apply { manifest: loaded.upload(remote).await?, by: actor(), ..Apply::default() };
    let applied = loaded.ask(remote, &request).await?;
    if applied.outcome != Outcome::Unchanged {
        wait_until_taken(remote, &applied.pipeline, before.as_ref()).await?;
    }
    Ok(applied)
}
