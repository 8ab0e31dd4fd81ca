//! The verifier's answer, the same from `agp verify` and `agp-verify`.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::journal::key::{InvalidKey, PublicKey};
use crate::journal::verify::{self, Report};

use super::failure::help_with;

/// Exit code of a verification that found nothing wrong.
pub const INTACT: u8 = 0;
/// Exit code of a verification that found something wrong.
pub const NOT_INTACT: u8 = 1;
/// Exit code when nothing could be found out.
pub const NOT_CHECKED: u8 = 2;

/// Verifies and prints; gives the exit code.
///
/// Text: a first line `OK: <n> events ...` and the last event's hash, or `FAIL: <n> problems ...` and a
/// line a problem.
/// JSON: one object, [`Report`].
///
/// # Errors
/// Only what writing to `out` or `err` gives.
pub fn run(
    journal: &Path,
    key: &Path,
    json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let public = match read_key(key) {
        Ok(public) => public,
        Err(problem) => {
            writeln!(err, "agp: {}: {problem}", key.display())?;
            writeln!(err, "  help: pass the journal's public key with --key FILE")?;
            return Ok(NOT_CHECKED);
        }
    };
    let report = match verify::verify(journal, &public) {
        Ok(report) => report,
        Err(error) => {
            writeln!(err, "agp: {}: {error}", journal.display())?;
            let mend = "pass a readable journal file, with its .head file beside it";
            writeln!(err, "  help: {}", help_with(journal, &error, mend))?;
            return Ok(NOT_CHECKED);
        }
    };
    if json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        text(&report, out)?;
    }
    Ok(if report.intact { INTACT } else { NOT_INTACT })
}

/// Reads a public key file.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_key(path: &Path) -> Result<PublicKey, KeyFileError> {
    let size = std::fs::metadata(path).map_err(KeyFileError::Io)?.len();
    if size > limits::SMALL_FILE_BYTES {
        return Err(KeyFileError::TooLarge);
    }
    let text = std::fs::read_to_string(path).map_err(KeyFileError::Io)?;
    PublicKey::from_pem(&text).map_err(KeyFileError::NoKey)
}

/// What is wrong with the file of a public key. Whoever names the file says which.
#[derive(Debug)]
pub enum KeyFileError {
    /// It cannot be read.
    Io(io::Error),
    /// It is longer than any key.
    TooLarge,
    /// It holds no public key.
    NoKey(InvalidKey),
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TooLarge => f.write_str("too large for a public key"),
            Self::NoKey(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeyFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::TooLarge => None,
            Self::NoKey(error) => Some(error),
        }
    }
}

fn text(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.intact {
        let events = count(report.events, "event");
        writeln!(out, "OK: {events}, key {}", report.keys.join(" then "))?;
        if let (Some(seq), Some(hash)) = (report.last_seq, &report.last_hash) {
            // A line of its own: the hash takes most of a terminal's width.
            writeln!(out, "last {seq} {hash}")?;
        }
        if report.beyond_head > 0 {
            writeln!(
                out,
                "note: {} beyond the head",
                count(report.beyond_head, "signed event")
            )?;
        }
        return Ok(());
    }
    let problems = count(report.problem_count, "problem");
    writeln!(out, "FAIL: {problems} in {}", count(report.events, "event"))?;
    for problem in &report.problems {
        match (problem.line, problem.seq) {
            (0, _) => write!(out, "head")?,
            (line, Some(seq)) => write!(out, "line {line} seq {seq}")?,
            (line, None) => write!(out, "line {line}")?,
        }
        writeln!(out, ": {}: {}", problem.code, printable(&problem.detail))?;
    }
    let unlisted = report
        .problem_count
        .saturating_sub(report.problems.len() as u64);
    if unlisted > 0 {
        writeln!(out, "and {unlisted} more")?;
    }
    Ok(())
}

/// A detail can quote a damaged journal; nothing of it reaches a terminal raw.
fn printable(detail: &str) -> String {
    detail
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect()
}
