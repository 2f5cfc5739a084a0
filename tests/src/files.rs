//! Golden jobs over files: what comes out must be the golden, line for line in any order.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use millstream_engine::local::{LocalOptions, LocalStats, run};
use millstream_engine::spec::PipelineSpec;
use millstream_state::{Budgets, Shared};

use crate::{golden, sorted_lines};

/// A cache that holds the state of every golden job.
pub const ROOMY_CACHE_BYTES: usize = 64 << 20;

/// Records of each golden input.
const INPUT_RECORDS: u64 = 20_000;

/// A writer that a test looks into afterwards.
#[derive(Clone, Default)]
pub struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// What was written, as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).expect("JSON is UTF-8")
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a pipeline over a golden input on two threads, with a cache of so many bytes; gives what it wrote. Panics if a
/// record was not read or became a dead letter.
pub fn outputs_over_files(spec: &PipelineSpec, input: &str, cache_bytes: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let output = Written::default();
    let options = LocalOptions {
        data: folder.path().to_owned(),
        shared: Shared::new(Budgets { cache_bytes, ..Budgets::default() }),
        threads: 2,
        dead_letters: None,
    };
    let input = Box::new(Cursor::new(golden(input)));
    let LocalStats { records, dead_letters, first_dead_letter, .. } =
        run(spec, vec![input], Box::new(output.clone()), options).unwrap();
    assert_eq!(records, INPUT_RECORDS);
    assert_eq!(dead_letters, 0, "{first_dead_letter:?}");
    let written = output.0.lock().unwrap();
    written.clone()
}

/// Checks that a pipeline makes the golden `expected` of the golden `input`.
pub fn check_over_files(spec: &PipelineSpec, input: &str, expected: &str, cache_bytes: usize) {
    let (found, expected) = (outputs_over_files(spec, input, cache_bytes), golden(expected));
    let (found, expected) = (sorted_lines(&found), sorted_lines(&expected));
    let partitions = spec.stages[0].partitions;
    assert_eq!(found.len(), expected.len(), "{} at {partitions} partitions", spec.name);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{} at {partitions} partitions", spec.name);
    }
}
