//! The small program on the harness's side: hook bridge, leash, and the tools of mediated mode.
//! No signatures, no network.

use std::ffi::OsString;
use std::process::ExitCode;

use agp::cli::internal;
use agp::report::failure;

fn main() -> ExitCode {
    if let Some(code) = internal::as_another() {
        return ExitCode::from(code);
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // An unknown command ends in the code that blocks a call: this program is a hook.
    ExitCode::from(internal::main(&arguments).unwrap_or_else(|| {
        failure::complain("usage: agp-bridge bridge|leash|mcp|tool ...");
        agp::hook::pre_post_tool::BLOCKED
    }))
}
