//! `cargo fuzz run --features libfuzzer stored`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::run("stored", data));
