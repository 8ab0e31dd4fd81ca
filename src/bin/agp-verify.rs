//! Verifies a journal offline, with its public key and nothing else.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use agp::report::verification;
use argh::FromArgs;

/// Verify a journal: exit 0 intact, 1 not intact, 2 could not check.
#[derive(FromArgs)]
struct Arguments {
    /// the journal, with its head beside it as JOURNAL.head
    #[argh(positional)]
    journal: PathBuf,
    /// the public key (PEM, SPKI) that you trust for the first event
    #[argh(option)]
    key: PathBuf,
    /// print the report as JSON
    #[argh(switch)]
    json: bool,
}

const USAGE: &str = "usage: agp-verify JOURNAL --key PUB [--json]";

fn main() -> ExitCode {
    let arguments: Vec<String> = match std::env::args_os().map(|a| a.into_string()).collect() {
        Ok(arguments) => arguments,
        Err(_) => return usage("an argument is not UTF-8\n"),
    };
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    if let ["--version" | "-V"] = words.as_slice() {
        let version = concat!("agp-verify ", env!("CARGO_PKG_VERSION"), "\n");
        let written = io::stdout().write_all(version.as_bytes());
        return ExitCode::from(written.map_or(verification::NOT_CHECKED, |()| 0));
    }
    let parsed = match Arguments::from_args(&["agp-verify"], &words) {
        Ok(parsed) => parsed,
        Err(exit) if exit.status.is_ok() => {
            let written = io::stdout().write_all(exit.output.as_bytes());
            return ExitCode::from(if written.is_ok() {
                0
            } else {
                verification::NOT_CHECKED
            });
        }
        Err(exit) => return usage(&exit.output),
    };
    let outcome = verification::run(
        &parsed.journal,
        &parsed.key,
        parsed.json,
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    );
    ExitCode::from(outcome.unwrap_or(verification::NOT_CHECKED))
}

fn usage(text: &str) -> ExitCode {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "{}\n{USAGE}", text.trim_end());
    ExitCode::from(verification::NOT_CHECKED)
}
