//! `$'..'`.

use super::Unparsed;
use super::machine::Machine;

impl Machine<'_> {
    /// Passes `'..'` behind `$`, with its escapes decoded.
    pub(super) fn ansi_quoted(&mut self) -> Result<String, Unparsed> {
        self.src().bump();
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            bytes.extend(self.src().run(|byte| matches!(byte, b'\'' | b'\\')).bytes());
            match self.src().raw() {
                None => return self.syntax("a single quote without an end"),
                Some(b'\'') => {
                    self.src().bump();
                    break;
                }
                Some(_) => {
                    self.src().bump();
                    let byte = self.ansi_escape(&mut bytes)?;
                    if byte == Some(0) {
                        return self.unsupported("a NUL in `$'..'`");
                    }
                    bytes.extend(byte);
                }
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains(['\u{1}', '\u{7f}']) => Ok(text),
            _ => self.unsupported("bytes in `$'..'` that are no text"),
        }
    }

    fn ansi_escape(&mut self, bytes: &mut Vec<u8>) -> Result<Option<u8>, Unparsed> {
        let Some(c) = self.src().raw() else {
            return self.syntax("a single quote without an end");
        };
        let simple = match c {
            b'a' => 7,
            b'b' => 8,
            b'e' | b'E' => 0x1b,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' | b'\'' | b'"' | b'?' => c,
            b'0'..=b'7' => {
                let value = self.digits(3, 8);
                return Ok(Some(u8::try_from(value & 0xff).unwrap_or_default()));
            }
            b'x' | b'u' | b'U' => {
                self.src().bump();
                let most = match c {
                    b'x' => 2,
                    b'u' => 4,
                    _ => 8,
                };
                if !self
                    .src()
                    .raw()
                    .is_some_and(|byte| byte.is_ascii_hexdigit())
                {
                    return self.unsupported("an escape without digits in `$'..'`");
                }
                let value = self.digits(most, 16);
                if c != b'x' && value > 0x7f {
                    return self.unsupported("a character that depends on the locale in `$'..'`");
                }
                return Ok(Some(u8::try_from(value).unwrap_or_default()));
            }
            b'c' => {
                self.src().bump();
                match self.src().raw() {
                    Some(letter) if letter.is_ascii_alphabetic() => {
                        self.src().bump();
                        return Ok(Some(letter.to_ascii_uppercase() ^ 0x40));
                    }
                    _ => return self.unsupported("a control character in `$'..'`"),
                }
            }
            _ => {
                bytes.push(b'\\');
                return Ok(None);
            }
        };
        self.src().bump();
        Ok(Some(simple))
    }

    fn digits(&mut self, most: u32, radix: u32) -> u32 {
        let mut value = 0;
        for _ in 0..most {
            let digit = self
                .src()
                .raw()
                .and_then(|byte| char::from(byte).to_digit(radix));
            let Some(digit) = digit else {
                break;
            };
            value = value * radix + digit;
            self.src().bump();
        }
        value
    }
}
