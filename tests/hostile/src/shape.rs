//! What the guest `shaped` is: wrong before or around its calls.

use crate::Ends::{Answers, Refused, Trapped};
use crate::Refusal::{Describe, Description};
use crate::modes::modes;

/// Where the name of the shape stands in the guest's file, filled up with underscores.
pub const MARKER: &[u8; 40] = b"shape:plain_____________________________";
/// What the marker begins with; the name follows.
const PREFIX: &[u8] = b"shape:";

modes! { $
    /// What the guest `shaped` is. It is called with one record unless it is refused.
    Shape, for_each_shape;

    /// Does nothing wrong.
    Plain = "plain" => Answers("");
    /// Loops while it is instantiated, before `describe`.
    StartLoop = "start-loop" => Refused(Describe, "out of fuel: the limit of a call is 100000000");
    /// Traps while it is instantiated.
    StartTrap = "start-trap" => Refused(Describe, "unreachable");
    /// Takes memory without end while it is instantiated.
    StartMemory = "start-memory" => Refused(Describe, "out of memory");
    /// Uses a state while it is instantiated, when none is declared yet.
    StartState = "start-state" => Refused(Describe, "state 0 is used; 0 are declared");
    /// Panics in `describe`.
    DescribeTrap = "describe-trap" => Refused(Describe, "panic: ");
    /// Calls itself without end in `describe`.
    DescribeRecursion = "describe-recursion" => Refused(Describe, "stack overflow");
    /// Takes memory without end in `describe`.
    DescribeMemory = "describe-memory" => Refused(Describe, "out of memory");
    /// Logs without end in `describe`.
    DescribeLog = "describe-log" => Refused(Describe, "out of fuel");
    /// Uses a state in `describe`, when none is declared yet.
    DescribeState = "describe-state" => Refused(Describe, "state 0 is used; 0 are declared");
    /// Has a name of 40 MiB.
    DescribeHugeName = "describe-huge-name" => Refused(Description, "is not 1 to 64 lower-case letters");
    /// Has a name with what would clear a terminal.
    DescribeEscapes = "describe-escapes" => Refused(Description, "\\u{1b}[2J");
    /// Has a version of 40 MiB.
    DescribeHugeVersion = "describe-huge-version" => Refused(Description, "is not a semantic version");
    /// Declares 100,000 states.
    DescribeStates = "describe-states" => Refused(Description, "there are 100000 states; the limit is 32");
    /// Declares 100,000 fields of an input.
    DescribeFields = "describe-fields" => Refused(Description, "there are 100000 fields; the limit is 64");
    /// Declares 1,000 inputs that all have the same 40,000 fields.
    DescribeAliased = "describe-aliased" => Refused(Describe, "too much data is being copied");
    /// Says that its list of inputs has 4,294,967,295 elements.
    DescribeLengthMax = "describe-length-max" => Refused(Describe, "list pointer/length out of bounds of memory");
    /// Returns a description beyond its memory.
    DescribePointer = "describe-pointer" => Refused(Describe, "out of bounds");
    /// Has a name that is not UTF-8.
    DescribeNotText = "describe-not-text" => Refused(Describe, "utf-8");
    /// Has a capability of a number that the contract does not have.
    DescribeUnknown = "describe-unknown" => Refused(Describe, "unexpected discriminant: 255");
    /// Answers `process` with a place beyond its memory.
    FramePointer = "frame-pointer" => Trapped("out of bounds");
    /// Answers with a place that is not aligned.
    FrameUnaligned = "frame-unaligned" => Trapped("pointer not aligned");
    /// Answers with neither effects nor a failure.
    FrameDiscriminant = "frame-discriminant" => Trapped("invalid expected discriminant");
    /// Says that it has 4,294,967,295 outputs.
    FrameLengthMax = "frame-length-max" => Trapped("list pointer/length out of bounds of memory");
    /// Has outputs that begin within the memory and end beyond it.
    FrameEndOut = "frame-end-out" => Trapped("list pointer/length out of bounds of memory");
    /// Has lists that lie where the frame itself lies.
    FrameOverlap = "frame-overlap" => Trapped("emitted has 2 entries; there are 0 outputs declared");
    /// Fails with a message that is not UTF-8.
    FrameNotText = "frame-not-text" => Trapped("utf-8");
    /// Fails with a message of 4,294,967,295 bytes.
    FrameMessageMax = "frame-message-max" => Trapped("out of bounds");
    /// Gives the host memory for the batch that it does not have.
    ReallocOut = "realloc-out" => Trapped("realloc return: beyond end of memory");
    /// Gives the host memory that is not aligned.
    ReallocUnaligned = "realloc-unaligned" => Trapped("realloc return: result not aligned");
    /// Gives the host the same memory for everything.
    ReallocSame = "realloc-same" => Answers("");
    /// Loops when the host wants memory.
    ReallocLoop = "realloc-loop" => Trapped("out of fuel: the limit of a call is 10000000");
    /// Traps when the host wants memory.
    ReallocTrap = "realloc-trap" => Trapped("unreachable");
    /// Uses state when the host wants memory.
    ReallocState = "realloc-state" => Trapped("cannot leave component instance");
    /// Loops after it has answered, when the host gives the answer's memory back.
    PostReturnLoop = "post-return-loop" => Trapped("out of fuel: the limit of a call is 10000000");
    /// Traps after it has answered.
    PostReturnTrap = "post-return-trap" => Trapped("unreachable");
    /// Counts under names without end.
    MetricNames = "metric-names" => Trapped("the metric name50 is one too many; the limit is 50 names");
    /// Counts under a name of 1 MiB.
    MetricHugeName = "metric-huge-name" => Trapped("is not 1 to 64 characters");
    /// Counts without end under one name.
    MetricFlood = "metric-flood" => Trapped("out of fuel");
    /// Counts more than 64 bits hold, and measures what is no number.
    MetricValues = "metric-values" => Answers("");
}

impl Shape {
    /// The file of the guest `shaped` with this shape. Panics if it is another guest's file.
    pub fn written_into(self, mut wasm: Vec<u8>) -> Vec<u8> {
        let at = wasm.windows(MARKER.len()).position(|bytes| bytes == MARKER);
        let at = at.expect("the marker stands in the guest `shaped`");
        let place = &mut wasm[at + PREFIX.len()..at + MARKER.len()];
        place.fill(b'_');
        place[..self.name().len()].copy_from_slice(self.name().as_bytes());
        wasm
    }

    /// The shape that a marker names.
    pub fn of_marker(marker: &[u8; 40]) -> Option<Self> {
        let name = std::str::from_utf8(&marker[PREFIX.len()..]).ok()?;
        Self::from_name(name.trim_end_matches('_'))
    }
}
