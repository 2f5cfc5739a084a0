//! `cargo fuzz run --features libfuzzer manifest`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::run("manifest", data));
