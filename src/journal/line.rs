//! One journal line: its envelope, the bytes it signs, and everything that can be wrong with it.

use std::cell::OnceCell;
use std::fmt;

use data_encoding::BASE64;
use serde_json::{Map, Value};

use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::contracts::strict_json::{self, StrictError};
use crate::contracts::timestamp;

use super::canonical_json;
use super::canonical_line;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What is wrong with a journal, as a stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the format document.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The stable text of the code.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// The line is longer than 1 MiB.
    LineTooLong = "line.too_long",
    /// The line is empty.
    LineBlank = "line.blank",
    /// The last line has no newline: a torn write, never acknowledged.
    LineTorn = "line.torn",
    /// The line is not strict JSON: syntax, encoding, trailing bytes.
    LineNotJson = "line.not_json",
    /// A name stands twice in one object.
    DuplicateName = "line.duplicate_name",
    /// A field of the envelope is absent.
    FieldMissing = "event.field_missing",
    /// The envelope has a field that the format does not know.
    FieldUnknown = "event.field_unknown",
    /// A field of the envelope has the wrong type or shape.
    FieldInvalid = "event.field_invalid",
    /// The event is not of format version 2.
    Version = "event.version",
    /// The sequence number does not follow the one before.
    Sequence = "chain.seq",
    /// `prevHash` is not the hash of the event before.
    PrevHash = "chain.prev_hash",
    /// `hash` is not the digest of the event's content.
    Hash = "event.hash",
    /// The signature is not the key's over the event's content.
    Signature = "event.signature",
    /// The event names another signing key than the one in force.
    KeyId = "event.key_id",
    /// A `key.rotated` event does not name a usable key.
    Rotation = "key.rotation",
    /// There is no head beside the journal.
    HeadMissing = "head.missing",
    /// The head is not of the format.
    HeadInvalid = "head.invalid",
    /// The head's signature is not the key's.
    HeadSignature = "head.signature",
    /// The journal ends before the event that the head names.
    Truncated = "head.truncated",
    /// The event that the head names has another hash.
    HeadHash = "head.hash",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// What kind of wrong.
    pub code: Code,
    /// For people.
    pub detail: String,
}

impl Flaw {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// Largest sequence number: the largest integer that every JSON reader keeps.
const SEQ_MAX: u64 = (1 << 53) - 1;

const REQUIRED: [&str; 13] = [
    "v",
    "seq",
    "ts",
    "prevHash",
    "hash",
    "signature",
    "kind",
    "actor",
    "payload",
    "tenant_id",
    "signing_key_id",
    "approval_binding_type",
    "intendant_identity_uri",
];
/// Required like the others; apart because a constant array wants a round number on screen.
const ON_BEHALF_OF: &str = "on_behalf_of";
/// Some writers add these two; we accept and never write them.
const TOLERATED: [&str; 2] = ["correlation_id", "gsb_receipt_tip_hash"];

/// A well-formed line. Its hash, chain and signature are not checked yet.
#[derive(Debug, Clone)]
#[cfg_attr(any(test, fuzzing), derive(PartialEq))]
pub struct Entry {
    /// Place in the journal, from 1.
    pub seq: u64,
    /// `hash` of the event before, as this one claims it.
    pub prev: Option<Sha256>,
    /// The claimed digest of this event.
    pub hash: Sha256,
    signature: [u8; 64],
    /// The bytes that `hash` and `signature` cover.
    signed: Vec<u8>,
    kind: String,
    signing_key_id: Option<String>,
    /// The envelope without `hash` and `signature`; of a canonical line, once it is asked for.
    fields: OnceCell<Map<String, Value>>,
}

impl Entry {
    /// Reads one line, newline excluded.
    ///
    /// # Errors
    /// The first [`Flaw`] that makes it no event of this format.
    pub fn parse(line: &[u8]) -> Result<Self, Flaw> {
        if line.is_empty() {
            return Err(Flaw::new(Code::LineBlank, "blank line"));
        }
        if line.len() > limits::LINE_BYTES {
            return Err(Flaw::new(Code::LineTooLong, "line is longer than 1 MiB"));
        }
        match Self::from_canonical(line) {
            Some(entry) => Ok(entry),
            None => Self::from_any(line),
        }
    }

    /// Reads a sound line that is its own canonical form. `None` tells nothing of the line.
    pub(super) fn from_canonical(line: &[u8]) -> Option<Self> {
        let line = canonical_line::scan(line)?;
        let seq = line.seq.parse().ok().filter(is_seq)?;
        let sound =
            timestamp::is_rfc3339_millis(line.ts) && !line.kind.is_empty() && is_actor(line.actor);
        let prev = match line.prev {
            Some(hex) => Some(Sha256::from_hex(hex)?),
            None => None,
        };
        let hash = Sha256::from_hex(line.hash)?;
        let signature = read_signature(line.signature)?;
        // What is hexadecimal here is lowercase: the text is the one that was hashed.
        let [start, middle, end] = line.unsealed;
        let signed = [line.prev.unwrap_or_default(), start, middle, end].concat();
        sound.then(|| Self {
            seq,
            prev,
            hash,
            signature,
            signed: signed.into_bytes(),
            kind: line.kind.to_owned(),
            signing_key_id: line.signing_key_id.map(str::to_owned),
            fields: OnceCell::new(),
        })
    }

    /// Reads any line, or tells what is wrong with it.
    pub(super) fn from_any(line: &[u8]) -> Result<Self, Flaw> {
        let value = strict_json::from_slice(line).map_err(|error| {
            let code = match error {
                StrictError::DuplicateName(_) => Code::DuplicateName,
                StrictError::Syntax(_) => Code::LineNotJson,
            };
            Flaw::new(code, error.to_string())
        })?;
        let Value::Object(fields) = value else {
            return Err(Flaw::new(Code::LineNotJson, "not a JSON object"));
        };
        Self::from_fields(fields)
    }

