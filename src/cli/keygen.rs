//! `agp keygen`: mints the journal's signing key, or rotates it.

use argh::FromArgs;

use crate::report::failure::{Failure, Outcome, say};
use crate::session::home::Home;
use crate::session::key_rotation::{alone, journal_has_events, mint_alone, rotate, settle_alone};

/// Create the key that signs the journal; with --force, rotate it.
#[derive(FromArgs)]
#[argh(subcommand, name = "keygen")]
pub(super) struct Keygen {
    /// rotate: the old key signs the new one, then agp destroys it
    #[argh(switch)]
    force: bool,
}

pub(super) fn keygen(home: &Home, command: &Keygen) -> Outcome {
    let _alone = alone(home)?;
    let exists = home.private_key().exists() || home.public_key().exists();
    if exists && !command.force {
        let problem = format!("{} already exists", home.private_key().display());
        return Err(Failure::refused(
            problem,
            "keep it, or run `agp keygen --force` to rotate it",
        ));
    }
    settle_alone(home)?;
    let public = if journal_has_events(home) {
        rotate(home)?
    } else {
        mint_alone(home)?
    };
    say(format_args!("key      {}", public.id()));
    say(format_args!("private  {}", home.private_key().display()));
    say(format_args!(
        "public   {} (give this to your auditor)",
        home.public_key().display()
    ));
    Ok(0)
}
