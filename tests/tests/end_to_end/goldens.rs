//! The goldens that a real Apache Flink computed, over files.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use millstream_engine::local::{LocalOptions, run};
use millstream_state::{Budgets, Shared};
use millstream_tests::fraud::fraud;
use millstream_tests::{golden, sorted_lines};

/// A writer that a test looks into afterwards.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn check(input: &str, expected: &str, bound_ms: i64, partitions: u16, cache_bytes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let output = Sink::default();
    let options = LocalOptions {
        data: folder.path().to_owned(),
        shared: Shared::new(Budgets { cache_bytes, ..Budgets::default() }),
        threads: 2,
        dead_letters: None,
    };
    let stats = run(
        &fraud(bound_ms, partitions),
        vec![Box::new(Cursor::new(golden(input)))],
        Box::new(output.clone()),
        options,
    )
    .unwrap();
    assert_eq!(stats.records, 20_000);
    assert_eq!(stats.dead_letters, 0, "{:?}", stats.first_dead_letter);
    let found = output.0.lock().unwrap().clone();
    let expected = golden(expected);
    let (found, expected) = (sorted_lines(&found), sorted_lines(&expected));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
}

#[test]
fn fraud_in_order_equals_flink_at_1_and_8_partitions() {
    check("input_inorder", "fraud", 0, 1, 64 << 20);
    check("input_inorder", "fraud", 0, 8, 64 << 20);
}

#[test]
fn fraud_out_of_order_equals_flink_at_1_and_8_partitions() {
    check("input_disorder", "fraud_disorder", 5_000, 1, 64 << 20);
    check("input_disorder", "fraud_disorder", 5_000, 8, 64 << 20);
}

#[test]
fn fraud_equals_flink_when_state_does_not_fit_the_cache() {
    check("input_disorder", "fraud_disorder", 5_000, 4, 64 << 10);
}
