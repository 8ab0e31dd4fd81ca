//! Policies over each other: a shipped one below one's own, the machine's above, the repository's beside.

use serde_json::{Map, Value, json};

use super::document::Document;
use super::layer::{Layer, Owner};
use super::layer_error::LayerError;
use super::{Policy, PolicyError};
use crate::contracts::ids::Sha256;
use crate::contracts::verdict::Decision;
use crate::contracts::{limits, strict_json};

/// The policies that ship, by name, with their texts.
pub const SHIPPED: [(&str, &str); 3] = [
    ("standard", include_str!("shipped/standard.json")),
    ("strict", include_str!("shipped/strict.json")),
    ("watch", include_str!("shipped/watch.json")),
];

/// The text of a policy that ships.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    let text = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    text.map(|(_, text)| *text)
}

/// A layer's text as it results, and the digest of the file that it came from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) owner: Owner,
    pub(super) text: Value,
    pub(super) digest: Sha256,
}

/// Reads one layer.
pub(super) fn layer(owner: Owner, bytes: &[u8]) -> Result<(Layer, Source), PolicyError> {
    if u64::try_from(bytes.len()).is_ok_and(|len| len > limits::POLICY_BYTES) {
        return Err(PolicyError::TooLarge);
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(PolicyError::Empty);
    }
    let (mut document, mut text): (Document, _) = strict_json::parse_both(bytes)?;
    text.remove("$schema");
    if let Some(base) = document.base.take() {
        text = over(&base, &document.drop, text).map_err(PolicyError::Layer)?;
        let whole = Value::Object(text.clone()).to_string();
        // Made of strict JSON, it needs no second look for that.
        document = serde_json::from_str(&whole)
            .map_err(|error| PolicyError::Layer(LayerError::Over(base, error)))?;
    }
    if owner == Owner::Repository {
        tightens(&document).map_err(PolicyError::Layer)?;
    }
    let source = Source {
        owner,
        text: Value::Object(text),
        digest: Sha256::of(bytes),
    };
    Ok((Layer::new(owner, document), source))
}

/// A policy over a shipped one: its own settings count, its rules stand behind.
fn over(
    base: &str,
    drop: &[String],
    mut own: Map<String, Value>,
) -> Result<Map<String, Value>, LayerError> {
    let text = shipped(base).ok_or_else(|| LayerError::UnknownBase(base.to_owned()))?;
    let mut whole: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| LayerError::Over(base.to_owned(), error))?;
    let mut rules = match whole.remove("rules") {
        Some(Value::Array(rules)) => rules,
        _ => Vec::new(),
    };
    let id = |rule: &Value| rule.get("id").and_then(Value::as_str).map(str::to_owned);
    for dropped in drop {
        let before = rules.len();
        rules.retain(|rule| id(rule).as_ref() != Some(dropped));
        if rules.len() == before {
            return Err(LayerError::UnknownDrop {
                base: base.to_owned(),
                rule: dropped.clone(),
            });
        }
    }
    let added = match own.remove("rules") {
        Some(Value::Array(rules)) => rules,
        _ => Vec::new(),
    };
    for rule in &added {
        let taken = rules.iter().any(|other| id(other) == id(rule));
        if let (true, Some(rule)) = (taken, id(rule)) {
            let base = base.to_owned();
            return Err(LayerError::Taken { base, rule });
        }
    }
    rules.extend(added);
    own.remove("base");
    own.remove("drop");
    let danger = own.remove("danger");
    if let Some(Value::Object(settings)) = danger {
        let below = whole.entry("danger").or_insert_with(|| json!({}));
        if let Value::Object(below) = below {
            below.extend(settings);
        }
    }
    whole.extend(own);
    whole.remove("$schema");
    whole.insert("rules".to_owned(), Value::Array(rules));
    Ok(whole)
}

/// A repository's policy can only tighten.
fn tightens(document: &Document) -> Result<(), LayerError> {
    let allow = document
        .rules
        .iter()
        .find(|rule| rule.effect == Decision::Allow);
    if let Some(rule) = allow {
        return Err(LayerError::Loosens(rule.id.clone()));
    }
    if document.otherwise.is_some() || document.unread.is_some() || !document.tools.is_empty() {
        return Err(LayerError::MoreThanRules);
    }
    Ok(())
}

impl Policy {
    /// A policy of several layers: `managed` is the machine's, `repository` the repository's own.
    ///
    /// # Errors
    /// As [`Policy::parse`], with whose text it is.
    pub fn layered(
        managed: Option<&[u8]>,
        main: &[u8],
        repository: Option<&[u8]>,
    ) -> Result<Self, (Owner, PolicyError)> {
        let mut layers = Vec::new();
        let mut sources = Vec::new();
        let texts = [
            (Owner::Managed, managed),
            (Owner::Main, Some(main)),
            (Owner::Repository, repository),
        ];
        for (owner, bytes) in texts {
            let Some(bytes) = bytes else { continue };
            let (layer, source) = layer(owner, bytes).map_err(|error| (owner, error))?;
            layers.push(layer);
            sources.push(source);
        }
        Ok(Self { layers, sources })
    }

    /// The whole text that results from all layers, for the record: what each layer's rules are once its base is
    /// filled in, and the digest of each file.
    #[must_use]
    pub fn text(&self) -> Value {
        let mut text = Map::new();
        for source in &self.sources {
            let name = match source.owner {
                Owner::Managed => "managed",
                Owner::Main => "policy",
                Owner::Repository => "repository",
            };
            let part = json!({"sha256": source.digest.to_hex(), "policy": source.text});
            text.insert(name.to_owned(), part);
        }
        Value::Object(text)
    }

    /// SHA-256 of the exact bytes of a layer's file.
    #[must_use]
    pub fn digest_of(&self, owner: Owner) -> Option<Sha256> {
        let mut sources = self.sources.iter();
        sources
            .find(|source| source.owner == owner)
            .map(|source| source.digest)
    }
}
