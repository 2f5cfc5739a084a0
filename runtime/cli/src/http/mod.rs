//! The runtime's HTTP endpoint: is it alive, is it ready, and its metrics.
//!
//! | path | answers |
//! |---|---|
//! | `/healthz` | 200 while the process serves |
//! | `/readyz` | 200 when the runtime is connected, and all partitions of its pipelines run or are paused as wanted, or it stands by for another node; otherwise 503 with the reason |
//! | `/metrics` | Prometheus text |
//!
//! Metrics and reasons name pipelines. On an address that others reach they are for clients only that show a certificate or the
//! token; whether the runtime is alive and ready is for everybody.

mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use clap::Args;
use futures::future::BoxFuture;
use millstream_control::errors;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::tls::{TlsFiles, TlsListener};
use crate::failure::Failure;

/// Where the endpoint listens, and whom it answers.
#[derive(Args, Clone, Debug)]
pub struct HttpArgs {
    /// Where /healthz, /readyz and /metrics are served; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "MILLSTREAM_HTTP",
        default_value = "127.0.0.1:8480"
    )]
    http: SocketAddr,

    /// Certificate of the endpoint, in PEM; it is https then
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_HTTP_CERT", requires = "http_key")]
    http_cert: Option<PathBuf>,

    /// Key of that certificate, in PEM
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_HTTP_KEY", requires = "http_cert")]
    http_key: Option<PathBuf>,

    /// Authorities, in PEM: who shows a certificate of theirs is answered everything on any address
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_HTTP_CLIENT_CA", requires = "http_cert")]
    http_client_ca: Option<PathBuf>,

    /// File with a token: who sends it (`Authorization: Bearer TOKEN`) is answered everything on any address
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_HTTP_TOKEN")]
    http_token: Option<PathBuf>,
}

/// What the endpoint asks about the runtime.
pub trait Vitals: Send + Sync + 'static {
    /// Why the runtime is not ready; none when it is.
    fn unready(&self) -> BoxFuture<'_, Option<String>>;
    /// All metrics as Prometheus text.
    fn metrics(&self) -> BoxFuture<'_, String>;
}

/// The content type of the text format that `/metrics` answers with.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Characters of the shortest token that is taken.
const TOKEN_CHARACTERS_MIN: usize = 16;

/// A bound endpoint.
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    token: Option<blake3::Hash>,
}

impl Endpoint {
    /// Reads the files and binds the address.
    pub async fn bind(args: &HttpArgs) -> Result<Self, Failure> {
        let files = args.http_cert.clone().zip(args.http_key.clone());
        let files = files.map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            clients: args.http_client_ca.clone(),
        });
        let tls = files.map(|files| files.acceptor()).transpose()?;
        let token = args.http_token.as_deref().map(read_token).transpose()?;
        let failed = |error: std::io::Error| {
            Failure::coded(errors::ADDRESS, format!("cannot listen on {}", args.http))
                .because(&error)
                .help("choose another address with `--http ADDR:PORT`; port 0 takes a free one")
        };
        let listener = TcpListener::bind(args.http).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Endpoint { listener, address, tls, token })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Serves until `stop`.
    pub async fn serve(self, vitals: Arc<dyn Vitals>, stop: CancellationToken) {
        let shared = Shared { vitals, local: self.address.ip().is_loopback(), token: self.token };
        let routes = router(shared).into_make_service_with_connect_info::<Client>();
        let stopped = async move { stop.cancelled().await };
        let served = match self.tls {
            None => axum::serve(self.listener, routes).with_graceful_shutdown(stopped).await,
            Some(tls) => {
                let listener = TlsListener::new(self.listener, tls);
                axum::serve(listener, routes).with_graceful_shutdown(stopped).await
            }
        };
        if let Err(error) = served {
            tracing::error!(%error, "the http endpoint ended");
        }
    }
}

