//! How the doctor judges. Each function looks at one thing and says what to do about it.

use std::time::Duration;

use millstream_log::connect::{ServerVersion, VERSION_RECOMMENDED, VERSION_REQUIRED};

use super::Finding;
use super::facts::{DiskFacts, EndFacts, Retention, RuntimeFacts, ServerFacts, StreamFacts, Usage};
use crate::output::units;

/// The server's default. A smaller one cuts commits into many.
const PAYLOAD_BYTES_MIN: u64 = 1 << 20;
/// Above this the server itself warns: one large message holds up the connection.
const PAYLOAD_BYTES_MAX: u64 = 8 << 20;
/// A stall longer than this is not unusual: a failover of the broker, a restart of the runtime.
const DUPLICATE_WINDOW_MIN: Duration = Duration::from_secs(120);
/// Less free space than this, and the next checkpoint may not fit.
const DISK_BYTES_FAIL: u64 = 1 << 30;
/// Less free space than this deserves a look.
const DISK_BYTES_WARN: u64 = 10 << 30;
/// What one pipeline needs at least: a log, and a consumer per source and redrive.
const HEADROOM: u64 = 4;

/// The server by itself.
pub fn server(facts: &ServerFacts) -> Vec<Finding> {
    vec![
        version(&facts.version),
        payload(facts.payload_bytes_max),
        space("file storage", facts.storage, "raise the account's `max_file`, or free space"),
        space("memory storage", facts.memory, "raise the account's `max_mem`, or free space"),
        places(
            "streams",
            facts.streams,
            "raise the account's `max_streams`: every pipeline has a log stream",
        ),
        places(
            "consumers",
            facts.consumers,
            "raise the account's `max_consumers`: every source has a reader",
        ),
        stream_bytes(facts.stream_bytes_required),
        sync_interval(),
    ]
}

fn version(text: &str) -> Finding {
    let version = ServerVersion::parse(text);
    if version < VERSION_REQUIRED {
        return Finding::fail(
            "server version",
            format!("{text}; {VERSION_REQUIRED} is needed"),
            format!("upgrade nats-server to {VERSION_RECOMMENDED} or newer"),
        );
    }
    if version < VERSION_RECOMMENDED {
        return Finding::warn(
            "server version",
            format!("{text}; {VERSION_RECOMMENDED} is recommended"),
            "upgrade: older servers have known faults (2.12.7 closed an authentication bypass)",
        );
    }
    Finding::ok("server version", text)
}

fn payload(bytes: u64) -> Finding {
    let found = units::bytes(bytes);
    if bytes < PAYLOAD_BYTES_MIN {
        return Finding::warn(
            "max_payload",
            format!("{found}; the default is {}", units::bytes(PAYLOAD_BYTES_MIN)),
            "a commit is one message: small limits cut commits, and a record whose outputs do not fit is a dead letter",
        );
    }
    if bytes > PAYLOAD_BYTES_MAX {
        return Finding::warn(
            "max_payload",
            format!("{found}; more than {} is not recommended", units::bytes(PAYLOAD_BYTES_MAX)),
            "large messages hold up the others on a connection",
        );
    }
    Finding::ok("max_payload", found)
}

fn space(check: &str, usage: Usage, advice: &str) -> Finding {
    let used = units::bytes(usage.used);
    let Some(limit) = usage.limit else {
        return Finding::ok(check, format!("{used} used, the account sets no limit"));
    };
    let found = format!("{used} of {} used", units::bytes(limit));
    fill(check, usage.used, limit, found, advice)
}

/// Judges how full something is: 80 % warns, 95 % fails.
fn fill(check: &str, used: u64, limit: u64, found: String, advice: &str) -> Finding {
    let (used, limit) = (u128::from(used), u128::from(limit));
    if used * 100 >= limit * 95 {
        Finding::fail(check, found, advice)
    } else if used * 100 >= limit * 80 {
        Finding::warn(check, found, advice)
    } else {
        Finding::ok(check, found)
    }
}

