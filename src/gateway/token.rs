//! Who may speak to the gateway. Landlock keeps no process from connecting to a socket, so a session's commands
//! can. What they cannot do is read the session's token: a number that lies beside the socket, and that the
//! harness's hooks and agp's own server send with each question.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::rand::{SecureRandom, SystemRandom};

use crate::contracts::{bounded_file, limits};

/// The file beside the gateway's socket that holds the session's token.
pub const FILE: &str = "gate.token";

/// A session's token; on the wire and in its file 64 lowercase hexadecimal digits.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// One that nobody has seen; `None` when the system has no randomness to give.
    #[must_use]
    pub fn fresh() -> Option<Self> {
        let mut bytes = [0; 32];
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
    pub(super) fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The one that lies beside this socket, if one does.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn beside(socket: &Path) -> io::Result<Option<Self>> {
        let text = match bounded_file::read(&path(socket), limits::SMALL_FILE_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let token = std::str::from_utf8(&text).ok().and_then(Self::from_hex);
        token.map(Some).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// Lays it beside a socket, for this user alone.
    pub(super) fn lay_beside(&self, socket: &Path, user: u32) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path(socket))?;
        file.write_all(self.to_hex().as_bytes())?;
        if user != rustix::process::geteuid().as_raw() {
            fchown(&file, Some(user), None)?;
        }
        Ok(())
    }
}

/// Where the token of this socket's session lies.
pub(super) fn path(socket: &Path) -> PathBuf {
    socket.with_file_name(FILE)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// In a time that does not tell how much of two is the same.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        let differs = pairs.fold(0, |differs, (one, two)| {
            std::hint::black_box(differs | (one ^ two))
        });
        differs == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_no_other() {
        let [token, other] = [Token::fresh().unwrap(), Token::fresh().unwrap()];
        assert_eq!(Token::from_hex(&token.to_hex()).as_ref(), Some(&token));
        assert_ne!(token, other);
        for at in 0..32 {
            let mut near = token.clone();
            near.0[at] ^= 1;
            assert_ne!(token, near, "{at}");
        }
        for bad in ["", "00", &token.to_hex()[1..], &"A".repeat(64)] {
            assert_eq!(Token::from_hex(bad), None, "{bad}");
        }
        assert!(!format!("{token:?}").contains(&token.to_hex()));
    }
}
