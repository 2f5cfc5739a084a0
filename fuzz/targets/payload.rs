//! `cargo fuzz run --features libfuzzer payload`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::run("payload", data));
