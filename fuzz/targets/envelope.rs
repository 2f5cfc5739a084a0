//! `cargo fuzz run --features libfuzzer envelope`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::run("envelope", data));
