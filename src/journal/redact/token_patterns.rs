//! The shapes of credentials, as data.

/// What can follow a token's prefix, as a class of a regular expression.
const ALPHANUMERIC: &str = "[0-9A-Za-z]";
const UPPERCASE: &str = "[0-9A-Z]";
/// The digits of URL-safe base64.
const BASE64_URL: &str = "[0-9A-Za-z_-]";
/// Those, and `/`.
const PATH: &str = "[0-9A-Za-z_/-]";

/// One shape: a prefix, then at least `min` bytes of the body, and all that follow.
pub(super) struct Pattern {
    pub(super) prefix: &'static str,
    body: &'static str,
    min: usize,
    pub(super) kind: &'static str,
}

const fn pattern(
    prefix: &'static str,
    body: &'static str,
    min: usize,
    kind: &'static str,
) -> Pattern {
    Pattern {
        prefix,
        body,
        min,
        kind,
    }
}

/// The bare prefix of OpenAI's older keys. It ends ordinary words as well (`task-`), so only this
/// one must not continue a word.
pub(super) const OPENAI_BARE: &str = "sk-";

/// The first that fits is taken. Minimal lengths are below those of real tokens: to redact a
/// little that is none harms less than to keep one.
#[rustfmt::skip]
pub(super) const PATTERNS: &[Pattern] = &[
    // Slack: bot, user, legacy, refresh, rotated, configuration, client and app-level tokens.
    pattern("xoxa-",       BASE64_URL, 6, "slack-token"),
    pattern("xoxb-",       BASE64_URL, 6, "slack-token"),
    pattern("xoxc-",       BASE64_URL, 6, "slack-token"),
    pattern("xoxd-",       BASE64_URL, 6, "slack-token"),
    pattern("xoxe-",       BASE64_URL, 6, "slack-token"),
    pattern("xoxe.xoxb-",  BASE64_URL, 6, "slack-token"),
    pattern("xoxe.xoxp-",  BASE64_URL, 6, "slack-token"),
    pattern("xoxo-",       BASE64_URL, 6, "slack-token"),
    pattern("xoxp-",       BASE64_URL, 6, "slack-token"),
    pattern("xoxr-",       BASE64_URL, 6, "slack-token"),
    pattern("xoxs-",       BASE64_URL, 6, "slack-token"),
    pattern("xapp-",       BASE64_URL, 6, "slack-token"),
    // Whoever has the address of an incoming webhook can post.
    pattern("hooks.slack.com/services/",  PATH, 6, "slack-webhook"),
    pattern("hooks.slack.com/workflows/", PATH, 6, "slack-webhook"),
    pattern("hooks.slack.com/triggers/",  PATH, 6, "slack-webhook"),
    // GitHub: personal, OAuth, user-to-server, server-to-server, refresh, fine-grained.
    pattern("ghp_",        ALPHANUMERIC, 36, "github-token"),
    pattern("gho_",        ALPHANUMERIC, 36, "github-token"),
    pattern("ghu_",        ALPHANUMERIC, 36, "github-token"),
    pattern("ghs_",        ALPHANUMERIC, 36, "github-token"),
    pattern("ghr_",        ALPHANUMERIC, 36, "github-token"),
    pattern("github_pat_", BASE64_URL,    20, "github-token"),
    // AWS access key ids, long-lived and temporary: names of a key, but they point at one.
    pattern("AKIA",        UPPERCASE,    16, "aws-access-key-id"),
    pattern("ASIA",        UPPERCASE,    16, "aws-access-key-id"),
    pattern("sk-ant-",     BASE64_URL,    16, "anthropic-key"),
    pattern("sk-proj-",    BASE64_URL,    16, "openai-key"),
    pattern("sk-svcacct-", BASE64_URL,    16, "openai-key"),
    pattern("sk-admin-",   BASE64_URL,    16, "openai-key"),
    pattern(OPENAI_BARE,   ALPHANUMERIC, 20, "openai-key"),
];

/// Bytes of the shortest text that any of them fits.
pub(super) const SHORTEST: usize = "eyJ.eyJ.x".len();

/// The regular expression that any of [`PATTERNS`] is, the first that fits.
pub(super) fn any_pattern() -> String {
    let each = PATTERNS.iter().map(|pattern| {
        let Pattern {
            prefix, body, min, ..
        } = pattern;
        format!("{}{body}{{{min},}}", regex::escape(prefix))
    });
    each.collect::<Vec<_>>().join("|")
}

/// A JSON Web Token: header and claims, each the base64 of an object, and a signature.
pub(super) const WEB_TOKEN: &str = r"eyJ[0-9A-Za-z_-]*\.eyJ[0-9A-Za-z_-]*\.[0-9A-Za-z_-]+";

/// What a PEM private key is made of: its header, its footer, and runs of base64. What is shorter than 24
/// characters is shown: a header alone must not hide a command that follows it, and the last line of a real
/// key gives nothing away.
pub(super) const KEY_PARTS: &str = r"-----BEGIN (?<header>[0-9A-Z ]{0,64}PRIVATE KEY(?: BLOCK)?)-----|-----END (?<footer>[0-9A-Z ]{0,64}PRIVATE KEY(?: BLOCK)?)-----|(?<run>[0-9A-Za-z+/=]{24,})";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_is_one_and_no_pattern_is_shorter_than_the_shortest() {
        for expression in [any_pattern().as_str(), WEB_TOKEN, KEY_PARTS] {
            regex::Regex::new(expression).unwrap();
        }
        for pattern in PATTERNS {
            assert!(
                pattern.prefix.len() + pattern.min >= SHORTEST,
                "{}",
                pattern.prefix
            );
        }
    }
}
