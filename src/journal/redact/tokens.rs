//! Finds text that has the shape of a credential, in one pass over a string.

use std::ops::Range;

use super::patterns::{Body, OPENAI_BARE, PATTERNS, may_begin};

/// Longest label looked for between the dashes of a PEM header.
const PEM_LABEL_BYTES: usize = 64;

/// The text with each token replaced, or `None` when it holds none.
pub(super) fn redacted(text: &str) -> Option<String> {
    let mut scan = Scan {
        text,
        at: 0,
        after_token: 0,
        no_jwt_before: 0,
    };
    let mut out = String::new();
    let mut copied = 0;
    while let Some((range, kind)) = scan.next_token() {
        out.push_str(text.get(copied..range.start).unwrap_or_default());
        out.push_str("[redacted:");
        out.push_str(kind);
        out.push(']');
        copied = range.end;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Some(out)
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// End of the last token found: its placeholder is no part of a word.
    after_token: usize,
    /// No JWT begins before here. What a failed attempt has read is not read again for each
    /// `eyJ` inside it.
    no_jwt_before: usize,
}

impl Scan<'_> {
    fn next_token(&mut self) -> Option<(Range<usize>, &'static str)> {
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            self.at += rest.windows(3).position(may_begin)?;
            match self.token_here() {
                // Tokens begin and end with ASCII, or end with the text: on character boundaries.
                Some((len, kind)) => {
                    let range = self.at..self.at + len;
                    self.at = range.end;
                    self.after_token = range.end;
                    return Some((range, kind));
                }
                None => self.at += 1,
            }
        }
    }

    fn token_here(&mut self) -> Option<(usize, &'static str)> {
        let rest = self.text.get(self.at..)?;
        match rest.as_bytes().first()? {
            b'-' => return pem_private_key(rest).map(|len| (len, "private-key")),
            b'e' => return self.jwt(rest.as_bytes()).map(|len| (len, "jwt")),
            _ => {}
        }
        PATTERNS.iter().find_map(|pattern| {
            let body = rest.strip_prefix(pattern.prefix)?;
            let len = run(body.as_bytes(), pattern.body);
            let fits = len >= pattern.min && (pattern.prefix != OPENAI_BARE || self.begins_word());
            fits.then_some((pattern.prefix.len() + len, pattern.kind))
        })
    }

    /// Whether what stands here is not the rest of a word. An escape (`\n`, `%3D`) is none.
    fn begins_word(&self) -> bool {
        let before = self.text.as_bytes().get(self.after_token..self.at);
        match before.unwrap_or_default() {
            [.., b'\\', _] => true,
            [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
            [.., last] => !last.is_ascii_alphanumeric(),
            [] => true,
        }
    }

    /// Length of a JSON Web Token: header and claims, each the base64 of an object, a signature.
    fn jwt(&mut self, rest: &[u8]) -> Option<usize> {
        if self.at < self.no_jwt_before || !rest.starts_with(b"eyJ") {
            return None;
        }
        let header = run(rest, Body::Base64Url);
        self.no_jwt_before = self.at + header;
        let claims = rest.get(header..)?.strip_prefix(b".")?;
        let signature = claims
            .starts_with(b"eyJ")
            .then(|| claims.get(run(claims, Body::Base64Url)..))??
            .strip_prefix(b".")?;
        let tail = run(signature, Body::Base64Url);
        (tail > 0).then_some(rest.len() - signature.len() + tail)
    }
}

fn run(bytes: &[u8], body: Body) -> usize {
    bytes
        .iter()
        .position(|byte| !body.holds(*byte))
        .unwrap_or(bytes.len())
}