    fn from_fields(mut fields: Map<String, Value>) -> Result<Self, Flaw> {
        // Another version may have other fields: say that first.
        if fields.get("v").is_some_and(|v| v.as_u64() != Some(2)) {
            return Err(Flaw::new(Code::Version, "v is not 2"));
        }
        check_names(&fields)?;
        let seq = fields
            .get("seq")
            .and_then(Value::as_u64)
            .filter(is_seq)
            .ok_or_else(|| invalid("seq"))?;
        check_envelope(&fields)?;
        let prev = match fields.get("prevHash") {
            Some(Value::Null) => None,
            Some(Value::String(hex)) => {
                Some(Sha256::from_hex(hex).ok_or_else(|| invalid("prevHash"))?)
            }
            _ => return Err(invalid("prevHash")),
        };
        let hash = take_string(&mut fields, "hash")
            .and_then(|hex| Sha256::from_hex(&hex))
            .ok_or_else(|| invalid("hash"))?;
        let signature = take_string(&mut fields, "signature")
            .and_then(|text| read_signature(&text))
            .ok_or_else(|| invalid("signature"))?;
        let signed = signed_bytes(prev, &fields);
        let text = |name| Some(fields.get(name)?.as_str()?.to_owned());
        Ok(Self {
            seq,
            prev,
            hash,
            signature,
            signed,
            kind: text("kind").ok_or_else(|| invalid("kind"))?,
            signing_key_id: text("signing_key_id"),
            fields: OnceCell::from(fields),
        })
    }

    /// What is wrong with the event's own content: hash and signature. Empty when nothing is.
    pub(super) fn check_content(&self, key: &super::key::PublicKey) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        if Sha256::of(&self.signed) != self.hash {
            flaws.push(Flaw::new(Code::Hash, "hash does not match the content"));
        }
        if !key.verifies(&self.signed, &self.signature) {
            flaws.push(Flaw::new(Code::Signature, "signature does not verify"));
        }
        if let Some(named) = &self.signing_key_id
            && named != key.id()
        {
            let detail = format!(
                "signing_key_id is {named}, the key in force is {}",
                key.id()
            );
            flaws.push(Flaw::new(Code::KeyId, detail));
        }
        flaws
    }

    /// The event's kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// A string field of the envelope.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields().get(name).and_then(Value::as_str)
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> Option<&Map<String, Value>> {
        self.fields().get("payload").and_then(Value::as_object)
    }

    fn fields(&self) -> &Map<String, Value> {
        self.fields.get_or_init(|| {
            let prefix = self.prev.map_or(0, |prev| prev.to_hex().len());
            let envelope = self.signed.get(prefix..).unwrap_or_default();
            // What the scan takes, the strict reader reads: the tests hold them together.
            match strict_json::from_slice(envelope) {
                Ok(Value::Object(fields)) => fields,
                _ => Map::new(),
            }
        })
    }
}

/// The bytes that hash and signature cover: `prevHash` as hexadecimal text, nothing when null,
/// then the canonical envelope without `hash` and `signature`.
pub(super) fn signed_bytes(prev: Option<Sha256>, fields: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = prev.map(Sha256::to_hex).unwrap_or_default().into_bytes();
    bytes.extend_from_slice(&canonical_json::canonical_object(fields));
    bytes
}

fn invalid(field: &str) -> Flaw {
    Flaw::new(
        Code::FieldInvalid,
        format!("{field} has the wrong type or shape"),
    )
}

fn is_seq(seq: &u64) -> bool {
    (1..=SEQ_MAX).contains(seq)
}

fn is_actor(text: &str) -> bool {
    matches!(text, "session_owner" | "claude_process")
}

fn read_signature(text: &str) -> Option<[u8; 64]> {
    BASE64.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn take_string(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn check_names(fields: &Map<String, Value>) -> Result<(), Flaw> {
    for name in REQUIRED.iter().chain([&ON_BEHALF_OF]) {
        if !fields.contains_key(*name) {
            return Err(Flaw::new(Code::FieldMissing, format!("{name} is missing")));
        }
    }
    let known =
        |name: &str| REQUIRED.contains(&name) || name == ON_BEHALF_OF || TOLERATED.contains(&name);
    // Fields known and required are all there, so a count tells whether there are others.
    if fields.len() == REQUIRED.len() + 1 {
        return Ok(());
    }
    match fields.keys().find(|name| !known(name)) {
        Some(name) => Err(Flaw::new(
            Code::FieldUnknown,
            format!("unknown field {name:?}"),
        )),
        None => Ok(()),
    }
}

fn check_envelope(fields: &Map<String, Value>) -> Result<(), Flaw> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if !text("ts").is_some_and(timestamp::is_rfc3339_millis) {
        return Err(invalid("ts"));
    }
    if text("kind").is_none_or(str::is_empty) {
        return Err(invalid("kind"));
    }
    if !text("actor").is_some_and(is_actor) {
        return Err(invalid("actor"));
    }
    if !fields.get("payload").is_some_and(Value::is_object) {
        return Err(invalid("payload"));
    }
    if !fields.get("tenant_id").is_some_and(Value::is_null) {
        return Err(invalid("tenant_id"));
    }
    let nullable = [
        "signing_key_id",
        "approval_binding_type",
        "intendant_identity_uri",
    ];
    for name in nullable.iter().chain([&ON_BEHALF_OF]).chain(&TOLERATED) {
        if !matches!(
            fields.get(*name),
            None | Some(Value::Null | Value::String(_))
        ) {
            return Err(invalid(name));
        }
    }
    Ok(())
}
