//! Whose answer it is. Whoever asks sends a number that was never used before, and the answer comes back
//! signed over it with the session's own key, which is in the governor's memory and nowhere else. Whoever
//! else listens at the socket cannot sign; an answer to another question, or to the same one asked
//! before, was signed over another number.

use data_encoding::{BASE64, HEXLOWER};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

use crate::journal;
use crate::journal::key::{PublicKey, SigningKey};

/// What is signed begins with this: no signature for another purpose passes for one of these.
const PURPOSE: &[u8] = b"agp gateway answer 1\n";

/// A number used once; on the wire 32 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// One that nobody has seen; `None` when the system has no randomness to give.
    #[must_use]
    pub fn fresh() -> Option<Self> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Reads one.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// As it is written.
    #[must_use]
    pub fn to_hex(self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

/// What was read, with the proof that came with it.
#[must_use = "anybody may have written it"]
#[derive(Debug, Clone)]
pub struct Proved<T> {
    said: T,
    signed: Value,
    proof: Option<String>,
}

impl<T> Proved<T> {
    pub(super) fn new(said: T, signed: Value, proof: Option<String>) -> Self {
        Self {
            said,
            signed,
            proof,
        }
    }

    /// What was said, if the key's owner said it to the question with this number.
    pub fn by(self, key: &PublicKey, nonce: Nonce) -> Option<T> {
        let proof = self.proof.as_deref()?;
        holds(key, nonce, &self.signed, proof).then_some(self.said)
    }

    /// A look at it.
    pub(super) fn said(&self) -> &T {
        &self.said
    }

    /// What was said, by whomever.
    pub fn by_anybody(self) -> T {
        self.said
    }
}

/// The proof that an answer is its governor's, to the question with this number: base64, 88 characters.
pub(super) fn of(key: &SigningKey, nonce: Nonce, answer: &Value) -> String {
    BASE64.encode(&key.sign(&signed(nonce, answer)))
}

/// Whether a proof is that of the key's owner, of this answer to the question with this number.
pub(super) fn holds(key: &PublicKey, nonce: Nonce, answer: &Value, proof: &str) -> bool {
    let signature = BASE64.decode(proof.as_bytes()).ok();
    let signature = signature.and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    signature.is_some_and(|signature| key.verifies(&signed(nonce, answer), &signature))
}

/// The bytes that are signed: the purpose, the number, the whole answer in canonical form.
fn signed(nonce: Nonce, answer: &Value) -> Vec<u8> {
    let answer = journal::canonical(answer);
    [PURPOSE, nonce.to_hex().as_bytes(), b"\n", &answer].concat()
}

/// The key and the number of the test vector in `docs/design.md`.
#[cfg(any(test, fuzzing))]
#[allow(clippy::expect_used, reason = "they are constants")]
pub(super) fn documented() -> (SigningKey, Nonce) {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n\
        -----END PRIVATE KEY-----\n";
    let key = SigningKey::from_pem(pem).expect("a key");
    let nonce = Nonce::from_hex("000102030405060708090a0b0c0d0e0f");
    (key, nonce.expect("a nonce"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        json!({"kind": "policy_verdict", "id": "t1", "sessionId": "s1",
            "verdict": {"decision": "allow", "reason": "because", "ruleId": null, "tier": null}})
    }

    #[test]
    fn a_proof_is_of_one_answer_to_one_question() {
        let (key, _) = SigningKey::generate().unwrap();
        let (other, _) = SigningKey::generate().unwrap();
        let [nonce, later] = [Nonce::fresh().unwrap(), Nonce::fresh().unwrap()];
        assert_ne!(nonce, later);
        let proof = of(&key, nonce, &answer());
        assert!(holds(key.public(), nonce, &answer(), &proof));
        assert!(!holds(key.public(), later, &answer(), &proof), "replayed");
        assert!(!holds(other.public(), nonce, &answer(), &proof));
        for (pointer, to) in [
            ("/id", json!("t2")),
            ("/sessionId", json!("s2")),
            ("/verdict/decision", json!("deny")),
            ("/verdict/reason", json!("another")),
        ] {
            let mut changed = answer();
            *changed.pointer_mut(pointer).unwrap() = to;
            assert!(!holds(key.public(), nonce, &changed, &proof), "{pointer}");
        }
        for bad in [
            "",
            "AAAA",
            &proof[1..],
            &format!("{proof}A"),
            &"A".repeat(88),
        ] {
            assert!(!holds(key.public(), nonce, &answer(), bad), "{bad}");
        }
    }

    /// The test vector of `docs/design.md`.
    #[test]
    fn what_is_signed_is_what_is_documented() {
        let (key, nonce) = documented();
        let text = String::from_utf8(signed(nonce, &answer())).unwrap();
        assert_eq!(
            text,
            "agp gateway answer 1\n000102030405060708090a0b0c0d0e0f\n\
             {\"id\":\"t1\",\"kind\":\"policy_verdict\",\"sessionId\":\"s1\",\"verdict\":{\"decision\":\"allow\",\
             \"reason\":\"because\",\"ruleId\":null,\"tier\":null}}"
        );
        assert_eq!(
            key.public().to_spki_base64(),
            "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
        );
        // As OpenSSL signs the same.
        let proof = "JPgxT1GnnWdf3ks1+4Swe4awGY/32eIeFzpzQxYFgQhCwk45SntOuBJTuhAk5pgzY1nzwCzbC2W99QAOR8DZBA==";
        assert_eq!(of(&key, nonce, &answer()), proof);
    }

    #[test]
    fn a_nonce_is_32_lowercase_digits() {
        let nonce = Nonce::fresh().unwrap();
        assert_eq!(Nonce::from_hex(&nonce.to_hex()), Some(nonce));
        for bad in ["", "00", &"0".repeat(33), &"A".repeat(32), &"0".repeat(64)] {
            assert_eq!(Nonce::from_hex(bad), None, "{bad}");
        }
    }
}
