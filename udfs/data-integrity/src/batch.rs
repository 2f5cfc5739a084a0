//! Batches of records, and the control totals that systems have for them.

use millstream_udf::prelude::*;

/// What has arrived of a batch: every record once, valid or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    pub count: i64,
    /// Sum of the total field. 128 bits hold the sum of any number of records.
    pub total: i128,
    /// Whether a control was reconciled: what comes later was not in it.
    pub reconciled: bool,
}

/// What a system says of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    pub batch_id: String,
    pub system: String,
    pub count: i64,
    pub total: i64,
}

impl Control {
    /// Why it differs from what has arrived; empty if it does not.
    pub fn differences(&self, batch: &Batch) -> Vec<&'static str> {
        let differs = [
            (self.count != batch.count, "count_differs"),
            (i128::from(self.total) != batch.total, "total_differs"),
        ];
        differs.into_iter().filter(|(differs, _)| *differs).map(|(_, code)| code).collect()
    }
}
