//! An event on its way to the disk, as text: the payload made canonical once, the envelope written
//! around it, hash and signature put in their places.

use data_encoding::BASE64;

use crate::contracts::event::{Draft, Kind};
use crate::contracts::ids::Sha256;
use crate::contracts::{limits, strict_json};

use super::canonical_json;
use super::receipt::Receipt;

/// More than the envelope can take, without the payload and the human it may name.
const ENVELOPE_BYTES: usize = 2048;

/// A draft whose payload is in canonical form and may be written.
pub(super) struct Sealed {
    draft: Draft,
    payload: Vec<u8>,
}

impl Sealed {
    /// Makes the payload canonical. `None` when the event could not be read again: it is too long
    /// for a line, or nested deeper than readers go, and would damage the journal for good.
    pub(super) fn new(draft: Draft) -> Option<Self> {
        let payload = canonical_json::canonical_object(&draft.payload);
        let named = draft.on_behalf_of.as_deref().unwrap_or_default();
        let bytes = payload.len() + canonical_json::canonical(&named.into()).len();
        // The envelope and the payload itself are two of the levels.
        let mut values = draft.payload.values();
        let fits = bytes <= limits::LINE_BYTES - ENVELOPE_BYTES
            && values.all(|value| strict_json::nests_within(value, limits::JSON_DEPTH - 2));
        fits.then_some(Self { draft, payload })
    }

    /// What kind of event it is.
    pub(super) fn kind(&self) -> Kind {
        self.draft.kind
    }

