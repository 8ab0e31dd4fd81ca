//! `agp quickstart`: from an empty home to a proven journal, with nothing else installed.

use std::io;
use std::sync::Arc;

use argh::FromArgs;

use crate::channels::terminal::Terminal;

use super::asked::{Asked, Run};
use super::home::Home;
use super::report::{Outcome, say};
use super::{init, keygen, run, verify, verify_report};

/// Scaffold a home, run a scripted session, verify its journal: the whole of agp in a second.
#[derive(FromArgs)]
#[argh(subcommand, name = "quickstart")]
pub(super) struct Quickstart {}

pub(super) fn quickstart(home: &Home) -> Outcome {
    init::scaffold_missing(home)?;
    if !home.private_key().exists() {
        let public = keygen::mint(home)?;
        say(format_args!("minted signing key {}", public.id()));
    }
    say("a scripted session under your policy (nothing is run; nobody is asked):");
    say("");
    let asked = Asked::resolve(home, scripted_run())?;
    let code = run::session(home, &asked, &Arc::new(Terminal::unattended()))?;
    say("");
    let journal = home.journal().log;
    let verified = verify_report::run(
        &journal,
        // After a rotation, the key that the journal begins under.
        &verify::first_key(home, &journal)?,
        false,
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    );
    let verified = verified.unwrap_or(verify_report::NOT_CHECKED);
    say("");
    say(format_args!("policy   {}", home.policy().display()));
    say(format_args!(
        "journal  {} (agp log shows it)",
        journal.display()
    ));
    say(format_args!("key      {}", home.public_key().display()));
    say("next: agp run --intendant claude-code|codex --task \"...\" --repo DIR");
    Ok(if verified == verify_report::INTACT {
        code
    } else {
        verified
    })
}

fn scripted_run() -> Run {
    Run {
        intendant: Some("scripted".into()),
        task: None,
        repo: None,
        script: None,
        sandbox: Some("recording".into()),
        allow_read: Vec::new(),
        allow_write: Vec::new(),
        channel: Some("console".into()),
        approval_timeout: None,
        harness_arg: Vec::new(),
        harness_env: Vec::new(),
        stream: None,
        mode: None,
        no_probe: false,
        witness: None,
    }
}
