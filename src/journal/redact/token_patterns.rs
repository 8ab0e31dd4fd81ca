//! The shapes of credentials, as data.

/// What can follow a token's prefix.
#[derive(Clone, Copy)]
pub(super) enum Body {
    Alphanumeric,
    Uppercase,
    /// The digits of URL-safe base64.
    Base64Url,
    /// Those, and `/`.
    Path,
}

impl Body {
    pub(super) fn holds(self, byte: u8) -> bool {
        match self {
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Uppercase => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Base64Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Self::Path => Self::Base64Url.holds(byte) || byte == b'/',
        }
    }
}

/// One shape: a prefix, then at least `min` bytes of the body, and all that follow.
pub(super) struct Pattern {
    pub(super) prefix: &'static str,
    pub(super) body: Body,
    pub(super) min: usize,
    pub(super) kind: &'static str,
}

const fn pattern(prefix: &'static str, body: Body, min: usize, kind: &'static str) -> Pattern {
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
    pattern("xoxa-",       Body::Base64Url, 6, "slack-token"),
    pattern("xoxb-",       Body::Base64Url, 6, "slack-token"),
    pattern("xoxc-",       Body::Base64Url, 6, "slack-token"),
    pattern("xoxd-",       Body::Base64Url, 6, "slack-token"),
    pattern("xoxe-",       Body::Base64Url, 6, "slack-token"),
    pattern("xoxe.xoxb-",  Body::Base64Url, 6, "slack-token"),
    pattern("xoxe.xoxp-",  Body::Base64Url, 6, "slack-token"),
    pattern("xoxo-",       Body::Base64Url, 6, "slack-token"),
    pattern("xoxp-",       Body::Base64Url, 6, "slack-token"),
    pattern("xoxr-",       Body::Base64Url, 6, "slack-token"),
    pattern("xoxs-",       Body::Base64Url, 6, "slack-token"),
    pattern("xapp-",       Body::Base64Url, 6, "slack-token"),
    // Whoever has the address of an incoming webhook can post.
    pattern("hooks.slack.com/services/",  Body::Path, 6, "slack-webhook"),
    pattern("hooks.slack.com/workflows/", Body::Path, 6, "slack-webhook"),
    pattern("hooks.slack.com/triggers/",  Body::Path, 6, "slack-webhook"),
    // GitHub: personal, OAuth, user-to-server, server-to-server, refresh, fine-grained.
    pattern("ghp_",        Body::Alphanumeric, 36, "github-token"),
    pattern("gho_",        Body::Alphanumeric, 36, "github-token"),
    pattern("ghu_",        Body::Alphanumeric, 36, "github-token"),
    pattern("ghs_",        Body::Alphanumeric, 36, "github-token"),
    pattern("ghr_",        Body::Alphanumeric, 36, "github-token"),
    pattern("github_pat_", Body::Base64Url,    20, "github-token"),
    // AWS access key ids, long-lived and temporary: names of a key, but they point at one.
    pattern("AKIA",        Body::Uppercase,    16, "aws-access-key-id"),
    pattern("ASIA",        Body::Uppercase,    16, "aws-access-key-id"),
    pattern("sk-ant-",     Body::Base64Url,    16, "anthropic-key"),
    pattern("sk-proj-",    Body::Base64Url,    16, "openai-key"),
    pattern("sk-svcacct-", Body::Base64Url,    16, "openai-key"),
    pattern("sk-admin-",   Body::Base64Url,    16, "openai-key"),
    pattern(OPENAI_BARE,   Body::Alphanumeric, 20, "openai-key"),
];

/// The first three bytes of everything looked for (the patterns, a JWT, a PEM header): one line
/// for each first byte, with the second and third bytes that can come after it.
const BEGINNINGS: [[&[u8]; 3]; 7] = [
    [b"x", b"oa", b"xp"],
    [b"h", b"o", b"o"],
    [b"g", b"hi", b"pousrt"],
    [b"A", b"KS", b"I"],
    [b"s", b"k", b"-"],
    [b"e", b"y", b"J"],
    [b"-", b"-", b"-"],
];

static FIRST: [u8; 256] = lines_with(0);
static SECOND: [u8; 256] = lines_with(1);
static THIRD: [u8; 256] = lines_with(2);

/// For each byte, one bit for each line of [`BEGINNINGS`] that has it in this column.
#[allow(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where a bad index is an error"
)]
const fn lines_with(column: usize) -> [u8; 256] {
    let mut table = [0; 256];
    let mut line = 0;
    while line < BEGINNINGS.len() {
        let bytes = BEGINNINGS[line][column];
        let mut at = 0;
        while at < bytes.len() {
            table[bytes[at] as usize] |= 1 << line;
            at += 1;
        }
        line += 1;
    }
    table
}

/// Whether anything looked for can begin with these three bytes. Asked at every byte, and almost
/// always answered no: three loads, no branch.
pub(super) fn may_begin(three: &[u8]) -> bool {
    let &[a, b, c] = three else { return false };
    let lines = |table: &[u8; 256], byte| table.get(usize::from(byte)).copied().unwrap_or(0);
    lines(&FIRST, a) & lines(&SECOND, b) & lines(&THIRD, c) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_passes_the_first_filter() {
        for pattern in PATTERNS {
            let three = &pattern.prefix.as_bytes()[..3];
            assert!(may_begin(three), "{}", pattern.prefix);
        }
        assert!(may_begin(b"eyJ") && may_begin(b"---"));
        assert!(!may_begin(b"the") && !may_begin(b"sko") && !may_begin(b"xoJ"));
    }
}
