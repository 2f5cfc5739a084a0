//! Windows: tumbling ones against a real Apache Flink, sessions against the reference model beside the goldens; over
//! files and through JetStream.

use millstream_engine::spec::PipelineSpec;
use millstream_tests::files::{ROOMY_CACHE_BYTES, check_over_files, outputs_over_files};
use millstream_tests::fraud::on_fraud_streams;
use millstream_tests::golden_job::GoldenJob;
use millstream_tests::{golden, sorted_lines};

/// The configuration of a tumbling and of a session job, and the golden that each must equal.
const TUMBLING: (&str, &str) = (r#"{"type":"tumbling","window":{"tumbling":"1m"}}"#, "tumbling");
const SESSION: (&str, &str) = (r#"{"type":"session","window":{"session":"30s"}}"#, "session");

/// A cache that holds some windows only.
const TIGHT_CACHE_BYTES: usize = 16 << 10;

/// Outputs of the sessions' first half of the input, at least.
const FIRST_HALF_AT_LEAST: usize = 500;

fn windows(config: &str, partitions: u16) -> PipelineSpec {
    on_fraud_streams("windows", "window-sums", config, 5_000, partitions)
}

#[test]
fn windows_over_files_equal_the_goldens_at_1_and_8_partitions() {
    for (config, expected) in [TUMBLING, SESSION] {
        for partitions in [1, 8] {
            let spec = windows(config, partitions);
            check_over_files(&spec, "input_disorder", expected, ROOMY_CACHE_BYTES);
        }
    }
    let spec = windows(SESSION.0, 3);
    check_over_files(&spec, "input_inorder", "session_inorder", ROOMY_CACHE_BYTES);
}

#[test]
fn windows_equal_the_goldens_when_state_does_not_fit_the_cache() {
    for (config, expected) in [TUMBLING, SESSION] {
        check_over_files(&windows(config, 4), "input_disorder", expected, TIGHT_CACHE_BYTES);
    }
}

/// Allowed lateness keeps windows in a map, and each late record fires: the last result of each window is the sum of
/// all its records, whatever the partitions.
#[test]
fn allowed_lateness_gives_the_same_at_any_number_of_partitions() {
    let config = r#"{"type":"tumbling","window":{"tumbling":"1m","allowed_lateness":"2m"}}"#;
    let results = [1, 8].map(|partitions| {
        let spec = windows(config, partitions);
        let found = outputs_over_files(&spec, "input_disorder", ROOMY_CACHE_BYTES);
        sorted_lines(&found).join("\n")
    });
    assert_eq!(results[0], results[1]);
    let strict = golden("tumbling");
    let late = |text: &str| text.lines().filter(|line| line.contains(r#""type":"late""#)).count();
    let strict = str::from_utf8(&strict).unwrap();
    assert!(late(&results[0]) < late(strict), "records that were late are not");
    let fired = results[0].lines().count() - late(&results[0]);
    assert!(fired > strict.lines().count() - late(strict), "windows fired again");
}

/// The closer's own window stays open: a stream has no end.
async fn through_jetstream((config, expected): (&str, &str), partitions: u16) {
    GoldenJob::new("input_disorder", expected).check(windows(config, partitions)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tumbling_windows_through_jetstream_equal_flink_at_1_partition() {
    through_jetstream(TUMBLING, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tumbling_windows_through_jetstream_equal_flink_at_8_partitions() {
    through_jetstream(TUMBLING, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_through_jetstream_equal_the_model_at_1_partition() {
    through_jetstream(SESSION, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_through_jetstream_equal_the_model_at_8_partitions() {
    through_jetstream(SESSION, 8).await;
}

/// The owner ends, and another begins with an empty folder: open windows and their timers come out of the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_sessions_survive_a_worker() {
    let job = GoldenJob::new("input_disorder", SESSION.1);
    job.check_restored(windows(SESSION.0, 4), FIRST_HALF_AT_LEAST, false).await;
}
