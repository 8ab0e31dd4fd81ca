//! The live probe: the real harness against a model of agp's own, one call that must be denied and
//! one that must be allowed, and a look at the disk. Needs no account, and uses none.

pub(crate) mod docker;
pub(crate) mod trial;
mod trial_error;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::contracts::plural::count;
use crate::jail::spec::Namespaces;
use crate::sandbox::harness_host::Enclosure;
use crate::sandbox::network::Network;

use super::build::{new_answer_key, new_session};
use super::claude_config_dir::ClaudeHome;
use super::harness_sandbox;
use super::sandbox;
use crate::report::failure::Failure;
use docker::InContainer;
use trial::{PROBE_TIME, Probed, Trial};
use trial_error::TrialError;

pub(crate) use trial::TrialOptions;

/// A directory of the probe's own, removed with everything in it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Made by this process under a random name; what stays behind is empty of secrets.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Probes a harness; says what held.
///
/// # Errors
/// [`Failure`] with the cause when the gate does not fire, or could not be tried.
pub(crate) fn probe(options: &TrialOptions<'_>) -> Result<String, Failure> {
    let session = new_session()?;
    let answers = new_answer_key()?;
    let root = std::env::temp_dir().join(format!("agp-{session}"));
    let scratch = Scratch(root.clone());
    for directory in [root.clone(), root.join("repo"), root.join("home")] {
        let made = fs::DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|error| {
            TrialError::not_made(format_args!("{}: {error}", directory.display()))
        })?;
    }
    let inside = match options.container {
        Some(container) => {
            let probe = (root.as_path(), &session, answers.public().to_spki_base64());
            Some(InContainer::ready(
                container,
                options.harness,
                probe,
                PROBE_TIME,
            )?)
        }
        None => None,
    };
    let probed = Probed::find(options.harness, &options.search, inside.as_ref())?;
    let name = probed.name_and_version();
    let trial = Trial::new(
        options.layout,
        &scratch.0,
        &probed,
        inside.as_ref(),
        answers,
    );
    let trial = trial?;
    let sandbox = match options.layout.runs_calls() {
        false => None,
        true => Some(sandbox::bare(
            options.home,
            &root.join("repo"),
            &root.join("sandbox"),
            &options.spawner,
        )?),
    };
    let claude = options
        .layout
        .has_claude_home()
        .then(|| ClaudeHome::empty(&root))
        .transpose();
    let claude = claude.map_err(TrialError::not_made)?;
    let enclosed = harness_sandbox::ready(&harness_sandbox::HarnessNeeds {
        layout: options.layout,
        home: options.home,
        spawner: &options.spawner,
        directory: &root,
        repository: &root.join("repo"),
        writes: true,
        user: Some(root.join("home")),
        claude: claude.as_ref(),
        // Its model is agp's own, on this host.
        network: Network::Host,
        withheld: Vec::new(),
        changeable: &options.search.changeable,
        allow_read: options.allowed[0],
        allow_write: options.allowed[1],
    })?;
    let is = match (&inside, &enclosed) {
        (Some(_), _) => "in a container",
        (None, Some(_)) => "confined",
        (None, None) => "not confined",
    };
    let from_inside = enclosed.as_ref().map_or_else(String::new, of_inside);
    let outcome = trial.run(options, session, probed, (sandbox, enclosed, claude))?;
    outcome.judge(options, &scratch.0)?;
    Ok(format!(
        "{name}, {is}: the denied call was blocked, the allowed call ran{from_inside}"
    ))
}

/// What was tried from inside, and came to nothing.
fn of_inside(enclosed: &Enclosure) -> String {
    let [parts, sockets] = enclosed.tried();
    let sockets = match enclosed.namespaces() {
        Namespaces::Off => "Unix sockets are reachable".to_owned(),
        // The gateway's is one of them.
        _ => format!(
            "none of {} reachable",
            count(sockets.saturating_sub(1), "socket")
        ),
    };
    format!("; {} protected, {sockets}", count(parts, "gate path"))
}
