//! Fuzzes `attend_line`: what must hold is in the library, see `docs/fuzzing.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| agp::fuzz::run(env!("CARGO_BIN_NAME"), data));
