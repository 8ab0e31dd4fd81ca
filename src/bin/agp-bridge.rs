//! The small program on the harness's side: hook bridge, leash, and the tools of mediated mode.
//! No signatures, no network.

use std::ffi::OsString;
use std::process::ExitCode;

use agp::cli::{hooked, report};

fn main() -> ExitCode {
    if let Some(code) = hooked::as_another() {
        return ExitCode::from(code);
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // An unknown command ends in the code that blocks a call: this program is a hook.
    ExitCode::from(hooked::main(&arguments).unwrap_or_else(|| {
        report::complain("usage: agp-bridge bridge|leash|mcp|tool ...");
        agp::bridge::hook::BLOCKED
    }))
}
