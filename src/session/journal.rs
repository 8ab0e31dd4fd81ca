//! The journal of a session: opened, and the secrets that must never stand in it.

use std::sync::Arc;

use serde_json::{Map, json};

use super::home::Home;
use super::key_rotation::settle_rotation;
use super::options::SessionOptions;
use crate::channels::escape;
use crate::journal::redact::{Screen, Secret};
use crate::journal::{Journal, OpenError};
use crate::report::failure::{Failure, complain, help_with};
use crate::sandbox::secrets::{Secrets, variable};

/// The secrets that calls may ask for by name.
///
/// # Errors
/// [`Failure`] when one cannot be used as it is.
pub(crate) fn secrets(home: &Home) -> Result<Secrets, Failure> {
    Secrets::load(&home.secrets()).map_err(|problem| {
        let mend = "fix the secret, or remove it";
        Failure::refused(escape::line(&problem.to_string()), mend)
    })
}

/// The secrets that must never be journaled: agp's own, by the names that hold them.
pub(crate) fn screen(options: &SessionOptions, given: &Secrets) -> Screen {
    let configured = options.slack.iter().flat_map(|slack| slack.secrets());
    let configured = configured.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let secrets = std::env::vars()
        .filter(|(name, _)| name.starts_with("AGP_SLACK_") && name.ends_with("_TOKEN"));
    let given = given.all().iter();
    let given = given.map(|secret| (variable(secret.name()), secret.value().to_owned()));
    let secrets = secrets.chain(configured).chain(given);
    let secrets: Vec<Secret> = secrets
        .map(|(name, value)| Secret::new(name, value))
        .collect();
    let screen = Screen::new(&secrets);
    for name in screen.ignored() {
        complain(format_args!(
            "agp: warning: {name} is too short to be redacted from the journal"
        ));
    }
    screen
}

/// The name of a secret that stands in what the journal will have of the operator's own words.
pub(crate) fn quoted_secret(options: &SessionOptions, screen: &Screen) -> Option<String> {
    let words = Map::from_iter([
        ("task".to_owned(), json!(options.task)),
        ("harnessArguments".to_owned(), json!(options.harness_args)),
    ]);
    screen.secret_in(&words).map(str::to_owned)
}

pub(crate) fn open_journal(home: &Home, screen: &Arc<Screen>) -> Result<Journal, Failure> {
    settle_rotation(home)?;
    let key = home.signing_key()?;
    let (journal, opened) =
        Journal::open(&home.journal(), key, &home.retired()?, Arc::clone(screen)).map_err(
            |error| {
                let mend = match error {
                    OpenError::Io {
                        ref path,
                        error: ref why,
                    } => help_with(path, why, "run `agp doctor --check journal`"),
                    OpenError::Damaged { .. } => {
                        "run `agp verify`, then move the journal and its head aside for the auditor"
                            .into()
                    }
                };
                Failure::refused(error, mend)
            },
        )?;
    if let Some(recovered) = opened.recovered {
        let recovered = recovered
            .iter()
            .map(|(name, value)| format!("{name} {value}"));
        let recovery = recovered.collect::<Vec<_>>().join(", ");
        complain(format_args!(
            "agp: recovered the journal after a crash: {recovery}"
        ));
    }
    Ok(journal)
}