    /// Gives the event its place in the chain.
    ///
    /// The names stand in canonical order, and every text between quotes is of ours and needs no
    /// escape, except for `on_behalf_of`.
    pub(super) fn chain(self, seq: u64, prev: Option<Sha256>, ts: &str, key_id: &str) -> Chained {
        let draft = self.draft;
        let binding = quoted(draft.binding.map(|binding| binding.as_str()));
        let prefix = prev.map(Sha256::to_hex).unwrap_or_default();
        let prev = quoted((!prefix.is_empty()).then_some(prefix.as_str()));
        // Neither text nor null can fail to be written.
        let human = serde_json::to_string(&draft.on_behalf_of).unwrap_or_default();
        let (actor, kind) = (draft.actor.as_str(), draft.kind.as_str());

        let mut signed = Vec::with_capacity(self.payload.len() + ENVELOPE_BYTES / 2);
        let mut put = |part: &[u8]| {
            signed.extend_from_slice(part);
            signed.len()
        };
        let start = put(prefix.as_bytes());
        let hash_at =
            put(format!(r#"{{"actor":"{actor}","approval_binding_type":{binding},"#).as_bytes());
        put(br#""intendant_identity_uri":null,"#);
        put(format!(r#""kind":"{kind}","on_behalf_of":{human},"payload":"#).as_bytes());
        put(&self.payload);
        let signature_at = put(format!(r#","prevHash":{prev},"seq":{seq},"#).as_bytes());
        put(format!(r#""signing_key_id":"{key_id}","tenant_id":null,"#).as_bytes());
        put(format!(r#""ts":"{ts}","v":2}}"#).as_bytes());
        let hash = Sha256::of(&signed);
        Chained {
            hash,
            receipt: Receipt::new(seq, hash, draft.kind, draft.call),
            signed,
            places: [start, hash_at, signature_at],
        }
    }
}

fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
}

/// An event in its place, not yet signed.
pub(super) struct Chained {
    /// Its digest.
    pub(super) hash: Sha256,
    /// What its author gets once it is on disk.
    pub(super) receipt: Receipt,
    /// The bytes that hash and signature cover.
    pub(super) signed: Vec<u8>,
    /// Where in them the envelope begins, and where `hash` and `signature` go.
    places: [usize; 3],
}

impl Chained {
    /// Appends the event's line, newline included.
    pub(super) fn write_line(&self, signature: &[u8; 64], lines: &mut Vec<u8>) {
        let [start, hash_at, signature_at] = self.places;
        let mut put = |part: &[u8]| lines.extend_from_slice(part);
        put(self.signed.get(start..hash_at).unwrap_or_default());
        put(format!("\"hash\":\"{}\",", self.hash).as_bytes());
        put(self.signed.get(hash_at..signature_at).unwrap_or_default());
        put(format!("\"signature\":\"{}\",", BASE64.encode(signature)).as_bytes());
        put(self.signed.get(signature_at..).unwrap_or_default());
        put(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::contracts::event::ApprovalBinding;
    use crate::journal::key::SigningKey;
    use crate::journal::line::Entry;

    #[test]
    fn a_line_is_canonical_and_verifies() {
        let (key, _) = SigningKey::generate().unwrap();
        let id = key.public().id();
        let mut plain = Draft::new(Kind::SessionStarted, Map::new());
        let mut full = Draft::new(Kind::ApprovalGranted, Map::new());
        for (name, value) in [
            ("z", json!(1.50)),
            ("\u{fb33}", json!("\n")),
            ("\u{1f600}", json!([])),
        ] {
            plain.payload.insert(name.into(), value.clone());
            full.payload.insert(name.into(), value);
        }
        full.binding = Some(ApprovalBinding::Console);
        full.on_behalf_of = Some("a \"b\" \\ \u{7} \u{e9} \u{2028} (uid 1)".into());
        let mut prev = None;
        for (draft, seq) in [(plain.clone(), 1), (full, 2), (plain, 1 << 52)] {
            let sealed = Sealed::new(draft.clone()).unwrap();
            let chained = sealed.chain(seq, prev, "2026-01-02T03:04:05.678Z", id);
            let mut line = Vec::new();
            chained.write_line(&key.sign(&chained.signed), &mut line);
            assert_eq!(line.pop(), Some(b'\n'));

            assert_eq!(
                canonical_json::canonical(&strict_json::from_slice(&line).unwrap()),
                line
            );
            let entry = Entry::parse(&line).unwrap();
            assert_eq!(
                (entry.seq, entry.prev, entry.hash),
                (seq, prev, chained.hash)
            );
            assert_eq!(entry.check_content(key.public()), []);
            assert_eq!(entry.kind(), draft.kind.as_str());
            assert_eq!(entry.payload(), Some(&draft.payload));
            assert_eq!(entry.text("on_behalf_of"), draft.on_behalf_of.as_deref());
            let binding = draft.binding.map(ApprovalBinding::as_str);
            assert_eq!(entry.text("approval_binding_type"), binding);
            prev = Some(chained.hash);
        }
    }

    #[test]
    fn an_ordinary_line_is_one_that_the_verifier_reads_fast() {
        let (key, _) = SigningKey::generate().unwrap();
        let mut draft = Draft::new(Kind::SessionStarted, Map::new());
        let payload =
            json!({"args": {"command": "a\tb \u{1f600}"}, "exit": -1, "ok": [true, null]});
        draft.payload = payload.as_object().unwrap().clone();
        draft.on_behalf_of = Some("a \"b\" (uid 1)".into());
        for prev in [None, Some(Sha256::of(b""))] {
            let sealed = Sealed::new(draft.clone()).unwrap();
            let ts = "2026-01-02T03:04:05.678Z";
            let chained = sealed.chain(7, prev, ts, key.public().id());
            let mut line = Vec::new();
            chained.write_line(&key.sign(&chained.signed), &mut line);
            let entry = Entry::from_canonical(line.strip_suffix(b"\n").unwrap()).unwrap();
            assert_eq!(entry.check_content(key.public()), []);
            assert_eq!(entry.payload(), Some(&draft.payload));
        }
    }

    #[test]
    fn a_payload_that_leaves_no_room_for_its_envelope_is_refused() {
        let of = |bytes: usize| {
            let payload = Map::from_iter([("a".to_owned(), Value::String("x".repeat(bytes)))]);
            Sealed::new(Draft::new(Kind::SessionStarted, payload))
        };
        let room = limits::LINE_BYTES - ENVELOPE_BYTES - r#"{"a":""}"#.len() - "\"\"".len();
        assert!(of(room).is_some());
        assert!(of(room + 1).is_none());
    }
}
