//! Connections to NATS.
//!
//! [`ConnectOptions::load`] finds out where to connect and as whom, the way the `nats` CLI does;
//! [`connect`] connects, and says what is wrong when JetStream cannot be used as it is needed.

mod accounts;
mod context;
mod error;
mod login;
mod options;
mod version;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
pub(crate) use login::sign;
use tokio::sync::watch;

pub use accounts::Accounts;
pub use context::{ContextError, default_config_folder};
pub use error::{ConnectError, chain};
pub(crate) use options::without_user;
pub use options::{ConnectOptions, Credentials, Secret, TlsOptions, read_seed};
pub use version::{ServerVersion, VERSION_RECOMMENDED, VERSION_REQUIRED};

/// Messages a subscription may hold before the client library drops some. Nothing here asks for more than a
/// part of it at once; it is a limit, not an allocation.
pub(crate) const SUBSCRIPTION_CAPACITY: usize = 262_144;
/// How long one attempt to connect may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an API request may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that reconnects by itself, and what is known of the server. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
    /// Counts the times the connection was lost.
    pub(crate) losses: watch::Receiver<u64>,
    pub(crate) options: Arc<ConnectOptions>,
    version: ServerVersion,
}

impl Connection {
    /// The client, for what this crate does not wrap: services, plain requests.
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// The JetStream API in the configured domain.
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// The server's version when the connection was made.
    pub fn version(&self) -> ServerVersion {
        self.version
    }

    /// What it was made with.
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// Largest message the server takes, headers included, in bytes.
    pub fn payload_bytes_max(&self) -> usize {
        self.client.server_info().max_payload
    }

    /// Subject of a JetStream API call, e.g. `STREAM.INFO.ORDERS`.
    pub(crate) fn api_subject(&self, call: &str) -> String {
        format!("{}.{call}", self.options.api_prefix())
    }
}

/// Connects, checks the server's version and that JetStream is there.
pub async fn connect(options: ConnectOptions) -> Result<Connection, ConnectError> {
    let (lost, losses) = watch::channel(0);
    let login = Arc::new(options.login().await?);
    let client_options = async_nats::ConnectOptions::with_auth_callback(move |nonce| {
        let answer = sign(&login, &nonce);
        async move { answer }
    });
    let client_options = options
        .apply_to(client_options)
        .await?
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .event_callback(move |event| {
            if matches!(event, async_nats::Event::Disconnected) {
                lost.send_modify(|count| *count += 1);
            }
            async move { report(&event) }
        });
    let client = client_options
        .connect(options.servers.as_slice())
        .await
        .map_err(|error| ConnectError::from_client(&options, &error))?;
    let version = ServerVersion::parse(&client.server_info().version);
    if version < VERSION_REQUIRED {
        return Err(ConnectError::TooOld { server: options.shown_servers(), version });
    }
    if version < VERSION_RECOMMENDED {
        tracing::warn!(%version, recommended = %VERSION_RECOMMENDED, "nats-server is older than recommended");
    }
    let jetstream = jetstream::with_prefix(client.clone(), &options.api_prefix());
    if let Err(error) = jetstream.query_account().await {
        return Err(ConnectError::from_account(&options, &error));
    }
    Ok(Connection { client, jetstream, losses, options: Arc::new(options), version })
}

/// Connection events that someone may have to act on.
fn report(event: &async_nats::Event) {
    match event {
        async_nats::Event::Connected => tracing::info!("connected to nats"),
        async_nats::Event::Disconnected => tracing::warn!("connection to nats lost"),
        async_nats::Event::LameDuckMode => tracing::warn!("nats-server is about to shut down"),
        async_nats::Event::SlowConsumer(_) => tracing::error!("a subscription overflowed"),
        async_nats::Event::ServerError(error) => {
            tracing::warn!(%error, "nats-server reports an error")
        }
        async_nats::Event::ClientError(error) => {
            tracing::warn!(%error, "nats client reports an error")
        }
        async_nats::Event::Draining | async_nats::Event::Closed => {}
    }
}
