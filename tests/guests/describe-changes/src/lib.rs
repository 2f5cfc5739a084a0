//! Describes itself differently once it has the stage's configuration.

use guest_kit::*;

struct DescribeChanges;

impl Guest for DescribeChanges {
    fn describe() -> Description {
        let mut description = described("describe-changes");
        description.capabilities.push(Capability::Config);
        if config::get() != "{}" {
            description.version = "0.2.0".into();
        }
        description
    }

    fn process(_records: Batch) -> Result<Effects, Failure> {
        Ok(nothing(0, 0))
    }

    fn on_timer(_timers: TimerBatch) -> Result<Effects, Failure> {
        Ok(nothing(0, 0))
    }
}

guest_kit::export!(DescribeChanges with_types_in guest_kit);
