//! Why there is no usable connection.

use async_nats::jetstream;
use async_nats::jetstream::context::AccountErrorKind;

use super::{ConnectOptions, ContextError, ServerVersion, VERSION_REQUIRED};

/// Why there is no usable connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A context of the `nats` CLI cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A server URL is not one.
    #[error("{url:?} is not a NATS server URL: {description}")]
    Url {
        /// The text, without user and password.
        url: String,
        /// What is wrong.
        description: String,
    },
    /// A file of credentials or certificates cannot be read.
    #[error("file {path} cannot be used")]
    File {
        /// Its path.
        path: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// A creds file without a JWT and a seed.
    #[error("file {path} is not a creds file: it lacks a JWT or a seed")]
    CredsFormat {
        /// Its path.
        path: String,
    },
    /// Nobody listens there, or the network does not lead there.
    #[error("no NATS server answers at {server}: {description}")]
    Refused {
        /// Where.
        server: String,
        /// What happened.
        description: String,
    },
    /// The server does not accept who we are.
    #[error("nats-server at {server} refuses the credentials ({credentials})")]
    Unauthorized {
        /// Where.
        server: String,
        /// Which kind of credentials was sent; never the secret.
        credentials: &'static str,
    },
    /// TLS failed.
    #[error("no TLS connection to {server}: {description}")]
    Tls {
        /// Where.
        server: String,
        /// What happened.
        description: String,
    },
    /// The server has no JetStream.
    #[error(
        "nats-server at {server} runs without JetStream; start it with `jetstream: enabled` (or `-js`)"
    )]
    NoJetStream {
        /// Where.
        server: String,
    },
    /// The account has no JetStream.
    #[error(
        "the account at {server} has no JetStream; enable it for the account, or use another one"
    )]
    AccountWithoutJetStream {
        /// Where.
        server: String,
    },
    /// JetStream does not answer.
    #[error("JetStream at {server} does not answer: {description}")]
    JetStream {
        /// Where.
        server: String,
        /// What happened.
        description: String,
    },
    /// The server is too old.
    #[error(
        "nats-server at {server} has version {version}; {VERSION_REQUIRED} or newer is required"
    )]
    TooOld {
        /// Where.
        server: String,
        /// Its version.
        version: ServerVersion,
    },
}

impl ConnectError {
    /// Whether it may be gone in a moment without anybody changing anything on this side: a server that is not there yet, or
    /// JetStream without a leader.
    pub fn is_passing(&self) -> bool {
        matches!(self, ConnectError::Refused { .. } | ConnectError::JetStream { .. })
    }

    /// Sorts what the client library reports.
    pub(super) fn from_client(
        options: &ConnectOptions,
        error: &async_nats::ConnectError,
    ) -> ConnectError {
        use async_nats::ConnectErrorKind as Kind;
        let server = options.shown_servers();
        let description = chain(error);
        match error.kind() {
            Kind::AuthorizationViolation | Kind::Authentication => {
                ConnectError::Unauthorized { server, credentials: options.credentials.kind() }
            }
            Kind::Tls => ConnectError::Tls { server, description },
            Kind::ServerParse => ConnectError::Url { url: server, description },
            Kind::Dns | Kind::TimedOut | Kind::Io | Kind::MaxReconnects => {
                // TLS failures after the handshake's start arrive as I/O errors.
                if description.contains("certificate") || description.contains("tls") {
                    ConnectError::Tls { server, description }
                } else {
                    ConnectError::Refused { server, description }
                }
            }
        }
    }

    /// Sorts what the account query reports.
    pub(super) fn from_account(
        options: &ConnectOptions,
        error: &jetstream::context::AccountError,
    ) -> ConnectError {
        use async_nats::jetstream::ErrorCode;
        let server = options.shown_servers();
        match error.kind() {
            AccountErrorKind::JetStreamUnavailable => ConnectError::NoJetStream { server },
            AccountErrorKind::JetStream(api)
                if api.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED =>
            {
                ConnectError::NoJetStream { server }
            }
            AccountErrorKind::JetStream(api)
                if api.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT =>
            {
                ConnectError::AccountWithoutJetStream { server }
            }
            _ => ConnectError::JetStream { server, description: chain(error) },
        }
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many wrappers repeat their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
