//! `cargo fuzz run --features libfuzzer audit_export`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::run("audit_export", data));
