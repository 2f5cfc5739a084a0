//! Seals the log of a pipeline that rests behind a savepoint: whoever still goes on in that life is refused, until its record has been
//! written anew (`millstream_core::seal`).

use std::time::Duration;

use bytes::Bytes;
use millstream_core::commit::CommitRecord;
use millstream_core::ids::{Incarnation, Sequence};
use millstream_core::recovery::StoredRecord;
use millstream_core::seal::{Rest, Seal, Sealing, sealing};
use millstream_log::Name;
use millstream_log::commit_log::{CommitLog, PartitionSubject};

use super::document::Savepoint;
use crate::crash::{Step, around};
use crate::planted::{self, Bug};

/// Wait before a record is read again that a replica did not have yet, or that was not acknowledged; and how often it is.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
const TRIES: u32 = 150;

/// Seals all partitions, in `log`. When it fails, some may be sealed.
pub async fn seal(
    log: &dyn CommitLog,
    name: &Name,
    saved: &Savepoint,
    pipeline: Incarnation,
    seal: &Seal,
) -> Result<(), String> {
    if planted::is(Bug::SealNotAppended) {
        return Ok(());
    }
    for stage in &saved.stages {
        let stage_name = Name::new(&stage.name).map_err(text)?;
        for (partition, saved) in (0..).zip(&stage.partitions) {
            let standing = Bytes::from(saved.standing()?);
            let rest = Rest::of(&CommitRecord::decode(&standing).map_err(text)?);
            let subject = PartitionSubject::new(name, &stage_name, partition);
            let sealed = partition_seal(log, &subject, pipeline, seal, &rest).await;
            sealed
                .map_err(|error| format!("stage `{stage_name}` partition {partition}: {error}"))?;
        }
    }
    Ok(())
}

async fn partition_seal(
    log: &dyn CommitLog,
    subject: &PartitionSubject,
    pipeline: Incarnation,
    seal: &Seal,
    rest: &Rest,
) -> Result<(), String> {
    let mut reason = String::new();
    for _ in 0..TRIES {
        match log.last(subject).await {
            Err(error) => reason = error.to_string(),
            Ok(last) => {
                let last = last.map(|e| StoredRecord { sequence: e.sequence, message: e.bytes });
                match sealing(seal, rest, pipeline, last.as_ref()).map_err(text)? {
                    Sealing::Sealed => return Ok(()),
                    Sealing::MovedOn { number, .. } => {
                        return Err(format!("it has gone on, to commit {}", number.0));
                    }
                    Sealing::ReadAgain => {
                        "its last record is not to be seen".clone_into(&mut reason)
                    }
                    Sealing::Append { message, expected } => {
                        append(log, subject, expected, message).await;
                        // Whatever the answer: the last record tells what became of it.
                        "the seal is not acknowledged".clone_into(&mut reason);
                        continue;
                    }
                }
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
    Err(reason)
}

async fn append(
    log: &dyn CommitLog,
    subject: &PartitionSubject,
    expected: Sequence,
    message: Bytes,
) {
    let answer = around(Step::AppendTakeover, log.append(subject, expected, message)).await;
    tracing::debug!(%subject, ?answer, "seal");
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
