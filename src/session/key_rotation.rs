//! The journal's signing key: created, and rotated so that the old key signs the new one in.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, json};

use super::home::Home;
use crate::contracts::event::{Draft, Kind};
use crate::contracts::{bounded_file, limits};
use crate::journal::key::{PublicKey, SigningKey};
use crate::journal::redact::Screen;
use crate::journal::{Journal, durable, last_event};
use crate::report::failure::{Failure, help_with};

fn failed(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| {
        let problem = format!("{}: {error}", path.display());
        Failure::refused(
            problem,
            help_with(path, &error, "run `agp doctor --check signing`"),
        )
    }
}

pub(crate) fn journal_has_events(home: &Home) -> bool {
    fs::metadata(home.journal().log).is_ok_and(|meta| meta.len() > 0)
}

/// Locks the keys' directory: between the journal's naming a key and that key's taking its place
/// nobody else may settle or replace it. The lock goes with the file, or with the process.
pub(crate) fn alone(home: &Home) -> Result<File, Failure> {
    let signing = home.signing();
    durable::private_dir(&signing).map_err(failed(&signing))?;
    let directory = File::open(&signing).map_err(failed(&signing))?;
    directory.lock().map_err(failed(&signing))?;
    Ok(directory)
}

/// A first key, unless another process has made one meanwhile.
pub(crate) fn mint(home: &Home) -> Result<PublicKey, Failure> {
    let _alone = alone(home)?;
    if home.private_key().exists() {
        return Ok(home.signing_key()?.public().clone());
    }
    mint_alone(home)
}

pub(crate) fn mint_alone(home: &Home) -> Result<PublicKey, Failure> {
    let (key, pem) = generate()?;
    put(&home.private_key(), 0o600, pem.as_bytes())?;
    put(&home.public_key(), 0o644, key.public().to_pem().as_bytes())?;
    Ok(key.public().clone())
}

fn generate() -> Result<(SigningKey, zeroize::Zeroizing<String>), Failure> {
    SigningKey::generate()
        .map_err(|_| Failure::refused("the system provides no random numbers", "try again"))
}

fn put(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Failure> {
    durable::replace(path, mode, bytes).map_err(failed(path))
}

/// Where the next key waits while the journal hands over to it.
fn next_key(home: &Home) -> std::path::PathBuf {
    home.signing().join("journal-ed25519.key.next")
}

/// The next key is on disk before the journal names it, and takes the old one's place after: a
/// crash in between is settled by [`settle_rotation`].
pub(crate) fn rotate(home: &Home) -> Result<PublicKey, Failure> {
    if !home.private_key().exists() {
        let log = home.journal().log;
        let problem = format!(
            "{} has events, but the key that signed them is gone",
            log.display()
        );
        return Err(Failure::refused(
            problem,
            "move the journal, its head and the public key aside for the auditor, then run `agp \
            keygen`",
        ));
    }
    let old = home.signing_key()?;
    let old_public = old.public().clone();
    let retired = home.retired_keys();
    durable::private_dir(&retired).map_err(failed(&retired))?;
    let kept = retired.join(format!("{}.pub", old_public.id()));
    put(&kept, 0o644, old_public.to_pem().as_bytes())?;
    let (new, pem) = generate()?;
    put(&next_key(home), 0o600, pem.as_bytes())?;

    let damaged = |error: String| Failure::refused(error, "run `agp verify` to see the problem");
    let (journal, _) = Journal::open(
        &home.journal(),
        old,
        &home.retired()?,
        Arc::new(Screen::new(&[])),
    )
    .map_err(|error| damaged(error.to_string()))?;
    let payload = Map::from_iter([
        ("oldKeyId".to_owned(), json!(old_public.id())),
        ("newKeyId".to_owned(), json!(new.public().id())),
        (
            "newPublicKey".to_owned(),
            json!(new.public().to_spki_base64()),
        ),
    ]);
    let recorded = journal
        .handle()
        .append_one(Draft::new(Kind::KeyRotated, payload));
    journal.close();
    recorded
        .map(drop)
        .map_err(|error| damaged(error.to_string()))?;
    promote(home, new.public())?;
    Ok(new.public().clone())
}

fn promote(home: &Home, public: &PublicKey) -> Result<(), Failure> {
    let (next, private) = (next_key(home), home.private_key());
    put(&home.public_key(), 0o644, public.to_pem().as_bytes())?;
    // Renaming over the old private key is what destroys it.
    fs::rename(&next, &private)
        .and_then(|()| durable::sync_dir(&home.signing()))
        .map_err(failed(&private))
}

/// Ends a rotation that a crash interrupted: forward when the journal names the next key, back
/// when it does not.
pub(crate) fn settle_rotation(home: &Home) -> Result<(), Failure> {
    if fs::symlink_metadata(next_key(home)).is_err() {
        return Ok(());
    }
    // A rotation that is under way in another process is no crash: it is waited for.
    let _alone = alone(home)?;
    settle_alone(home)
}

pub(crate) fn settle_alone(home: &Home) -> Result<(), Failure> {
    let next = next_key(home);
    let bytes = match bounded_file::read(&next, limits::SMALL_FILE_BYTES) {
        Ok(bytes) => zeroize::Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&next)(error)),
    };
    let key = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| SigningKey::from_pem(text).ok());
    let named = key.as_ref().is_some_and(|key| {
        last_event(&home.journal().log).is_some_and(|last| {
            let payload = last
                .payload()
                .and_then(|payload| payload.get("newPublicKey"));
            last.kind() == Kind::KeyRotated.as_str()
                && payload.and_then(|text| text.as_str()) == Some(&key.public().to_spki_base64())
        })
    });
    match key {
        Some(key) if named => promote(home, key.public()),
        _ => fs::remove_file(&next).map_err(failed(&next)),
    }
}
