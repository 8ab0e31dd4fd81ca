//! `agp verify`: proves a journal; the operator's own, unless another is named.

use std::path::{Path, PathBuf};

use argh::FromArgs;

use super::log;
use crate::contracts::fold::Next;
use crate::report::failure::{Failure, Outcome, complain, say_folded, try_say};
use crate::report::verification;
use crate::session::home::Home;

/// Verify a journal; exit 0: intact, 1: not intact, 2: could not check.
#[derive(FromArgs)]
#[argh(subcommand, name = "verify")]
pub(super) struct Verify {
    /// the journal file (default: audit.log in AGP_HOME)
    #[argh(positional)]
    journal: Option<PathBuf>,
    /// the public key you trust (default: the key in AGP_HOME that signed the first event)
    #[argh(option)]
    key: Option<PathBuf>,
    /// print the report as JSON
    #[argh(switch)]
    json: bool,
}

pub(super) fn verify(command: Verify) -> Outcome {
    let (journal, key) = match (command.journal, command.key) {
        (Some(journal), Some(key)) => (journal, key),
        (journal, key) => {
            let home = Home::find()?;
            let journal = journal.unwrap_or_else(|| home.journal().log);
            let key = match key {
                Some(key) => key,
                None => first_key(&home, &journal)?,
            };
            (journal, key)
        }
    };
    Ok(report(&journal, &key, command.json))
}

/// Verifies and shows what came of it; gives the exit code.
pub(super) fn report(journal: &Path, key: &Path, json: bool) -> u8 {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = verification::run(journal, key, json, &mut out, &mut err);
    let [out, err] = [out, err].map(|said| String::from_utf8_lossy(&said).trim_end().to_owned());
    let is_read = match (out.is_empty(), json) {
        (true, _) => true,
        (false, true) => try_say(out),
        (false, false) => say_folded(&out, Next::MESSAGE),
    };
    if !err.is_empty() {
        complain(err);
    }
    match code {
        Ok(code) if is_read => code,
        _ => verification::NOT_CHECKED,
    }
}

/// The operator's own key that the journal begins under: after a rotation, a retired one.
pub(super) fn first_key(home: &Home, journal: &Path) -> Result<PathBuf, Failure> {
    let named =
        log::first_event(journal).and_then(|first| first.text("signing_key_id").map(str::to_owned));
    let retired = named.map(|id| home.retired_keys().join(format!("{id}.pub")));
    Ok(match retired {
        // The id was read from the journal: only a plain file name may come of it.
        Some(path) if path.parent() == Some(&home.retired_keys()) && path.is_file() => path,
        _ => home.public_key(),
    })
}
