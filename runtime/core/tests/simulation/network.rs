//! What owners and servers say to each other.

use bytes::Bytes;
use millstream_core::append::AppendReply;
use millstream_core::egress::{Batch, Publication};
use millstream_core::ids::Sequence;
use millstream_core::recovery::StoredRecord;
use millstream_core::source::StreamFacts;

use crate::cluster::{NodeEvent, NodeId};
use crate::operator::Database;
use crate::rescale::RescaleEvent;
use crate::servers::sink::CursorEntry;
use crate::servers::source::Pulled;

/// Index of an owner in the world; never used twice.
pub type OwnerId = usize;

#[derive(Clone, Debug)]
pub enum Request {
    Tail,
    Record(Sequence),
    Records(Sequence),
    Append {
        message: Bytes,
        expected: Sequence,
    },
    Restore,
    Attach {
        last_read: Sequence,
        start: Sequence,
    },
    Pull {
        consumer: u64,
    },
    /// The next commits of an upstream lane.
    Commits {
        reader: usize,
        partition: u16,
        lane: u16,
    },
    ReadSink {
        sink: usize,
        above: Sequence,
    },
    Publish {
        sink: usize,
        publication: Publication,
    },
    PublishBatch {
        sink: usize,
        batch: Batch,
    },
    ReadRecord {
        sink: usize,
        asked_at_ms: i64,
    },
}

#[derive(Clone, Debug)]
pub enum Reply {
    Tail(Option<StoredRecord>),
    Record(Option<StoredRecord>),
    Records(Vec<StoredRecord>),
    Append(AppendReply),
    Restored(Option<Database>),
    Attached {
        facts: StreamFacts,
        consumer: u64,
    },
    Pulled(Pulled),
    /// Some of them in order without omissions; the last one in the log is at `through`.
    Commits {
        reader: usize,
        partition: u16,
        records: Vec<StoredRecord>,
        through: Sequence,
    },
    SinkRead {
        sink: usize,
        ids: Vec<(String, Sequence)>,
    },
    Published {
        sink: usize,
        ticket: u64,
        sequence: Sequence,
    },
    /// Where the batch's cursor record is, or none: another one is the last.
    BatchPublished {
        sink: usize,
        sequence: Option<Sequence>,
    },
    RecordRead {
        sink: usize,
        asked_at_ms: i64,
        record: Option<CursorEntry>,
    },
}

/// What happens at a time.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request reaches its server.
    Arrives {
        owner: OwnerId,
        connection: Option<u64>,
        request_id: u64,
        request: Request,
    },
    /// Something reaches an owner.
    Owner(OwnerId, OwnerEvent),
    Resume(OwnerId),
    Elect {
        lane: u16,
        forced: bool,
    },
    Produce,
    Fault(usize),
    Checkpoint,
    CheckpointStored {
        owner: OwnerId,
        database: Database,
    },
    Trim,
    Node(NodeId, NodeEvent),
    Rescale(RescaleEvent),
    BrokerUp,
    QuotaFreed,
    Check,
}

#[derive(Clone, Debug)]
pub enum OwnerEvent {
    Reply {
        connection: u64,
        request_id: u64,
        reply: Reply,
    },
    TimeOut {
        request_id: u64,
    },
    /// A wait is over, or the broker is back.
    Send(Request),
    Tick,
    /// The operator has more to do.
    Turn,
}
