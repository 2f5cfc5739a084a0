//! Describes itself in ways that are not allowed.

use guest_kit::*;

struct DescribeBad;

impl Guest for DescribeBad {
    fn describe() -> Description {
        let mut description = described("Bad Name");
        description.outputs = vec![
            Output { name: "twice".into(), fields: vec![] },
            Output { name: "twice".into(), fields: vec![] },
        ];
        description
    }

    fn process(_records: Batch) -> Result<Effects, Failure> {
        Ok(nothing(0, 0))
    }

    fn on_timer(_timers: TimerBatch) -> Result<Effects, Failure> {
        Ok(nothing(0, 0))
    }
}

guest_kit::export!(DescribeBad with_types_in guest_kit);
