//! Every target over its corpus, and over a bounded number of mutations of it. `MILLSTREAM_FUZZ_RUNS=1000000` makes more of them,
//! `MILLSTREAM_FUZZ_SEED` the same again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use millstream_fuzz::{TARGETS, run};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Mutations of each target.
const RUNS: u64 = 20_000;
/// Longest input.
const BYTES_MAX: usize = 4096;
/// What is at the edges of many formats.
const TELLING: [&[u8]; 14] = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x80\x80\x80\x10",
    b"{",
    b"}",
    b"\"",
    b"\\u0000",
    b"\n",
    b"- ",
    b": ",
    b"1e999",
    b"-9223372036854775808",
    b"\xed\xa0\x80",
];

macro_rules! tests {
    ($($target:ident)+) => {
        $(#[test] fn $target() { goes_through(stringify!($target)); })+

        #[test]
        fn every_target_is_here_and_for_libfuzzer() {
            let here = [$(stringify!($target)),+];
            assert_eq!(TARGETS.map(|(name, _)| name), here);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("it is there");
            for name in here {
                let file = fs::read_to_string(folder.join(format!("targets/{name}.rs")));
                assert!(file.expect("a target").contains(&format!("\"{name}\"")), "{name}");
                assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
            }
        }
    };
}

tests!(commit_record cursor_record payload effects envelope stored manifest request audit_export);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

fn goes_through(target: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> =
        files.iter().map(|file| fs::read(file).expect("it can be read")).collect();
    assert!(!corpus.is_empty(), "{} is empty", folder.display());
    for input in &corpus {
        run(target, input);
    }
    let seed = number("MILLSTREAM_FUZZ_SEED").unwrap_or(1);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for number in 0..number("MILLSTREAM_FUZZ_RUNS").unwrap_or(RUNS) {
        let input = mutated(&corpus, &mut rng);
        if catch_unwind(AssertUnwindSafe(|| run(target, &input))).is_err() {
            panic!(
                "MILLSTREAM_FUZZ_SEED={seed}, input {number}: {:?}",
                input.escape_ascii().to_string()
            );
        }
    }
}

/// One of the corpus, changed in some places.
fn mutated(corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut input = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=input.len());
        let end = rng.random_range(at..=input.len().min(at + 16));
        match rng.random_range(0..7) {
            0 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
            1 if at < input.len() => input[at] = rng.random(),
            2 => drop(input.splice(at..end, [])),
            3 => input.truncate(at),
            4 => drop(
                input.splice(at..at, TELLING[rng.random_range(0..TELLING.len())].iter().copied()),
            ),
            5 => drop(
                input.splice(at..end, TELLING[rng.random_range(0..TELLING.len())].iter().copied()),
            ),
            // The beginning of this one with the end of another.
            _ => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let from = rng.random_range(0..=other.len());
                input.splice(at.., other[from..].iter().copied());
            }
        }
        input.truncate(BYTES_MAX);
    }
    input
}