fn places(check: &str, usage: Usage, advice: &str) -> Finding {
    let used = units::count(usage.used);
    let Some(limit) = usage.limit else {
        return Finding::ok(check, format!("{used}, the account sets no limit"));
    };
    let found = format!("{used} of {}", units::count(limit));
    match limit.saturating_sub(usage.used) {
        0 => Finding::fail(check, found, advice),
        left if left < HEADROOM => Finding::warn(check, found, advice),
        _ => Finding::ok(check, found),
    }
}

fn stream_bytes(required: bool) -> Finding {
    match required {
        true => Finding::fail(
            "max_bytes_required",
            "every stream of the account must set max_bytes",
            "turn `max_bytes_required` off for the account: logs are made without a quota",
        ),
        false => Finding::ok("max_bytes_required", "off"),
    }
}

fn sync_interval() -> Finding {
    Finding::unknown(
        "sync_interval",
        "not visible through the client protocol",
        "look into the server's configuration: for production set `jetstream { sync_interval: always }` and 3 replicas. \
         The default of 2 minutes loses acknowledged messages when the power fails.",
    )
}

/// The runtime.
pub fn runtime(facts: &RuntimeFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.answer {
        None => {}
        Some(Ok(version)) if version == env!("CARGO_PKG_VERSION") => findings.push(Finding::ok(
            "runtime",
            format!("version {version} answers, {} pipelines", facts.pipelines),
        )),
        Some(Ok(version)) => findings.push(Finding::warn(
            "runtime",
            format!("version {version} answers, this command has {}", env!("CARGO_PKG_VERSION")),
            "update the older one",
        )),
        Some(Err(reason)) => findings.push(Finding::warn(
            "runtime",
            format!("none answers: {reason}"),
            "start one: `millstream run`",
        )),
    }
    match facts.open {
        Some(true) => findings.push(Finding::warn(
            "access",
            "nothing is granted: whoever reaches the runtime may do everything",
            "in production make somebody an operator: `millstream access grant`",
        )),
        Some(false) => findings.push(Finding::ok("access", "only what is granted")),
        None => {}
    }
    for (pipeline, reason) in &facts.failed {
        findings.push(Finding::fail(
            format!("pipeline {pipeline}"),
            reason,
            format!("`millstream describe {pipeline}` shows each partition"),
        ));
    }
    findings
}

/// A log stream. `clustered`: whether the server could keep more than one copy.
pub fn log(stream: &StreamFacts, clustered: bool) -> Vec<Finding> {
    let check = format!("log {}", stream.name);
    let mut findings = Vec::new();
    if !stream.has_leader {
        findings.push(Finding::fail(
            &check,
            "has no leader",
            "bring the servers of its replicas back",
        ));
    }
    if stream.retention != Retention::Limits
        || !stream.discard_new
        || !stream.age_max.is_zero()
        || stream.limits_messages
    {
        findings.push(Finding::fail(
            &check,
            "its settings let the server drop records",
            "set retention `limits`, discard `new` and no limits on age and messages",
        ));
    }
    if stream.replicas_behind > 0 {
        findings.push(Finding::warn(
            &check,
            format!("{} of {} replicas are offline or behind", stream.replicas_behind, stream.replicas),
            "look at `nats stream cluster`; until they catch up, losing another one stops the pipeline",
        ));
    }
    if let Some(limit) = stream.bytes.limit {
        let found = format!("{} of {} used", units::bytes(stream.bytes.used), units::bytes(limit));
        let advice = "raise its quota; a full log stops the pipeline";
        findings.push(fill(&check, stream.bytes.used, limit, found, advice));
    }
    findings.push(replicas(&check, stream.replicas, clustered));
    findings
}

fn replicas(check: &str, replicas: usize, clustered: bool) -> Finding {
    let found = format!("{replicas} {}", if replicas == 1 { "replica" } else { "replicas" });
    match (replicas, clustered) {
        (1, true) => Finding::warn(
            check,
            found,
            "set 3 replicas (`nats stream edit --replicas 3`): with one, losing its server loses the pipeline",
        ),
        (1, false) => Finding::warn(
            check,
            format!("{found} on a single server"),
            "good for development; in production use a cluster of 3 servers and 3 replicas",
        ),
        (2, _) => Finding::warn(
            check,
            found,
            "set 3 replicas: of two, losing either one stops the pipeline",
        ),
        _ => Finding::ok(check, found),
    }
}

