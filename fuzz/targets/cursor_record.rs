//! `cargo fuzz run --features libfuzzer cursor_record`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::run("cursor_record", data));
