//! Publishes into a stream as fast as acknowledgements allow: for preloading, and for the bare loop that
//! Millstream is compared with.

use anyhow::{Context, Result, bail};
use async_nats::{Client, ConnectOptions, HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use serde::Deserialize;

/// A connection for publishing, and the acknowledgements that are due.
///
/// All of them arrive at one inbox and are counted. That is cheaper than a future for each, which is what the client library's
/// own publish gives: the loop compared with shall not lose by that.
pub struct Publisher {
    client: Client,
    inbox: async_nats::Subject,
    replies: Subscriber,
    in_flight: usize,
    in_flight_max: usize,
}

/// What matters of an acknowledgement.
#[derive(Deserialize)]
struct Reply {
    error: Option<serde_json::Value>,
}

impl Publisher {
    /// Connects. At most `in_flight_max` messages wait for their acknowledgements.
    pub async fn connect(url: &str, in_flight_max: usize) -> Result<Self> {
        let client = ConnectOptions::new()
            .client_capacity(in_flight_max + 64)
            .subscription_capacity(in_flight_max + 64)
            .connect(url)
            .await?;
        let inbox = async_nats::Subject::from(client.new_inbox());
        let replies = client.subscribe(inbox.clone()).await?;
        Ok(Publisher { client, inbox, replies, in_flight: 0, in_flight_max })
    }

    /// Publishes, once there is room. Fails when one of the earlier messages was refused.
    pub async fn publish(
        &mut self,
        subject: async_nats::Subject,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<()> {
        if self.in_flight >= self.in_flight_max {
            self.wait().await?;
        }
        let inbox = self.inbox.clone();
        match headers {
            None => self.client.publish_with_reply(subject, inbox, payload).await?,
            Some(headers) => {
                self.client
                    .publish_with_reply_and_headers(subject, inbox, headers, payload)
                    .await?;
            }
        }
        self.in_flight += 1;
        Ok(())
    }

    /// Waits for all acknowledgements.
    pub async fn flush(&mut self) -> Result<()> {
        while self.in_flight > 0 {
            self.wait().await?;
        }
        Ok(())
    }

    /// Waits for one acknowledgement, and takes all that have arrived.
    async fn wait(&mut self) -> Result<()> {
        let mut next = self.replies.next().await;
        loop {
            self.take(next.context("the connection for publishing is closed")?)?;
            match self.replies.next().now_or_never() {
                Some(more) => next = more,
                None => return Ok(()),
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<()> {
        if let Some(status) = message.status.filter(|status| !status.is_success()) {
            bail!("a message was not stored: status {status}");
        }
        let reply: Reply = serde_json::from_slice(&message.payload)?;
        if let Some(error) = reply.error {
            bail!("a message was not stored: {error}");
        }
        self.in_flight -= 1;
        Ok(())
    }
}
