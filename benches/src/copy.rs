//! The bare loops that Millstream is compared with on a server: each copies every record of a stream to another
//! subject, in a process of its own, and does nothing else.
//!
//! They keep no state and no position, so that after a crash they lose or double records.

use std::collections::VecDeque;
use std::env;
use std::process::Command;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::context::{ContextBuilder, PublishAckFuture};
use async_nats::{ConnectOptions, HeaderMap, HeaderValue, Subject, header, jetstream};
use bytes::Bytes;
use clap::ValueEnum;
use futures::StreamExt;

use crate::broker;
use crate::publisher::Publisher;
use crate::worker::{SINK_SUBJECT, SOURCE, on_input};

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Server
    #[arg(long)]
    url: String,
    /// Stream to read
    #[arg(long)]
    from: String,
    /// Subject to publish to
    #[arg(long)]
    to: String,
    /// Messages that may wait for their acknowledgement
    #[arg(long)]
    in_flight: usize,
    /// How it publishes
    #[arg(long)]
    how: How,
}

/// How a loop publishes. All read with ack-none pulls that overlap, over a connection of their own, and wait for every
/// acknowledgement, but not for one before the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// With the client library's own publish: a future for each acknowledgement
    Library,
    /// With plain messages whose acknowledgements are counted at one inbox: the fastest way there is
    Lean,
    /// The same, with an id for each message, by which the server drops those that it has already
    LeanWithIds,
}

/// The command that starts a loop between the streams of the fraud job.
pub fn command(url: &str, how: How, in_flight: usize) -> Result<Command> {
    let how = how.to_possible_value().context("every way has a name")?;
    let mut command = Command::new(env::current_exe()?);
    command.args(["copy", "--url", url, "--from", SOURCE, "--to", SINK_SUBJECT]);
    command.args(["--how", how.get_name(), "--in-flight", &in_flight.to_string()]);
    Ok(command)
}

/// The subcommand: copies until its standard input ends.
pub fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    on_input(drop);
    runtime.block_on(copy(args))
}

async fn copy(args: &Args) -> Result<()> {
    let reading = jetstream::new(async_nats::connect(&args.url).await?);
    let mut messages = broker::messages(&reading, &args.from, DeliverPolicy::All).await?;
    let to = Subject::from(args.to.as_str());
    if args.how == How::Library {
        return library(args, &mut messages, to).await;
    }
    let mut publisher = Publisher::connect(&args.url, args.in_flight).await?;
    for copied in 1.. {
        let payload = next(&mut messages).await?;
        let headers = (args.how == How::LeanWithIds).then(|| {
            let mut headers = HeaderMap::new();
            headers.insert(header::NATS_MESSAGE_ID, HeaderValue::from(copied));
            headers
        });
        publisher.publish(to.clone(), headers, payload).await?;
    }
    Ok(())
}

async fn library(args: &Args, messages: &mut pull::Stream, to: Subject) -> Result<()> {
    // Room for all that may be in flight.
    let client = ConnectOptions::new()
        .client_capacity(args.in_flight + 64)
        .subscription_capacity(args.in_flight + 64)
        .connect(&args.url)
        .await?;
    let writing = ContextBuilder::new().max_ack_inflight(args.in_flight).build(client);
    let mut acks: VecDeque<PublishAckFuture> = VecDeque::with_capacity(args.in_flight);
    loop {
        let payload = next(messages).await?;
        if acks.len() == args.in_flight
            && let Some(oldest) = acks.pop_front()
        {
            oldest.await?;
        }
        acks.push_back(writing.publish(to.clone(), payload).await?);
    }
}

async fn next(messages: &mut pull::Stream) -> Result<Bytes> {
    let message = messages.next().await.context("the stream of records ended")??;
    Ok(message.message.payload)
}