/// Length of a PEM private key, up to the footer that belongs to its header. Without one all the
/// rest is taken for key.
fn pem_private_key(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("-----BEGIN ")?;
    let near = after.get(..after.floor_char_boundary(PEM_LABEL_BYTES))?;
    let (label, _) = near.split_once("-----")?;
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    if !label.bytes().all(plain) {
        return None;
    }
    if !label.ends_with("PRIVATE KEY") && !label.ends_with("PRIVATE KEY BLOCK") {
        return None;
    }
    let footer = format!("-----END {label}-----");
    let end = rest.find(&footer).map(|at| at + footer.len());
    Some(end.unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALNUM: &str = "0123456789abcdefghijABCDEFGHIJ0123456789";

    /// Tokens are put together here, so that no scanner takes this file for a leak.
    fn tokens() -> Vec<(String, &'static str)> {
        let jwt = ["eyJhbGciOiJI", "eyJzdWIiOiIx", "c2ln_-"].join(".");
        let mut tokens = vec![
            (
                format!("hooks.slack.com/services/T0/B0/{ALNUM}"),
                "slack-webhook",
            ),
            (format!("github_{}_11ABC_{ALNUM}", "pat"), "github-token"),
            (
                format!("AKIA{}", &ALNUM.to_uppercase()[..16]),
                "aws-access-key-id",
            ),
            (
                format!("ASIA{}", &ALNUM.to_uppercase()[..16]),
                "aws-access-key-id",
            ),
            (format!("sk-ant-api03-{ALNUM}-_x"), "anthropic-key"),
            (format!("sk-proj-{ALNUM}-_x"), "openai-key"),
            (format!("sk-svcacct-{ALNUM}"), "openai-key"),
            (format!("sk-{}", &ALNUM[..20]), "openai-key"),
            (jwt, "jwt"),
        ];
        for letter in ["a", "b", "e", "p", "r", "s", "e.xoxp"] {
            tokens.push((format!("xox{letter}-12-34-{ALNUM}"), "slack-token"));
        }
        tokens.push((format!("xapp-1-A0-{ALNUM}"), "slack-token"));
        for letter in ["p", "o", "u", "s", "r"] {
            tokens.push((format!("gh{letter}_{}", &ALNUM[..36]), "github-token"));
        }
        for label in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
            let label = format!("{label}PRIVATE KEY");
            let key = format!("-----BEGIN {label}-----\nMIIü==\n-----END {label}-----");
            tokens.push((key, "private-key"));
        }
        tokens
    }

    #[test]
    fn each_kind_is_replaced_and_its_surroundings_stay() {
        for (token, kind) in tokens() {
            for (before, after) in [
                ("", ""),
                ("ü", "ü"),
                ("a=\"", "\" b"),
                ("\\n", "\\n"),
                ("%3D", "&"),
            ] {
                let text = format!("{before}{token}{after}");
                let expected = format!("{before}[redacted:{kind}]{after}");
                assert_eq!(redacted(&text).as_deref(), Some(&*expected), "{text}");
            }
        }
    }

    #[test]
    fn redacting_again_changes_nothing() {
        for (first, _) in tokens() {
            for (second, _) in tokens() {
                for between in ["", " ", "a"] {
                    let text = format!("{first}{between}{second}");
                    let once = redacted(&text).unwrap();
                    assert_eq!(redacted(&once), None, "{text} -> {once}");
                }
            }
        }
    }

    #[test]
    fn redacting_again_changes_nothing_in_jumbled_pieces_either() {
        #[rustfmt::skip]
        let pieces = [
            "eyJ", ".", "eyJab", "ghp_", ALNUM, "sk-", "abcdefghij0123456789", "AKIA", "A", "_",
            "ABCDEFGH01234567", "\\", "n", "%", "3D", "-----BEGIN ", "PRIVATE KEY", "-----",
            "-----END ", "ü", " ", "xoxb-", "123456", "sk-ant-", "hooks.slack.com/services/",
            "xoxe.", "xoxp-", "[",
        ];
        // A linear congruential generator: the same pieces on every run.
        let mut state = 1_u64;
        for _ in 0..100_000 {
            let mut text = String::new();
            for _ in 0..8 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let at = usize::try_from(state >> 33).unwrap() % pieces.len();
                text.push_str(pieces[at]);
            }
            if let Some(once) = redacted(&text) {
                assert_eq!(redacted(&once), None, "{text} -> {once}");
            }
        }
    }

    #[test]
    fn ordinary_text_stays() {
        for text in [
            "",
            "e",
            "the task-0123456789abcdef0123456789abcdef is done",
            "git push ghp_short xoxb- sk-learn AKIAshort",
            "hooks.slack.com/services/",
            "eyJhbGciOiJI and eyJhbGciOiJI.eyJzdWIiOiIx",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY----- -------- ---",
            "[redacted:slack-token]",
        ] {
            assert_eq!(redacted(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_without_its_own_footer_is_taken_to_the_end() {
        let header = format!("-----BEGIN {} KEY-----", "PRIVATE");
        let text = format!("a {header}\nMIIB\n-----END x-----\nMIIC ü");
        assert_eq!(redacted(&text).as_deref(), Some("a [redacted:private-key]"));
    }

    #[test]
    fn text_made_to_be_slow_is_not() {
        // Quadratic work on these would take minutes.
        for piece in ["eyJ", "eyJ.", "-----BEGIN ", "-", "sk-", "ghp_0", "xoxb"] {
            let text = piece.repeat((1 << 20) / piece.len());
            let _ = redacted(&text);
        }
    }
}
