//! How many records the next call of the UDF may take.
//!
//! A call has the fuel of one record, however many it holds. A UDF that needs much of it traps in full calls though no
//! record is to blame; so the size that its calls get through with is kept for a while, and only then more is tried.

/// Records of one call at most; the contract allows 4,096, more than this gains nothing.
const CALL_RECORDS_MAX: usize = 512;

/// Calls that go well before more is tried than calls have trapped with.
const CALLS_BEFORE_MORE: u32 = 256;

/// The size of the next call.
pub struct CallSize {
    records: usize,
    /// What it grows to.
    ceiling: usize,
    /// Calls that went well below a lowered ceiling.
    calls: u32,
}

impl CallSize {
    /// As large as calls get.
    pub fn new() -> Self {
        Self { records: CALL_RECORDS_MAX, ceiling: CALL_RECORDS_MAX, calls: 0 }
    }

    /// Records or timers; at least one.
    pub fn records(&self) -> usize {
        self.records.max(1)
    }

    /// The next call is to be so small, for a reason that will not come back.
    pub fn cut(&mut self, records: usize) {
        self.records = records;
    }

    /// A call of so many records, more than one, trapped. Returns the half of it to go on with.
    pub fn trapped(&mut self, records: usize) -> usize {
        *self = Self { records: records / 2, ceiling: records / 2, calls: 0 };
        self.records
    }

    /// A record alone trapped: it was to blame for the others.
    pub fn blamed(&mut self) {
        self.ceiling = CALL_RECORDS_MAX;
    }

    /// A call went well.
    pub fn went_well(&mut self) {
        if self.ceiling < CALL_RECORDS_MAX {
            self.calls += 1;
            if self.calls >= CALLS_BEFORE_MORE {
                (self.ceiling, self.calls) = ((self.ceiling * 2).min(CALL_RECORDS_MAX), 0);
            }
        }
        self.records = (self.records * 2).clamp(1, self.ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of a UDF that gets through with `enough` records, until one traps again; how many went well.
    fn calls_until_a_trap(size: &mut CallSize, enough: usize) -> u32 {
        let mut calls = 0;
        while size.records() <= enough {
            size.went_well();
            calls += 1;
        }
        calls
    }

    #[test]
    fn a_udf_that_needs_much_fuel_seldom_traps() {
        let mut size = CallSize::new();
        assert_eq!(size.trapped(512), 256);
        assert_eq!(size.trapped(256), 128);
        assert_eq!(calls_until_a_trap(&mut size, 200), CALLS_BEFORE_MORE);
        assert_eq!(size.records(), 256);
        assert_eq!(size.trapped(256), 128);
        assert_eq!(calls_until_a_trap(&mut size, 200), CALLS_BEFORE_MORE);
    }

    #[test]
    fn behind_a_poison_record_calls_soon_are_full_again() {
        let mut size = CallSize::new();
        while size.records() > 1 {
            size.trapped(size.records());
        }
        size.blamed();
        for _ in 0..9 {
            size.went_well();
        }
        assert_eq!(size.records(), CALL_RECORDS_MAX);
    }

    #[test]
    fn what_is_cut_once_grows_at_once() {
        let mut size = CallSize::new();
        size.cut(100);
        size.went_well();
        assert_eq!(size.records(), 200);
        size.cut(0);
        assert_eq!(size.records(), 1);
        size.went_well();
        assert_eq!(size.records(), 1);
    }
}
