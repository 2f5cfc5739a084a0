//! Never answers `describe`.

use guest_kit::*;

struct DescribeLoop;

impl Guest for DescribeLoop {
    fn describe() -> Description {
        let mut n = 0u64;
        loop {
            n = std::hint::black_box(n.wrapping_add(1));
        }
    }

    fn process(_records: Batch) -> Result<Effects, Failure> {
        Ok(nothing(0, 0))
    }

    fn on_timer(_timers: TimerBatch) -> Result<Effects, Failure> {
        Ok(nothing(0, 0))
    }
}

guest_kit::export!(DescribeLoop with_types_in guest_kit);
