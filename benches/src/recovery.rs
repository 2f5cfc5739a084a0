//! `recovery`: from the SIGKILL of a worker under load to the first output of a record that was sent after it.
//!
//! Four cases, each under the same load: with a large keyed state in the worker's folder, with the folder lost as well, so that
//! state comes from the stored checkpoint, with a second worker that stood by, and, as the baseline, without any state to
//! speak of.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::broker::Broker;
use crate::child::Background;
use crate::open_loop::{Receiver, Schedule, Sender};
use crate::report::{self, Figure};
use crate::transactions::FIRST_MS;
use crate::worker::{
    self, CHECKPOINT, SINK, SINK_SUBJECT, SOURCE, SOURCE_SUBJECT, TAKE_OVER, UNTIL_READY,
};

/// Bytes of state of one account: the id of its last transaction, kept because that was small.
const ACCOUNT_BYTES: u64 = 1_000;
/// Records that are prepared for the load, in seconds; it ends with the last kill.
const LOAD_SECONDS: u64 = 900;
/// What runs between two kills.
const BETWEEN_KILLS: Duration = Duration::from_secs(2);
const MIB: f64 = (1 << 20) as f64;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Keyed state, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..))]
    state: u64,

    /// Records a second while workers are killed
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// Kills in each case
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    kills: u16,

    /// Partitions of the job
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,

    /// Seed of the records
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// What goes on for a worker that was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Successor {
    /// A new process on its folder.
    OnItsFolder,
    /// A new process on an empty folder.
    OnEmptyFolder,
    /// One that has stood by.
    Standby,
}

/// What the kills of one case gave.
struct Outcome {
    /// From each kill to the first new output, ascending.
    pauses: Vec<Duration>,
    /// Bytes of the checkpoints of all partitions before the first kill.
    state_bytes: u64,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(compare(args))
}

async fn compare(args: &Args) -> Result<()> {
    let accounts = (args.state << 20) / ACCOUNT_BYTES;
    let empty = measure(args, 0, Successor::OnItsFolder).await?;
    let kept = measure(args, accounts, Successor::OnItsFolder).await?;
    let lost = measure(args, accounts, Successor::OnEmptyFolder).await?;
    let standby = measure(args, accounts, Successor::Standby).await?;
    let ms = |pause: Duration| pause.as_secs_f64() * 1e3;
    let p50 = |outcome: &Outcome| ms(outcome.pauses[outcome.pauses.len() / 2]);
    let max = |outcome: &Outcome| ms(outcome.pauses[outcome.pauses.len() - 1]);
    let figures = [
        Figure::against("recovery/p50", "ms", p50(&kept), p50(&empty)),
        Figure::against("recovery/max", "ms", max(&kept), max(&empty)),
        Figure::against("recovery/lost-folder-p50", "ms", p50(&lost), p50(&empty)),
        Figure::against("recovery/lost-folder-max", "ms", max(&lost), max(&empty)),
        Figure::against("recovery/standby-p50", "ms", p50(&standby), p50(&empty)),
        Figure::against("recovery/standby-max", "ms", max(&standby), max(&empty)),
        Figure::alone("recovery/state", "MiB in checkpoints", kept.state_bytes as f64 / MIB),
    ];
    report::print(&figures, args.json)?;
    Ok(())
}

async fn measure(args: &Args, accounts: u64, successor: Successor) -> Result<Outcome> {
    let broker = Broker::start().await?;
    let url = broker.server.url();
    broker.create(SOURCE, SOURCE_SUBJECT).await?;
    broker.create(SINK, SINK_SUBJECT).await?;
    let scratch = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let data = |number: u16| scratch.path().join(format!("data-{number}"));
    let start =
        |number| Background::start(&mut worker::command(&url, &data(number), 1, args.partitions)?);
    let stand_by = |number| -> Result<Background> {
        let mut command = worker::standby_command(&url, &data(number), 1, args.partitions)?;
        let mut standby = Background::start(&mut command)?;
        standby.ask(UNTIL_READY)?;
        Ok(standby)
    };
    let mut process = start(0)?;

    let state = scratch.path().join("state.ndjson");
    write_state(&state, accounts.max(1), args.seed)?;
    let held = broker.publish_file(SOURCE_SUBJECT, &state).await?;
    fs::remove_file(&state)?;
    broker.until(SINK, held, &mut process).await?;
    // A checkpoint of every partition: what a worker that has run for a while has.
    let state_bytes = process.ask(CHECKPOINT)?.parse()?;

    let records = u64::from(args.rate) * LOAD_SECONDS;
    let mut receiver = Receiver::start(&url, records as usize).await?;
    let schedule = Schedule::start_now(args.rate, records, 100_000, args.seed)?;
    let sender = Sender::start(&url, &schedule).await?;
    let mut pauses = Vec::new();
    for kill in 1..=args.kills {
        let standby = match successor {
            Successor::Standby => Some(stand_by(kill)?),
            _ => None,
        };
        let calm = Instant::now() + BETWEEN_KILLS;
        receiver.first_output(&schedule, calm).await?;
        let killed = Instant::now();
        process.kill9()?;
        let left = data(kill - 1);
        if successor != Successor::OnItsFolder && left.exists() {
            fs::remove_dir_all(left)?;
        }
        process = match (successor, standby) {
            (_, Some(mut standby)) => {
                standby.ask(TAKE_OVER)?;
                standby
            }
            (Successor::OnEmptyFolder, None) => start(kill)?,
            (_, None) => start(0)?,
        };
        let pause = receiver.first_output(&schedule, killed).await? - killed;
        eprintln!(
            "kill {kill} of {}: {accounts} accounts, {successor:?}: {:.0} ms",
            args.kills,
            pause.as_secs_f64() * 1e3
        );
        pauses.push(pause);
    }
    let sent = sender.stop().await?;
    receiver.all(sent).await?;
    process.finish()?;
    pauses.sort_unstable();
    Ok(Outcome { pauses, state_bytes })
}

/// Small transactions of accounts that no other transaction follows, all within less than a minute of event time: each leaves its own
/// id as state, which does not compress.
fn write_state(path: &Path, accounts: u64, seed: u32) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    let mut random = ChaCha8Rng::seed_from_u64(seed.into());
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).with_context(failed)?);
    let mut id = vec![0; ACCOUNT_BYTES as usize];
    for account in 0..accounts {
        random.fill_bytes(&mut id);
        id.iter_mut().for_each(|byte| *byte = SIXTY_FOUR[usize::from(*byte & 63)]);
        let id = str::from_utf8(&id)?;
        writeln!(
            file,
            r#"{{"txn_id":"s{id}","account_id":"s{account:09}","customer_id":"c","amount":0.50,"currency":"EUR","merchant_category":"5411_grocery_stores","country":"DE","ts":{FIRST_MS}}}"#
        )
        .with_context(failed)?;
    }
    file.flush().with_context(failed)
}

/// Digits that JSON leaves as they are.
const SIXTY_FOUR: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
