//! Modules that are costly to compile. They are compiled in a process of its own, as a node does.

use crate::Ends::Refused;
use crate::Refusal::*;
use crate::modes::modes;

modes! { $
    /// A module that is costly to compile.
    Bomb, for_each_bomb;

    /// Has 60,000 functions.
    ManyFunctions = "many-functions" => Refused(NoGuest, "the component exports nothing");
    /// Has a function of 4 MB.
    HugeFunction = "huge-function" => Refused(NoGuest, "the component exports nothing");
    /// Has a function of 20,000 variables that are set in 2,000 branches.
    ManyLocals = "many-locals" => Refused(TooCostly, "compiling the module took more than 2048 MiB of memory");
    /// Has 100,000 blocks within one another.
    DeepNesting = "deep-nesting" => Refused(NoGuest, "the component exports nothing");
    /// Has a jump table of 65,000 targets in each of 30 functions.
    JumpTables = "jump-tables" => Refused(NoGuest, "the component exports nothing");
    /// Has 10 MB of data that is copied at every start.
    HugeData = "huge-data" => Refused(NoGuest, "the component exports nothing");
    /// Has components in components, each of which has the next one twice: 2 to the power of 24 instances.
    Doubling = "doubling" => Refused(TooCostly, "compiling the module took more than 2048 MiB of memory");
}
