//! The governor's command line.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = agp::cli::internal::as_another() {
        return ExitCode::from(code);
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    ExitCode::from(agp::cli::main(&arguments))
}
