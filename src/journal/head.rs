//! The head: the signed checkpoint of the journal's tail, `{"hash","seq","signature"}`.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::contracts::ids::Sha256;
use crate::contracts::strict_json;

use super::key::PublicKey;
use super::line::{Code, Flaw};

/// The event that a head names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Sequence number of the last event.
    pub seq: u64,
    /// Its hash.
    pub hash: Sha256,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    hash: String,
    seq: u64,
    signature: String,
}

impl Head {
    /// The bytes that a head's signature covers: canonical JSON of `{"hash","seq"}`.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        format!(r#"{{"hash":"{}","seq":{}}}"#, self.hash, self.seq).into_bytes()
    }

    /// The head's file text, without padding.
    #[must_use]
    pub fn to_text(&self, signature: &[u8; 64]) -> String {
        let signature = BASE64.encode(signature);
        format!(
            r#"{{"hash":"{}","seq":{},"signature":"{signature}"}}"#,
            self.hash, self.seq
        )
    }

    /// Reads a head and checks its signature.
    ///
    /// # Errors
    /// A [`Flaw`] with [`Code::HeadInvalid`] or [`Code::HeadSignature`].
    pub fn read(bytes: &[u8], key: &PublicKey) -> Result<Self, Flaw> {
        let (head, signature) = Self::parse(bytes)?;
        if key.verifies(&head.signed_bytes(), &signature) {
            Ok(head)
        } else {
            Err(Flaw::new(
                Code::HeadSignature,
                "the head's signature does not verify",
            ))
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, [u8; 64]), Flaw> {
        let malformed = |detail: String| Flaw::new(Code::HeadInvalid, detail);
        let wire: Wire = strict_json::parse(bytes).map_err(|error| malformed(error.to_string()))?;
        let hash = Sha256::from_hex(&wire.hash)
            .ok_or_else(|| malformed("hash is not 64 lowercase hexadecimal digits".into()))?;
        let signature = BASE64
            .decode(wire.signature.as_bytes())
            .ok()
            .and_then(|raw| raw.try_into().ok())
            .ok_or_else(|| malformed("signature is not 88 characters of base64".into()))?;
        Ok((
            Self {
                seq: wire.seq,
                hash,
            },
            signature,
        ))
    }
}
