//! `cargo fuzz run --features libfuzzer commit_record`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::run("commit_record", data));