/// A stream that a pipeline reads.
pub fn source(end: &EndFacts) -> Finding {
    let check = format!("source {}", end.name);
    let Some(stream) = &end.stream else {
        let advice = format!("create it: `nats stream add {}`", end.wanted);
        return Finding::fail(check, format!("stream {} does not exist", end.wanted), advice);
    };
    let found = match stream.retention {
        Retention::Limits => format!("stream {}", stream.name),
        Retention::Interest | Retention::WorkQueue => format!("stream {}, a queue", stream.name),
    };
    Finding::ok(check, found)
}

fn transactional_sink(check: String, end: &EndFacts) -> Finding {
    match &end.stream {
        None => Finding::fail(
            check,
            format!("stream {} does not exist", end.wanted),
            "restart the pipeline: it makes the stream, but begins anew in it",
        ),
        Some(stream) if !stream.allows_atomic => Finding::fail(
            check,
            format!("stream {}, allow_atomic = false", stream.name),
            "set `allow_atomic`: a transactional sink publishes in atomic batches",
        ),
        Some(stream) => Finding::ok(check, format!("stream {}, atomic batches", stream.name)),
    }
}

/// A stream that a pipeline writes.
pub fn sink(end: &EndFacts) -> Finding {
    let check = format!("sink {}", end.name);
    if end.transactional {
        return transactional_sink(check, end);
    }
    let Some(stream) = &end.stream else {
        return Finding::fail(
            check,
            format!("no stream captures subject {}", end.wanted),
            format!("create one: `nats stream add --subjects '{}'`", end.wanted),
        );
    };
    if stream.retention != Retention::Limits {
        return Finding::fail(
            check,
            format!("stream {} removes messages that were acknowledged", stream.name),
            "use a stream with retention `limits`: what was published must be readable again after a crash",
        );
    }
    let window = stream.duplicate_window;
    let found = format!("stream {}, duplicate_window {}", stream.name, units::duration(window));
    if window.is_zero() {
        return Finding::fail(
            check,
            found,
            "set a `duplicate_window`: without one outputs are published twice after a crash",
        );
    }
    if window < DUPLICATE_WINDOW_MIN {
        return Finding::warn(
            check,
            found,
            "raise it to 2m or more: exactly once holds for stalls shorter than the window",
        );
    }
    Finding::ok(check, found)
}

