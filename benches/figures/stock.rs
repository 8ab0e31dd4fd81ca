//! Journals of a given length, made quickly and kept: the real chain, signed on every core,
//! written a chunk at a time without a sync an event.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use agp::contracts::ids::Sha256;
use agp::journal::key::{PublicKey, SigningKey};
use agp::journal::redact::Screen;
use agp::journal::{self, Head, Journal, Paths};
use data_encoding::BASE64;
use serde_json::Value;

use crate::{Fallible, events};

/// Events signed and written at a time.
const CHUNK: u64 = 4096;
/// The size of a head's file: the journal replaces one of this size in place.
const HEAD_BYTES: usize = 256;

/// A journal that stands ready and, used, is put back.
pub(crate) struct Stock {
    directory: PathBuf,
    bytes: u64,
    head: String,
}

impl Stock {
    /// The journal of `events` events, from an earlier run or new.
    pub(crate) fn of(work: &Path, events: u64) -> Fallible<Self> {
        let directory = work.join(format!("journal-{events}"));
        let done = directory.join("done");
        if !done.exists() {
            crate::complain(&format!("bench: making a journal of {events} events ..."));
            make(&directory, events)?;
        }
        let (bytes, head) = {
            let text = fs::read_to_string(&done)?;
            let (bytes, head) = text.split_once('\n').ok_or("done is malformed")?;
            (bytes.parse()?, head.to_owned())
        };
        let stock = Self {
            directory,
            bytes,
            head,
        };
        stock.put_back()?;
        Ok(stock)
    }

    pub(crate) fn paths(&self) -> Paths {
        Paths::of(&self.directory.join("audit.log"))
    }

    pub(crate) fn public_key(&self) -> PathBuf {
        self.directory.join("key.pub")
    }

    /// Opens it to append.
    pub(crate) fn open(&self) -> Fallible<Journal> {
        let (journal, _) = Journal::open(&self.paths(), self.key()?, &[], screen())
            .map_err(|error| error.to_string())?;
        Ok(journal)
    }

    /// Its signing key.
    pub(crate) fn key(&self) -> Fallible<SigningKey> {
        let pem = fs::read_to_string(self.directory.join("key"))?;
        Ok(SigningKey::from_pem(&pem)?)
    }

    /// Takes away what was appended since it was made.
    pub(crate) fn put_back(&self) -> Fallible<()> {
        let paths = self.paths();
        let log = File::options().write(true).open(&paths.log)?;
        log.set_len(self.bytes)?;
        fs::write(&paths.head, &self.head)?;
        log.sync_all()?;
        Ok(())
    }
}

/// No secrets to look for: a session without any.
pub(crate) fn screen() -> Arc<Screen> {
    Arc::new(Screen::new(&[]))
}

/// The envelope up to `hash`, and from there to the payload. Names stand in canonical order.
const BEFORE_HASH: &str = r#"{"actor":"claude_process","approval_binding_type":null,"#;
const BEFORE_PAYLOAD: &str =
    r#""intendant_identity_uri":null,"kind":"tool_call.allow","on_behalf_of":null,"#;

/// An event whose place in the chain is known, in parts: around `hash` and `signature`.
struct Chained {
    hash: Sha256,
    before_signature: String,
    after_signature: String,
    signed: Vec<u8>,
}

fn make(directory: &Path, events: u64) -> Fallible<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    let (key, pem) = SigningKey::generate()?;
    fs::write(directory.join("key"), pem.as_bytes())?;
    fs::write(directory.join("key.pub"), key.public().to_pem())?;
    let paths = Paths::of(&directory.join("audit.log"));
    let mut log = File::create(&paths.log)?;
    let mut tip = None;
    let mut made = 0;
    let mut bytes = 0;
    while made < events {
        let count = CHUNK.min(events - made);
        let mut chained = Vec::new();
        for seq in made + 1..=made + count {
            let event = chain(seq, tip, key.public());
            tip = Some(event.hash);
            chained.push(event);
        }
        let lines = signed_lines(&key, &chained);
        log.write_all(&lines)?;
        bytes += lines.len();
        made += count;
    }
    log.sync_all()?;
    let head = Head {
        seq: made,
        hash: tip.ok_or("no events")?,
    };
    let text = head.to_text(&key.sign(&head.signed_bytes()));
    let head = format!("{text:HEAD_BYTES$}");
    fs::write(&paths.head, &head)?;
    fs::write(directory.join("done"), format!("{bytes}\n{head}"))?;
    Ok(())
}

fn chain(seq: u64, prev: Option<Sha256>, key: &PublicKey) -> Chained {
    let args_sha256 = journal::args_sha256(&events::args());
    let payload = journal::canonical(&Value::Object(events::payload(seq, args_sha256)));
    let payload = String::from_utf8_lossy(&payload);
    let prefix = prev.map(Sha256::to_hex).unwrap_or_default();
    let prev = prev.map_or_else(|| "null".to_owned(), |hash| format!("\"{hash}\""));
    let before_signature = format!(r#""payload":{payload},"prevHash":{prev},"seq":{seq},"#);
    let after_signature = format!(
        r#""signing_key_id":"{}","tenant_id":null,"ts":"2026-01-01T00:00:00.000Z","v":2}}"#,
        key.id()
    );
    let signed =
        format!("{prefix}{BEFORE_HASH}{BEFORE_PAYLOAD}{before_signature}{after_signature}");
    Chained {
        hash: Sha256::of(signed.as_bytes()),
        before_signature,
        after_signature,
        signed: signed.into_bytes(),
    }
}

fn signed_lines(key: &SigningKey, chained: &[Chained]) -> Vec<u8> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = chained.len().div_ceil(workers).max(1);
    let parts: Vec<Vec<u8>> = thread::scope(|scope| {
        let workers: Vec<_> = chained
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    let lines = part.iter().flat_map(|event| line(key, event));
                    lines.collect()
                })
            })
            .collect();
        let joined = workers.into_iter().filter_map(|worker| worker.join().ok());
        joined.collect()
    });
    parts.concat()
}

fn line(key: &SigningKey, event: &Chained) -> Vec<u8> {
    let (hash, signature) = (event.hash, BASE64.encode(&key.sign(&event.signed)));
    let (before, after) = (&event.before_signature, &event.after_signature);
    format!(
        "{BEFORE_HASH}\"hash\":\"{hash}\",{BEFORE_PAYLOAD}{before}\
         \"signature\":\"{signature}\",{after}\n"
    )
    .into_bytes()
}
