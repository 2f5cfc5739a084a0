//! What pipelines gave: outputs and dead letters, by pipeline.

use std::collections::BTreeMap;

use serde_json::Value;

/// Outputs and dead letters.
#[derive(Default)]
pub struct Outcome {
    outputs: BTreeMap<String, Vec<Value>>,
    letters: BTreeMap<String, Vec<String>>,
}

impl Outcome {
    /// Takes an output of a pipeline. Panics if it is not JSON.
    pub fn output(&mut self, pipeline: &str, line: &[u8]) {
        let value = serde_json::from_slice(line);
        let value = value.unwrap_or_else(|e| panic!("{pipeline}: an output is no JSON: {e}"));
        self.outputs.entry(pipeline.to_owned()).or_default().push(value);
    }

    /// Takes the payload of a dead letter of a pipeline.
    pub fn letter(&mut self, pipeline: &str, payload: &[u8]) {
        let payload = String::from_utf8_lossy(payload).into_owned();
        self.letters.entry(pipeline.to_owned()).or_default().push(payload);
    }

    /// Outputs of a pipeline with this `type`, in the order of their coming out.
    pub(super) fn of<'a>(
        &'a self,
        pipeline: &str,
        kind: &'a str,
    ) -> impl Iterator<Item = &'a Value> {
        let outputs = self.outputs.get(pipeline).into_iter().flatten();
        outputs.filter(move |output| output["type"] == kind)
    }

    /// How many of these there are.
    pub(super) fn count(&self, pipeline: &str, kind: &str) -> i128 {
        self.of(pipeline, kind).count() as i128
    }

    /// Payloads of a pipeline's dead letters.
    pub(super) fn letters(&self, pipeline: &str) -> &[String] {
        self.letters.get(pipeline).map_or(&[], Vec::as_slice)
    }

    /// The sum of an integer field of these outputs, by a text field.
    pub(super) fn sums(
        &self,
        pipeline: &str,
        kind: &str,
        by: &str,
        field: &str,
    ) -> BTreeMap<String, i128> {
        let mut sums = BTreeMap::new();
        for output in self.of(pipeline, kind) {
            *sums.entry(text(&output[by])).or_default() += integer(&output[field]);
        }
        sums
    }
}

/// A text field; empty if it is none.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An integer field; 0 if it is none.
pub(super) fn integer(value: &Value) -> i128 {
    value.as_i64().map_or(0, i128::from)
}

/// A decimal field in units of its last digit, such as cents with 2; 0 if it is none.
pub(super) fn units(value: &Value, digits: i32) -> i128 {
    value.as_f64().map_or(0, |value| (value * 10_f64.powi(digits)).round() as i128)
}