/// The data folder.
pub fn disk(facts: &DiskFacts) -> Finding {
    let check = format!("data folder {}", facts.folder);
    if let Err(reason) = &facts.writable {
        return Finding::fail(
            check,
            format!("cannot be written: {reason}"),
            "correct its owner and mode",
        );
    }
    match &facts.space {
        Err(reason) => {
            Finding::unknown(check, format!("free space: {reason}"), "look with `df -h`")
        }
        Ok((free, total)) => {
            let found = format!("{} of {} free", units::bytes(*free), units::bytes(*total));
            let advice = "free space, or move the data folder: checkpoints and databases must fit";
            match *free {
                free if free < DISK_BYTES_FAIL => Finding::fail(check, found, advice),
                free if free < DISK_BYTES_WARN => Finding::warn(check, found, advice),
                _ => Finding::ok(check, found),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn stream() -> StreamFacts {
        StreamFacts {
            name: "S".to_owned(),
            replicas: 3,
            retention: Retention::Limits,
            discard_new: true,
            age_max: Duration::ZERO,
            limits_messages: false,
            bytes: Usage::default(),
            duplicate_window: Duration::from_secs(120),
            allows_atomic: false,
            has_leader: true,
            replicas_behind: 0,
        }
    }

    fn end(stream: Option<StreamFacts>) -> EndFacts {
        let (name, wanted) = ("fraud/alerts".to_owned(), "alerts".to_owned());
        EndFacts { name, wanted, stream, transactional: false }
    }

    fn worst(findings: &[Finding]) -> Level {
        findings.iter().map(|finding| finding.level).max().expect("a finding")
    }

    #[test]
    fn versions() {
        let level = |text| version(text).level;
        assert_eq!(
            ["2.9.10", "2.12.0", "2.14.0", "2.15.1"].map(level),
            [Level::Fail, Level::Warn, Level::Ok, Level::Ok]
        );
    }

    #[test]
    fn payload_limits() {
        let level = |bytes| payload(bytes).level;
        assert_eq!(
            [65_536, 1 << 20, 8 << 20, 64 << 20].map(level),
            [Level::Warn, Level::Ok, Level::Ok, Level::Warn]
        );
    }

    #[test]
    fn space_is_judged_by_its_share() {
        let level = |used| space("x", Usage { used, limit: Some(1_000) }, "").level;
        assert_eq!([0, 799, 800, 950].map(level), [Level::Ok, Level::Ok, Level::Warn, Level::Fail]);
        assert_eq!(space("x", Usage { used: u64::MAX, limit: None }, "").level, Level::Ok);
        assert_eq!(space("x", Usage { used: 0, limit: Some(0) }, "").level, Level::Fail);
    }

    #[test]
    fn a_log_that_may_drop_records_fails() {
        assert_eq!(worst(&log(&stream(), true)), Level::Ok);
        for broken in [
            StreamFacts { discard_new: false, ..stream() },
            StreamFacts { retention: Retention::Interest, ..stream() },
            StreamFacts { age_max: Duration::from_secs(1), ..stream() },
            StreamFacts { limits_messages: true, ..stream() },
            StreamFacts { has_leader: false, ..stream() },
            StreamFacts { bytes: Usage { used: 99, limit: Some(100) }, ..stream() },
        ] {
            assert_eq!(worst(&log(&broken, true)), Level::Fail, "{broken:?}");
        }
        for weak in [
            StreamFacts { replicas: 1, ..stream() },
            StreamFacts { replicas: 2, ..stream() },
            StreamFacts { replicas_behind: 1, ..stream() },
        ] {
            assert_eq!(worst(&log(&weak, true)), Level::Warn, "{weak:?}");
        }
    }

    #[test]
    fn sinks_need_a_window() {
        let level = |stream| sink(&end(stream)).level;
        let window = |s| Some(StreamFacts { duplicate_window: Duration::from_secs(s), ..stream() });
        assert_eq!(level(None), Level::Fail);
        assert_eq!(level(window(0)), Level::Fail);
        assert_eq!(level(window(5)), Level::Warn);
        assert_eq!(level(window(120)), Level::Ok);
        let queue = StreamFacts { retention: Retention::WorkQueue, ..stream() };
        assert_eq!(level(Some(queue)), Level::Fail);
    }

    #[test]
    fn transactional_sinks_need_atomic_batches_and_no_window() {
        let level = |allows_atomic| {
            let stream =
                StreamFacts { allows_atomic, duplicate_window: Duration::ZERO, ..stream() };
            sink(&EndFacts { transactional: true, ..end(Some(stream)) }).level
        };
        assert_eq!((level(true), level(false)), (Level::Ok, Level::Fail));
        let missing = EndFacts { transactional: true, ..end(None) };
        assert_eq!(sink(&missing).level, Level::Fail);
    }

    #[test]
    fn every_bad_finding_says_what_to_do() {
        let mut findings =
            server(&ServerFacts { version: "2.9".to_owned(), ..ServerFacts::default() });
        findings.extend(log(&StreamFacts { replicas: 1, discard_new: false, ..stream() }, false));
        findings.push(source(&end(None)));
        findings.push(disk(&DiskFacts {
            folder: "d".to_owned(),
            space: Ok((1, 2)),
            writable: Ok(()),
        }));
        for finding in findings {
            assert_eq!(finding.advice.is_none(), finding.level == Level::Ok, "{finding:?}");
        }
    }
}
