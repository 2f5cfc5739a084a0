//! Guests with a crate of their own in `tests/guests`.

use crate::Ends::Refused;
use crate::Refusal::*;
use crate::modes::modes;

modes! { $
    /// A guest that is a crate of its own: what it has or lacks is decided when it is linked.
    Built, for_each_built;

    /// Never answers `describe`.
    DescribeLoop = "describe-loop" => Refused(Describe, "out of fuel: the limit of a call is 100000000");
    /// Has a name in its description that is not allowed.
    DescribeBad = "describe-bad" => Refused(Description, "the name \"Bad Name\" is not");
    /// Imports the network.
    ForbiddenImport = "forbidden-import" => Refused(ForbiddenImport, "a UDF has no network");
    /// Exports another interface.
    NotAUdf = "not-a-udf" => Refused(NoGuest, "the component exports other:thing/greeter@1.0.0");
    /// Exports the contract in another version.
    WrongVersion = "wrong-version" => Refused(NoGuest, "millstream:udf/guest@0.9.0");
}
