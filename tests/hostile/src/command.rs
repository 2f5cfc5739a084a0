//! What the guest `misbehave` does with a record.

use crate::Ends::{Answers, Failed, Trapped};
use crate::modes::modes;

modes! { $
    /// What the guest `misbehave` does with a record whose field `do` has this name. Those that end with [`Answers`] also
    /// echo the name, as the guest does with everything else.
    Command, for_each_command;

    /// Returns a failure.
    Fail = "fail" => Failed("as told");
    /// Returns a failure with a message of 200,000 bytes.
    FailLong = "fail-long" => Failed("ää");
    /// Returns a failure with the lines of a protocol's headers and what would clear a terminal.
    FailForged = "fail-forged" => Failed("Nats-Msg-Id: forged");
    /// Blames a record that is not in the batch.
    FailElsewhere = "fail-elsewhere" => Trapped("record 1000000 fails; the call has 1 records");
    /// Panics.
    Panic = "panic" => Trapped("panic: ");
    /// Logs a message at level error and aborts, as the SDK's panic hook does.
    PanicWithLog = "panic-with-log" => Trapped("panic: panicked at src/udf.rs:1:2: told to");
    /// Panics with a message of 1 MiB.
    PanicLong = "panic-long" => Trapped("xxxx");
    /// Executes `unreachable`.
    Unreachable = "unreachable" => Trapped("trap: wasm `unreachable` instruction executed");
    /// Exits the process.
    Exit = "exit" => Trapped("exit is called; a UDF returns");
    /// Divides by zero.
    Divide = "divide" => Trapped("attempt to divide by zero");
    /// Loops.
    Loop = "loop" => Trapped("out of fuel: the limit of a call is 10000000");
    /// Counts to 100,000, which is allowed.
    Spin = "spin" => Answers("");
    /// Calls itself until its stack in linear memory is full.
    Recurse = "recurse" => Trapped("stack overflow");
    /// Calls itself until the machine's stack is full.
    RecursePlainly = "recurse-plainly" => Trapped("stack overflow: the limit is 524288");
    /// Takes memory without end.
    MemoryBomb = "memory-bomb" => Trapped("out of memory");
    /// Reads beyond its memory.
    OutOfBounds = "out-of-bounds" => Trapped("out of bounds memory access");
    /// Grows its memory page by page until it may not, which is at the same page everywhere.
    MemorySize = "memory-size" => Answers("pages: 1024");
    /// Fills 2 MiB with a secret.
    MemoryFill = "memory-fill" => Answers("");
    /// Takes 2 MiB and looks for what another instance left there.
    MemorySearch = "memory-search" => Answers("left by others: 0");
    /// Counts its calls in memory that outlives them.
    Remember = "remember" => Answers("calls in this memory: 1");
    /// Emits until something stops it.
    OutputWithoutEnd = "output-without-end" => Trapped("out of ");
    /// Writes 100,000 log messages.
    LogFlood = "log-flood" => Trapped("out of fuel");
    /// Writes 100 log messages of 4 KiB.
    LogBig = "log-big" => Answers("xxxx");
    /// Writes a log message of 1 MiB.
    LogTooBig = "log-too-big" => Answers("xxxx");
    /// Writes a log message that looks like another line and would clear a terminal.
    LogForged = "log-forged" => Answers("forged");
    /// Prints lines without end.
    PrintFlood = "print-flood" => Trapped("out of fuel");
    /// Prints 1 MiB without the end of a line.
    PrintEndlessLine = "print-endless-line" => Answers("yyyy");
    /// Prints to both streams.
    Print = "print" => Answers("to stdout");
    /// Reads a file.
    File = "file" => Answers("file: ");
    /// Looks for environment variables and arguments.
    Environment = "environment" => Answers("environment: 0");
    /// Reads the clock, which stands at the batch's processing time.
    Clock = "clock" => Answers("clock: ");
    /// Reads the clock without end.
    ClockFlood = "clock-flood" => Trapped("out of fuel");
    /// Measures how long a loop takes.
    Stopwatch = "stopwatch" => Answers("elapsed: 0");
    /// Sleeps for an hour.
    Sleep = "sleep" => Trapped("subscribe-duration is called, which UDFs do not get");
    /// Starts a thread.
    Thread = "thread" => Answers("thread: ");
    /// Hashes with the standard library's random seed.
    Hash = "hash" => Answers("hash: ");
    /// Computes what is not a number in five ways and looks at the bits.
    NanBits = "nan-bits" => Answers("nan: 7ff8000000000000 7ff8000000000000 7ff8000000000000 7ff8000000000000 7ff8000000000000");
    /// Logs its configuration.
    Config = "config" => Answers("{}");
    /// Counts without having declared that it counts.
    Metrics = "metrics" => Trapped("metrics is used, but the description does not list the capability");

    /// Uses state 99 of 3.
    StateUnknown = "state-unknown" => Trapped("state 99 is used; 3 are declared");
    /// Uses state 4,294,967,295.
    StateMax = "state-max" => Trapped("state 4294967295 is used; 3 are declared");
    /// Uses a map as a list.
    StateOfOtherKind = "state-of-other-kind" => Trapped("state 2 is a map, not a list");
    /// Uses the state of a key that is not in the batch.
    StateOfNoKey = "state-of-no-key" => Trapped("key 1000000 is used; the call has 1 keys");
    /// Uses the state of key 4,294,967,295.
    StateOfKeyMax = "state-of-key-max" => Trapped("key 4294967295 is used; the call has 1 keys");
    /// Reads the state of the key behind the last.
    StateOfNextKey = "state-of-next-key" => Trapped("key 1 is used; the call has 1 keys");
    /// Writes an entry with a key of 1,025 bytes.
    StateEntryTooLong = "state-entry-too-long" => Trapped("an entry's key has 1025 bytes; the limit is 1024");
    /// Writes an entry with a key of 4 MiB.
    StateEntryHuge = "state-entry-huge" => Trapped("an entry's key has 4194304 bytes; the limit is 1024");
    /// Scans behind a key of 1,025 bytes.
    StateAfterTooLong = "state-after-too-long" => Trapped("an entry's key has 1025 bytes; the limit is 1024");
    /// Appends an item of more than 1 MiB.
    StateItemTooLong = "state-item-too-long" => Trapped("an element has 1048577 bytes; the limit is 1048576");
    /// Reads no items.
    StateLimitZero = "state-limit-zero" => Trapped("0 items are read at once; 1 to 1000 are possible");
    /// Reads 4,294,967,295 items.
    StateLimitMax = "state-limit-max" => Trapped("4294967295 items are read at once; 1 to 1000 are possible");
    /// Reads a list from its last possible item on.
    StateStartMax = "state-start-max" => Answers("items: 0");
    /// Reads 1,000 items of a list.
    StateReadList = "state-read-list" => Answers("");
    /// Reads 1,000 entries of a map.
    StateReadMap = "state-read-map" => Answers("");
    /// Sets an item that a list does not have.
    StateSetBeyond = "state-set-beyond" => Trapped("item 1000000 is set in a list of 0");
    /// Uses lists and maps as is allowed.
    State = "state" => Answers("");
    /// Clears them.
    StateClear = "state-clear" => Answers("");
    /// Asks for the length of a list without end.
    StateFlood = "state-flood" => Trapped("out of fuel");
    /// Puts entries into a map without end.
    StatePutFlood = "state-put-flood" => Trapped("out of fuel");
    /// Puts values of 1 MiB into a map without end.
    StatePutBig = "state-put-big" => Trapped("out of fuel");
    /// Appends to a list without end.
    StateAppendFlood = "state-append-flood" => Trapped("out of fuel");
    /// Puts 1,000 entries into a map and clears it, without end.
    StateClearFlood = "state-clear-flood" => Trapped("out of fuel");
    /// Scans a map of 1,000 entries without end.
    StateScanFlood = "state-scan-flood" => Trapped("out of fuel");
    /// Writes 4 MiB of entries, more than a commit holds: allowed in a call, and a dead letter behind it.
    StateMuch = "state-much" => Answers("");

    /// Names a record as a cause that is not in the batch.
    BadCause = "bad-cause" => Trapped("emitted for echo: a cause is 1000000; the call has 1 records");
    /// Names causes that do not ascend.
    DescendingCauses = "descending-causes" => Trapped("the causes do not ascend");
    /// Ends an item beyond the data.
    BadEnds = "bad-ends" => Trapped("the last end is 4294967295");
    /// Has less data than its items.
    ShortData = "short-data" => Trapped("the last end is 10; there are 9 bytes of data");
    /// Emits text that is not UTF-8.
    NonUtf8 = "non-utf8" => Trapped("field did: item 0 is not UTF-8");
    /// Ends an item within a character.
    SplitUtf8 = "split-utf8" => Trapped("is not UTF-8");
    /// Emits numbers where text is declared.
    WrongKind = "wrong-kind" => Trapped("field n: the values are not those of S64");
    /// Has fewer values than records.
    ShortColumn = "short-column" => Trapped("field n: the column has 0 items; there are 1 causes");
    /// Leaves out what must be there.
    Absent = "absent" => Trapped("field did: item 0 is absent and the field is not optional");
    /// Has more presence bits than items.
    LongPresence = "long-presence" => Trapped("1000 bytes of presence bits do not fit 1 items");
    /// Has no columns.
    NoColumns = "no-columns" => Trapped("columns has 0 entries; there are 2 fields declared");
    /// Has no outputs.
    NoOutputs = "no-outputs" => Trapped("emitted has 0 entries; there are 2 outputs declared");
    /// Has 10,002 outputs.
    ManyOutputs = "many-outputs" => Trapped("emitted has 10002 entries");
    /// Has 1,000 outputs in the same 16 MiB.
    Overlap = "overlap" => Trapped("too much data is being copied");
    /// Emits broken JSON.
    BadJson = "bad-json" => Trapped("emitted for json: field value: item 0 is not a JSON document");
    /// Emits JSON of 200,000 arrays within one another.
    DeepJson = "deep-json" => Trapped("emitted for json: field value: item 0 is not a JSON document");
    /// Emits JSON with the escape of half a character, which the grammar allows.
    LoneSurrogate = "lone-surrogate" => Answers("");
    /// Emits JSON.
    Json = "json" => Answers("");
    /// Emits 3 MiB.
    HugeOutput = "huge-output" => Trapped("3145736 bytes are emitted; the limit for 1 records is 1048576");
    /// Emits 1,000 items.
    ManyItems = "many-items" => Trapped("1000 items are emitted; the limit for 1 records is 100");
    /// Writes its value, and nothing else.
    WriteCount = "write-count" => Answers("");
    /// Writes the value of a key that is not in the batch.
    BadKey = "bad-key" => Trapped("written to count: key 1000000 is written; the call has 1 keys");
    /// Writes the value of a key twice.
    KeyTwice = "key-twice" => Trapped("key 0 is written twice");
    /// Writes the values of 50,000 keys.
    KeysWithoutEnd = "keys-without-end" => Trapped("is written; the call has 1 keys");
    /// Writes a value of more than 1 MiB.
    ValueTooLong = "value-too-long" => Trapped("the value of key 0 has 1048577 bytes; the limit is 1048576");
    /// Writes to a state that it has not declared.
    WriteUndeclared = "write-undeclared" => Trapped("written has 2 entries; there are 1 value states declared");
    /// Deletes its value.
    Delete = "delete" => Answers("");
    /// Sets a timer and deletes one.
    Timer = "timer" => Answers("");
    /// Sets a timer that it has not declared.
    BadTimer = "bad-timer" => Trapped("timer 7 is changed; 1 are declared");
    /// Sets a timer for a record that is not in the batch.
    BadTimerCause = "bad-timer-cause" => Trapped("timer changes: a cause is 9999999");
    /// Sets a timer without a time.
    ShortTimers = "short-timers" => Trapped("there are 1 causes, 1 timers and 0 times");
    /// Sets 100,000 timers.
    TimerFlood = "timer-flood" => Trapped("there are 100000; the limit for 1 records is 100");
    /// Sets timers for the first and the last possible time.
    TimerExtremes = "timer-extremes" => Answers("");
    /// Panics when the timer fires that it sets.
    TimerPanic = "timer-panic" => Trapped("thirteen");
    /// Loops when the timer fires that it sets.
    TimerLoop = "timer-loop" => Trapped("out of fuel: the limit of a call is 10000000");
    /// Fails when the timer fires that it sets.
    TimerFail = "timer-fail" => Failed("as the timer was told");
}

impl Command {
    /// The event time, in milliseconds, of the timer that this is about, if it is about one.
    pub fn timer(self) -> Option<i64> {
        match self {
            Self::TimerPanic => Some(13),
            Self::TimerLoop => Some(14),
            Self::TimerFail => Some(15),
            _ => None,
        }
    }
}