/// The first line of a file.
fn read_token(path: &Path) -> Result<blake3::Hash, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.len() < TOKEN_CHARACTERS_MIN {
        let message = format!(
            "the token in {} has {} characters, and needs {TOKEN_CHARACTERS_MIN}",
            path.display(),
            token.len()
        );
        return Err(Failure::coded(errors::FILE, message)
            .help("`openssl rand -hex 32 > FILE` makes a good one"));
    }
    Ok(blake3::hash(token.as_bytes()))
}

/// What a connection says of its client.
#[derive(Clone, Copy)]
struct Client {
    /// Whether it has shown a certificate of an authority that is trusted.
    certified: bool,
}

impl Connected<IncomingStream<'_, TcpListener>> for Client {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Client { certified: false }
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Client {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let (_, connection) = stream.io().get_ref();
        Client { certified: connection.peer_certificates().is_some_and(|chain| !chain.is_empty()) }
    }
}

#[derive(Clone)]
struct Shared {
    vitals: Arc<dyn Vitals>,
    /// Whether only this machine reaches the address.
    local: bool,
    token: Option<blake3::Hash>,
}

impl Shared {
    /// Whether this client is answered everything.
    fn trusts(&self, client: Client, headers: &HeaderMap) -> bool {
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let sent = sent.and_then(|value| value.strip_prefix("Bearer "));
        // Hashes are compared in constant time.
        let has_token = |token| sent.is_some_and(|sent| blake3::hash(sent.as_bytes()) == token);
        self.local || client.certified || self.token.is_some_and(has_token)
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(shared)
}

async fn ready(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<Client>,
    headers: HeaderMap,
) -> Response {
    match shared.vitals.unready().await {
        None => "ready\n".into_response(),
        Some(reason) => {
            let trusted = shared.trusts(client, &headers);
            let reason = if trusted { reason } else { "not ready".into() };
            (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
        }
    }
}

async fn metrics(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<Client>,
    headers: HeaderMap,
) -> Response {
    if !shared.trusts(client, &headers) {
        let says = "metrics are for clients with the token (`--http-token`) or a certificate (`--http-client-ca`)\n";
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], says)
            .into_response();
    }
    ([(header::CONTENT_TYPE, METRICS_TYPE)], shared.vitals.metrics().await).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

    use super::*;

    struct Fixed(Option<String>);

    impl Vitals for Fixed {
        fn unready(&self) -> BoxFuture<'_, Option<String>> {
            Box::pin(async { self.0.clone() })
        }

