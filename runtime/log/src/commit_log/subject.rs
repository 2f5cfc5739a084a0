//! Where a partition's records lie: `millstream.log.<pipeline>.<stage>.<partition>`
//! in the stream `MILLSTREAM_LOG_<pipeline>`.

use std::fmt;

use async_nats::Subject;

use crate::Name;

/// The subject of one partition's records.
#[derive(Clone, PartialEq, Eq)]
pub struct PartitionSubject(Subject);

impl PartitionSubject {
    /// The subject of partition `partition` (counted from 0) of a stage.
    pub fn new(pipeline: &Name, stage: &Name, partition: u16) -> PartitionSubject {
        PartitionSubject(format!("millstream.log.{pipeline}.{stage}.{partition}").into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// As the client library wants it; cheap.
    pub(crate) fn subject(&self) -> Subject {
        self.0.clone()
    }
}

impl fmt::Display for PartitionSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PartitionSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The log stream of a pipeline.
pub fn stream_name(pipeline: &Name) -> String {
    format!("MILLSTREAM_LOG_{pipeline}")
}

/// The one subject filter of that stream: all stages and partitions.
pub fn stream_subjects(pipeline: &Name) -> String {
    format!("millstream.log.{pipeline}.*.*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_lies_within_its_stream() {
        let (pipeline, stage) = (Name::new("cards").unwrap(), Name::new("fraud").unwrap());
        assert_eq!(
            PartitionSubject::new(&pipeline, &stage, 3).as_str(),
            "millstream.log.cards.fraud.3"
        );
        assert_eq!(stream_name(&pipeline), "MILLSTREAM_LOG_cards");
        assert_eq!(stream_subjects(&pipeline), "millstream.log.cards.*.*");
    }
}
