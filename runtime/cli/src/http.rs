//! The runtime's HTTP endpoint: is it alive, is it ready, and its metrics.
//!
//! | path | answers |
//! |---|---|
//! | `/healthz` | 200 while the process serves |
//! | `/readyz` | 200 when the runtime is connected, and all partitions of its pipelines run or are paused as wanted, or it stands by for another node; otherwise 503 with the reason |
//! | `/metrics` | Prometheus text |

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use millstream_control::errors;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// What the endpoint asks about the runtime.
pub trait Vitals: Send + Sync + 'static {
    /// Why the runtime is not ready; none when it is.
    fn unready(&self) -> BoxFuture<'_, Option<String>>;
    /// All metrics as Prometheus text.
    fn metrics(&self) -> BoxFuture<'_, String>;
}

/// The content type of the text format that `/metrics` answers with.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A bound endpoint.
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Binds the address; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::coded(errors::ADDRESS, format!("cannot listen on http://{address}"))
                .because(&error)
                .help("choose another address with `--http ADDR:PORT`; port 0 takes a free one")
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Endpoint { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`.
    pub async fn serve(self, vitals: Arc<dyn Vitals>, stop: CancellationToken) {
        let served = axum::serve(self.listener, router(vitals))
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the http endpoint ended");
        }
    }
}

fn router(vitals: Arc<dyn Vitals>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(vitals)
}

async fn ready(State(vitals): State<Arc<dyn Vitals>>) -> Response {
    match vitals.unready().await {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(vitals): State<Arc<dyn Vitals>>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], vitals.metrics().await).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

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

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("receive");
        answer
    }

    #[tokio::test]
    async fn it_says_whether_the_runtime_is_ready() {
        for (reason, status) in [(None, "200"), (Some("starting".to_owned()), "503")] {
            let endpoint = Endpoint::bind(([127, 0, 0, 1], 0).into()).await.expect("bind");
            let address = endpoint.address();
            let stop = CancellationToken::new();
            let serving = tokio::spawn(endpoint.serve(Arc::new(Fixed(reason)), stop.clone()));

            assert!(ask(address, "/healthz").await.contains(" 200 "));
            assert!(ask(address, "/readyz").await.contains(status));
            let metrics = ask(address, "/metrics").await;
            assert!(metrics.contains("records_total 7"), "{metrics}");
            stop.cancel();
            serving.await.expect("it ends when it is told to");
        }
    }
}
