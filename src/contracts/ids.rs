//! Identifiers as types: a message id cannot stand where a session id belongs.

use std::fmt;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::limits;

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId(&'static str, usize);

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an ID is 1 to {} {}", self.1, self.0)
    }
}

impl std::error::Error for InvalidId {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:expr, $of:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Takes 1 to [`", stringify!($bytes), "`] ", $of, ".")]
            ///
            /// # Errors
            /// [`InvalidId`] for anything else.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let fits: fn(u8) -> bool = $fits;
                match (1..=$bytes).contains(&text.len()) && text.bytes().all(fits) {
                    true => Ok(Self(text)),
                    false => Err(InvalidId($of, $bytes)),
                }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One tool call: the harness's own tool-use id where it has one. It is opaque: whatever a model's
    /// provider, or a gateway before it, makes of it. So it is no file's name, and is escaped
    /// wherever it is shown.
    MessageId,
    limits::MESSAGE_ID_BYTES,
    "bytes of any text",
    |_| true
);
id!(
    /// One governed session: agp's own, and a part of files' names.
    SessionId,
    limits::ID_BYTES,
    "characters of A-Z a-z 0-9 . _ : -",
    |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-')
);

impl MessageId {
    /// The id under which a call is known whose harness says this: the same, or its digest where that is
    /// too long. `None` for no text at all.
    #[must_use]
    pub fn known_as(text: &str) -> Option<Self> {
        match text.len() {
            0 => None,
            1..=limits::MESSAGE_ID_BYTES => Some(Self(text.to_owned())),
            _ => Some(Self(format!("sha256:{}", Sha256::of(text.as_bytes())))),
        }
    }
}

/// A SHA-256 digest; on the wire 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The digest of no bytes at all.
    pub const OF_NOTHING: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(bytes);
        Self::finished(context)
    }

    /// The digest of what a context was given; the context must be one of SHA-256.
    #[must_use]
    pub fn finished(context: Context) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }

    /// Reads 64 lowercase hexadecimal digits; anything else is `None`.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// 64 lowercase hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.to_hex()
    }
}

impl TryFrom<String> for Sha256 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::from_hex(&text).ok_or("a SHA-256 digest is 64 lowercase hexadecimal digits")
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calls_id_is_any_text_of_a_bounded_length() {
        let longest = "a".repeat(limits::MESSAGE_ID_BYTES);
        for text in [
            "toolu_01AbC:2.x-y",
            "call_1|fc_2/x@y",
            "a b",
            "\u{1b}[2J\n\0",
            "\u{202e}",
            &longest,
        ] {
            assert_eq!(MessageId::new(text).unwrap().as_str(), text);
            assert_eq!(MessageId::known_as(text).unwrap().as_str(), text);
        }
        let longer = longest + "a";
        for text in ["", &longer] {
            assert!(MessageId::new(text).is_err());
        }
        assert_eq!(MessageId::known_as(""), None);
        let known = MessageId::known_as(&longer).unwrap();
        assert_eq!(known.as_str().len(), "sha256:".len() + 64);
        assert_eq!(MessageId::new(known.as_str()), Ok(known.clone()));
        assert_ne!(MessageId::known_as(&(longer + "a")), Some(known));
    }

    #[test]
    fn a_sessions_id_takes_only_its_alphabet_and_length() {
        assert!(SessionId::new("s-01AbC:2.x_y").is_ok());
        for bad in [
            "",
            "a b",
            "ü",
            "a\n",
            "../x",
            &"a".repeat(limits::ID_BYTES + 1),
        ] {
            assert!(SessionId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn digests_are_lowercase_hex_of_exactly_64_digits() {
        let hex = "0".repeat(63) + "a";
        assert_eq!(
            Sha256::from_hex(&hex).map(Sha256::to_hex),
            Some(hex.clone())
        );
        assert!(Sha256::from_hex(&hex.to_uppercase()).is_none());
        assert!(Sha256::from_hex(&hex[1..]).is_none());
    }
}
