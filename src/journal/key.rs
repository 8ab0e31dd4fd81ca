//! Ed25519 keys and their files: SPKI and PKCS#8 v1 in PEM (RFC 8410), as OpenSSL reads them.

use crate::contracts::ids::Sha256;
use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use ring::signature::{ED25519, UnparsedPublicKey};

/// DER in front of the 32 bytes of a public key: SubjectPublicKeyInfo with id-Ed25519.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0,
];
/// DER in front of the 32 bytes of a seed: PKCS#8 version 1. `ring` itself writes version 2,
/// which OpenSSL does not read.
#[cfg(feature = "agp")]
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an Ed25519 key in PEM format (SPKI or PKCS#8 v1)")
    }
}

impl std::error::Error for InvalidKey {}

/// A public key that verifies events.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    raw: [u8; 32],
    id: String,
}

impl PublicKey {
    /// From the 32 bytes of RFC 8032.
    #[must_use]
    pub fn from_raw(raw: [u8; 32]) -> Self {
        let id = HEXLOWER.encode(Sha256::of(&spki(raw)).0.split_at(8).0);
        Self { raw, id }
    }

    /// From `-----BEGIN PUBLIC KEY-----` and the base64 of an SPKI with Ed25519.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything else.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let body = text
            .trim()
            .strip_prefix("-----BEGIN PUBLIC KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
            .ok_or(InvalidKey)?;
        Self::from_spki_base64(body.trim())
    }

    /// From the base64 of an SPKI with Ed25519, as `key.rotated` carries it.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything else.
    pub fn from_spki_base64(text: &str) -> Result<Self, InvalidKey> {
        let der = BASE64.decode(text.as_bytes()).map_err(|_| InvalidKey)?;
        let raw = der.strip_prefix(&SPKI_PREFIX).ok_or(InvalidKey)?;
        Ok(Self::from_raw(raw.try_into().map_err(|_| InvalidKey)?))
    }

    /// The base64 of the SPKI.
    #[must_use]
    pub fn to_spki_base64(&self) -> String {
        BASE64.encode(&spki(self.raw))
    }

    /// The PEM file's text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            self.to_spki_base64()
        )
    }

    /// The first 16 hexadecimal digits of SHA-256 of the SPKI DER.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether `signature` is this key's over `message` (RFC 8032, pure Ed25519).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.raw)
            .verify(message, signature)
            .is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

fn spki(raw: [u8; 32]) -> Vec<u8> {
    [&SPKI_PREFIX[..], &raw[..]].concat()
}

#[cfg(feature = "agp")]
pub use signing::SigningKey;

#[cfg(feature = "agp")]
mod signing {
    use super::{BASE64, InvalidKey, PKCS8_PREFIX, PublicKey, fmt};
    use ring::rand::{SecureRandom, SystemRandom};
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use zeroize::Zeroizing;

    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";

    /// The key that signs the journal. Never shown, never cloned.
    pub struct SigningKey {
        pair: Ed25519KeyPair,
        public: PublicKey,
    }

    impl SigningKey {
        /// Mints a key and gives it with its PEM file's text, which is wiped when dropped.
        ///
        /// # Errors
        /// [`InvalidKey`] when the system has no randomness to give.
        pub fn generate() -> Result<(Self, Zeroizing<String>), InvalidKey> {
            let mut seed = Zeroizing::new([0_u8; 32]);
            SystemRandom::new()
                .fill(&mut seed[..])
                .map_err(|_| InvalidKey)?;
            let der = Zeroizing::new([&PKCS8_PREFIX[..], &seed[..]].concat());
            let body = Zeroizing::new(BASE64.encode(&der));
            let pem = Zeroizing::new(format!("{BEGIN}\n{}\n{END}\n", body.as_str()));
            Ok((Self::from_seed(&seed[..])?, pem))
        }

        /// Reads a PKCS#8 v1 PEM.
        ///
        /// # Errors
        /// [`InvalidKey`] for anything else.
        pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
            let body = text
                .trim()
                .strip_prefix(BEGIN)
                .and_then(|rest| rest.strip_suffix(END))
                .ok_or(InvalidKey)?;
            let der = Zeroizing::new(
                BASE64
                    .decode(body.trim().as_bytes())
                    .map_err(|_| InvalidKey)?,
            );
            Self::from_seed(der.strip_prefix(&PKCS8_PREFIX).ok_or(InvalidKey)?)
        }

        fn from_seed(seed: &[u8]) -> Result<Self, InvalidKey> {
            let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidKey)?;
            let raw = pair
                .public_key()
                .as_ref()
                .try_into()
                .map_err(|_| InvalidKey)?;
            Ok(Self {
                pair,
                public: PublicKey::from_raw(raw),
            })
        }

        /// The public half.
        #[must_use]
        pub fn public(&self) -> &PublicKey {
            &self.public
        }

        /// Signs (RFC 8032, pure Ed25519).
        #[must_use]
        pub fn sign(&self, message: &[u8]) -> [u8; 64] {
            let mut out = [0; 64];
            out.copy_from_slice(self.pair.sign(message).as_ref());
            out
        }
    }

    impl fmt::Debug for SigningKey {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "SigningKey({})", self.public.id())
        }
    }
}

#[cfg(all(test, feature = "agp"))]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_signs_for_its_public_half() {
        let (key, pem) = SigningKey::generate().unwrap();
        let again = SigningKey::from_pem(&pem).unwrap();
        assert_eq!(again.public(), key.public());
        let public = PublicKey::from_pem(&key.public().to_pem()).unwrap();
        assert!(public.verifies(b"text", &again.sign(b"text")));
        assert!(!public.verifies(b"texT", &again.sign(b"text")));
        assert!(!format!("{key:?}").contains(&pem[28..60]));
    }

    #[test]
    fn other_key_files_are_refused() {
        let (key, pem) = SigningKey::generate().unwrap();
        assert!(SigningKey::from_pem(&key.public().to_pem()).is_err());
        assert!(PublicKey::from_pem(&pem).is_err());
        assert!(SigningKey::from_pem(&pem.replace("MC4", "MC5")).is_err());
        assert!(PublicKey::from_pem("-----BEGIN PUBLIC KEY-----").is_err());
    }
}