        fn metrics(&self) -> BoxFuture<'_, String> {
            Box::pin(async { "records_total 7\n".to_owned() })
        }
    }

    fn args(http: &str) -> HttpArgs {
        HttpArgs {
            http: http.parse().expect("an address"),
            http_cert: None,
            http_key: None,
            http_client_ca: None,
            http_token: None,
        }
    }

    async fn talk(
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        path: &str,
        more: &str,
    ) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("send");
        let mut answer = Vec::new();
        // A server may end TLS without a word.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("UTF-8")
    }

    async fn ask(port: u16, path: &str, more: &str) -> String {
        talk(TcpStream::connect(("127.0.0.1", port)).await.expect("connect"), path, more).await
    }

    /// An endpoint until the test ends.
    async fn serve(args: &HttpArgs, reason: Option<&str>) -> u16 {
        let endpoint = Endpoint::bind(args).await.unwrap_or_else(|_| panic!("bind"));
        let port = endpoint.address.port();
        let vitals = Arc::new(Fixed(reason.map(str::to_owned)));
        tokio::spawn(endpoint.serve(vitals, CancellationToken::new()));
        port
    }

    #[tokio::test]
    async fn it_says_whether_the_runtime_is_ready() {
        for (reason, status) in [(None, "200"), (Some("starting"), "503")] {
            let args = args("127.0.0.1:0");
            let endpoint = Endpoint::bind(&args).await.unwrap_or_else(|_| panic!("bind"));
            let (port, stop) = (endpoint.address.port(), CancellationToken::new());
            let vitals = Arc::new(Fixed(reason.map(str::to_owned)));
            let serving = tokio::spawn(endpoint.serve(vitals, stop.clone()));

            assert!(ask(port, "/healthz", "").await.contains(" 200 "));
            let ready = ask(port, "/readyz", "").await;
            assert!(ready.contains(status) && ready.contains(reason.unwrap_or("ready")));
            let metrics = ask(port, "/metrics", "").await;
            assert!(metrics.contains("records_total 7"), "{metrics}");
            stop.cancel();
            serving.await.expect("it ends when it is told to");
        }
    }

    #[tokio::test]
    async fn what_names_pipelines_needs_the_token_on_an_address_that_others_reach() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "0123456789abcdef\n").expect("write");
        let open = serve(&args("0.0.0.0:0"), Some("pipeline secret-deal starts")).await;
        let guarded = HttpArgs { http_token: Some(file.clone()), ..args("0.0.0.0:0") };
        let guarded = serve(&guarded, Some("pipeline secret-deal starts")).await;
        let token = "Authorization: Bearer 0123456789abcdef\r\n";
        let wrong = "Authorization: Bearer 0123456789abcdee\r\n";
        for (port, more, trusted) in [
            (open, "", false),
            (open, token, false),
            (guarded, "", false),
            (guarded, wrong, false),
            (guarded, token, true),
        ] {
            let metrics = ask(port, "/metrics", more).await;
            assert_eq!(metrics.contains("records_total"), trusted, "{metrics}");
            assert_eq!(metrics.contains(" 401 "), !trusted, "{metrics}");
            let ready = ask(port, "/readyz", more).await;
            assert!(ready.contains(" 503 "), "{ready}");
            assert_eq!(ready.contains("secret-deal"), trusted, "{ready}");
            assert!(ask(port, "/healthz", more).await.contains(" 200 "));
        }
        std::fs::write(&file, "short\n").expect("write");
        let short = HttpArgs { http_token: Some(file), ..args("127.0.0.1:0") };
        let failure = Endpoint::bind(&short).await.err().expect("refused");
        assert!(failure.reports[0].message.contains("has 5 characters"));
    }

    /// The certificate of the NATS tests: its authority signed it for `localhost`, as a server's and a client's.
    fn pem(name: &str) -> PathBuf {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        package.join(format!("../log/src/line/data/{name}.pem"))
    }

    #[tokio::test]
    async fn a_client_with_a_certificate_is_answered_everything() {
        let args = HttpArgs {
            http_cert: Some(pem("certificate")),
            http_key: Some(pem("key")),
            http_client_ca: Some(pem("authority")),
            ..args("0.0.0.0:0")
        };
        let port = serve(&args, None).await;
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_file_iter(pem("authority")).expect("it is there") {
            roots.add(authority.expect("PEM")).expect("an authority");
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let chain = || vec![CertificateDer::from_pem_file(pem("certificate")).expect("PEM")];
        let key = PrivateKeyDer::from_pem_file(pem("key")).expect("PEM");
        let with =
            config.clone().with_client_auth_cert(chain(), key).expect("they belong together");
        for (config, status) in [(config.with_no_client_auth(), " 401 "), (with, " 200 ")] {
            let tcp = TcpStream::connect(("127.0.0.1", port)).await.expect("connect");
            let name = "localhost".try_into().expect("a name");
            let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
            let answer = talk(stream.expect("a handshake"), "/metrics", "").await;
            assert!(answer.contains(status), "{answer}");
        }
        // Who does not speak TLS is not answered, and does not keep others from it.
        assert!(!ask(port, "/healthz", "").await.contains("200"));
        let swapped = HttpArgs { http_key: Some(pem("certificate")), ..args };
        let failure = Endpoint::bind(&swapped).await.err().expect("refused");
        assert!(failure.reports[0].message.contains("certificate.pem"));
    }
}
