//! A connection that does not reconnect.
//!
//! A client that reconnects sends what is still queued in it over the new connection, behind what was
//! lost with the old one: order is gone. The client library cannot be told to stop at the first loss, but it
//! does stop when it has no credentials for the second attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::AuthError;
use tokio::sync::watch;

use super::login::sign;
use super::{CONNECT_TIMEOUT, ConnectError, ConnectOptions, SUBSCRIPTION_CAPACITY};

/// Connects; the second value turns true when the connection is lost. What is queued then is dropped with it.
/// `capacity`: commands that may be queued.
pub(crate) async fn connect_once(
    options: &ConnectOptions,
    capacity: usize,
) -> Result<(async_nats::Client, watch::Receiver<bool>), ConnectError> {
    let (lost, watched) = watch::channel(false);
    let login = Arc::new(options.login().await?);
    let used = Arc::new(AtomicBool::new(false));
    let connected = Arc::clone(&used);
    let client_options = async_nats::ConnectOptions::with_auth_callback(move |nonce| {
        let answer = if used.load(Ordering::Acquire) {
            Err(AuthError::new("this connection is not made again"))
        } else {
            sign(&login, &nonce)
        };
        async move { answer }
    });
    let client = options
        .apply_to(client_options)
        .await?
        .connection_timeout(CONNECT_TIMEOUT)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .client_capacity(capacity)
        // Each server is tried once, now and when the connection is lost.
        .max_reconnects(options.servers.len().max(1))
        .ignore_discovered_servers()
        .event_callback(move |event| {
            if matches!(event, async_nats::Event::Disconnected | async_nats::Event::Closed) {
                lost.send_replace(true);
            }
            async {}
        })
        .connect(options.servers.as_slice())
        .await
        .map_err(|error| ConnectError::from_client(options, &error))?;
    connected.store(true, Ordering::Release);
    Ok((client, watched))
}
