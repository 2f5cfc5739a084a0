//! `cargo fuzz run --features libfuzzer request`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::run("request", data));
