//! What the journal's tests share: scratch directories, keys, writing with agp's writer, and
//! forging lines without it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use agp::contracts::event::{Draft, Kind};
use agp::contracts::ids::Sha256;
use agp::journal::key::{PublicKey, SigningKey};
use agp::journal::redact::Screen;
use agp::journal::verify::{Problem, Report, verify_with};
use agp::journal::{Head, Journal, OpenError, OpenedJournal, Paths, canonical};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};

/// A directory of its own, removed when the test is over.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{count}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn paths(&self) -> Paths {
        Paths::of(&self.0.join("audit.log"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A key that can be had more than once: `SigningKey` itself is never cloned.
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new() -> Self {
        Self(SigningKey::generate().unwrap().1.to_string())
    }

    pub(crate) fn from_file(path: &Path) -> Self {
        Self(fs::read_to_string(path).unwrap())
    }

    pub(crate) fn pem(&self) -> &str {
        &self.0
    }

    pub(crate) fn signing(&self) -> SigningKey {
        SigningKey::from_pem(&self.0).unwrap()
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.signing().public().clone()
    }
}

/// The one place where tests make a screen.
pub(crate) fn screen() -> Arc<Screen> {
    Arc::new(Screen::new(&[]))
}

pub(crate) fn open(paths: &Paths, key: &Key) -> Result<(Journal, OpenedJournal), OpenError> {
    open_after(paths, key, &[])
}

pub(crate) fn open_after(
    paths: &Paths,
    key: &Key,
    retired: &[PublicKey],
) -> Result<(Journal, OpenedJournal), OpenError> {
    Journal::open(paths, key.signing(), retired, screen())
}

/// An event with this payload.
pub(crate) fn draft(payload: Value) -> Draft {
    draft_of(Kind::ToolCallAllow, payload)
}

pub(crate) fn draft_of(kind: Kind, payload: Value) -> Draft {
    let Value::Object(payload) = payload else {
        panic!("a payload is an object");
    };
    Draft::new(kind, payload)
}

pub(crate) fn numbered(number: usize) -> Draft {
    draft(json!({"number": number}))
}

/// Writes a journal of these payloads with agp's own writer.
pub(crate) fn write(paths: &Paths, key: &Key, payloads: impl IntoIterator<Item = Value>) {
    let (journal, _) = open(paths, key).unwrap();
    let handle = journal.handle();
    for payload in payloads {
        let _ = handle.append_one(draft(payload)).unwrap();
    }
    drop(handle);
    journal.close();
}

/// Records an event of which nobody needs the receipt.
pub(crate) fn record(journal: &Journal, draft: Draft) {
    let _ = journal.handle().append_one(draft).unwrap();
}

/// Hands a journal over, as `agp keygen --force` does.
pub(crate) fn rotation_to(next: &PublicKey) -> Draft {
    draft_of(
        Kind::KeyRotated,
        json!({"newPublicKey": next.to_spki_base64(), "newKeyId": next.id()}),
    )
}

/// Verifies with one worker and with three, which must say the same.
pub(crate) fn verify(log: &Path, key: &PublicKey) -> Report {
    let report = verify_with(log, key, 1).unwrap();
    let other = verify_with(log, key, 3).unwrap();
    assert_eq!(
        serde_json::to_string(&report).unwrap(),
        serde_json::to_string(&other).unwrap(),
        "the number of workers shows in the report"
    );
    report
}

/// A report's problems as `line:code`, `head:code` for the head.
pub(crate) fn short(report: &Report) -> Vec<String> {
    let place = |problem: &Problem| match problem.line {
        0 => format!("head:{}", problem.code),
        line => format!("{line}:{}", problem.code),
    };
    report.problems.iter().map(place).collect()
}

/// A journal made by hand, line by line: what another writer, or a forger, can do.
pub(crate) struct Forge {
    pub(crate) lines: Vec<String>,
    pub(crate) seq: u64,
    pub(crate) hash: Option<String>,
}

impl Forge {
    pub(crate) fn new() -> Self {
        Self {
            lines: Vec::new(),
            seq: 0,
            hash: None,
        }
    }

    /// Chains and signs the next event.
    pub(crate) fn push(&mut self, key: &SigningKey, kind: &str, payload: &Value) {
        self.push_as(key, &json!(key.public().id()), kind, payload);
    }

    pub(crate) fn push_as(&mut self, key: &SigningKey, id: &Value, kind: &str, payload: &Value) {
        let mut event = json!({
            "v": 2, "seq": self.seq + 1, "ts": "2026-01-02T03:04:05.678Z", "prevHash": self.hash,
            "kind": kind, "actor": "session_owner", "payload": payload, "tenant_id": null,
            "signing_key_id": id, "approval_binding_type": null, "intendant_identity_uri": null,
            "on_behalf_of": null,
        });
        let mut signed = self.hash.clone().unwrap_or_default().into_bytes();
        signed.extend(canonical(&event));
        let digest = ring::digest::digest(&ring::digest::SHA256, &signed);
        let hash = HEXLOWER.encode(digest.as_ref());
        event["hash"] = json!(hash);
        event["signature"] = json!(BASE64.encode(&key.sign(&signed)));
        self.lines
            .push(String::from_utf8(canonical(&event)).unwrap());
        self.seq += 1;
        self.hash = Some(hash);
    }

    /// Writes the log and a head of this key's.
    pub(crate) fn write(&self, paths: &Paths, key: &SigningKey) {
        fs::write(&paths.log, self.lines.join("\n") + "\n").unwrap();
        fs::write(
            &paths.head,
            head_text(key, self.seq, self.hash.as_ref().unwrap()),
        )
        .unwrap();
    }
}

/// A head, signed.
pub(crate) fn head_text(key: &SigningKey, seq: u64, hash: &str) -> String {
    let hash = Sha256::from_hex(hash).unwrap();
    let head = Head { seq, hash };
    head.to_text(&key.sign(&head.signed_bytes()))
}

/// The events of a log.
pub(crate) fn events(log: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(log).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Runs `agp-verify`.
pub(crate) fn agp_verify(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_agp-verify"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Whether a tool that a test leans on is there. Where it is not, the test says so and passes,
/// except in CI (`AGP_CI=1`), where every test counts.
pub(crate) fn have(tool: &str, probe: &mut Command) -> bool {
    let works = probe.output().is_ok_and(|output| output.status.success());
    if !works {
        assert!(
            std::env::var_os("AGP_CI").is_none_or(|value| value != "1"),
            "AGP_CI=1, and {tool} does not work here"
        );
        // The printing macros are swallowed where a test passes.
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {name}: {tool} does not work here"
        );
    }
    works
}
