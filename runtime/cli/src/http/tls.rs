//! TLS for the HTTP endpoint, and which clients have shown a certificate.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use millstream_control::errors;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

use crate::failure::Failure;

/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Clients that shake hands at one time; further ones wait to be accepted.
const HANDSHAKES_MAX: usize = 64;

/// The files of the endpoint's TLS, all in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate, with those that lead to the authority behind it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities of clients' certificates; without them no client is asked for one.
    pub clients: Option<PathBuf>,
}

impl TlsFiles {
    /// What accepts connections with them. A client need not show a certificate, but one that it shows must be good.
    pub fn acceptor(&self) -> Result<TlsAcceptor, Failure> {
        let provider = Arc::new(crypto::ring::default_provider());
        let wrong = |path: &Path, error: &(dyn std::error::Error + 'static)| {
            let message = format!("{} cannot be used for TLS", path.display());
            Failure::coded(errors::FILE, message).because(error)
        };
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| unread(&self.key, &e))?;
        let clients = match &self.clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|error| wrong(path, &error))?;
                }
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| wrong(path, &error))?
            }
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config.with_client_cert_verifier(clients).with_single_cert(chain, key)
            })
            .map_err(|error| wrong(&self.certificate, &error))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unread(path, &error))?;
    if found.is_empty() {
        let message = format!("{} holds no certificate in PEM", path.display());
        return Err(Failure::coded(errors::FILE, message));
    }
    Ok(found)
}

fn unread(path: &Path, error: &PemError) -> Failure {
    match error {
        PemError::Io(error) => Failure::file("read", path, error),
        error => {
            Failure::coded(errors::FILE, format!("{} is not PEM as it has to be", path.display()))
                .because(error)
        }
    }
}

/// A client that shakes hands.
type Handshake = BoxFuture<'static, io::Result<(TlsStream<TcpStream>, SocketAddr)>>;

/// Accepts connections, with TLS.
pub struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: FuturesUnordered<Handshake>,
}

impl TlsListener {
    /// On a bound address.
    pub fn new(tcp: TcpListener, acceptor: TlsAcceptor) -> Self {
        TlsListener { tcp, acceptor, handshakes: FuturesUnordered::new() }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                Some(shaken) = self.handshakes.next() => match shaken {
                    Ok(connection) => return connection,
                    Err(error) => tracing::debug!(%error, "a client of the http endpoint did not shake hands"),
                },
                // The library's: it waits when files run out.
                (stream, address) = Listener::accept(&mut self.tcp), if self.handshakes.len() < HANDSHAKES_MAX => {
                    let shake = self.acceptor.accept(stream);
                    self.handshakes.push(Box::pin(async move {
                        let shaken = tokio::time::timeout(HANDSHAKE, shake).await;
                        Ok((shaken.map_err(io::Error::from)??, address))
                    }));
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
