//! Pathname patterns (`*`, `?`, `[a-z]`): whether one matches a name. Where it is not certain that a pattern does
//! not match, it does: what is read here says what a command could reach.

/// Whether a pattern of one component matches a name, as a shell takes it: a leading dot only by a dot. An
/// extended pattern (`@(a|b)`) matches any.
#[must_use]
pub fn name_matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with(['.', '\\', '@', '+', '!']) {
        return false;
    }
    // An extended pattern: which names it matches is not worked out.
    pattern.contains('(') || matches(pattern, name)
}

/// Whether a file below a tree is one of those that a pattern takes, as `rg --glob` reads it: without `/` a name
/// at any depth, `**` any directories, braces alternatives.
#[must_use]
pub fn below_matches(pattern: &str, path: &str) -> bool {
    // Alternatives and what stands behind them are not worked out but for the ending of all.
    if let Some((before, rest)) = pattern.split_once('{') {
        let Some((alternatives, behind)) = rest.split_once('}') else {
            return true;
        };
        if behind.contains('{') || alternatives.contains(['{', '\\', '[']) || before.ends_with('\\')
        {
            return true;
        }
        return alternatives
            .split(',')
            .any(|one| below_matches(&format!("{before}{one}{behind}"), path));
    }
    let pattern = pattern.trim_start_matches("./");
    if pattern.trim_end_matches('/').contains('/') {
        // Every directory is taken for any: only the name is compared.
        let last = pattern.rsplit('/').next().unwrap_or("");
        let name = path.rsplit('/').next().unwrap_or(path);
        return last.is_empty() || last == "**" || matches(last, name);
    }
    // A directory's name takes all below it.
    let pattern = pattern.trim_end_matches('/');
    path.split('/').any(|name| matches(pattern, name))
}

/// Whether a pattern of one component matches a whole name. Linear in the pattern times the name at worst.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&c) = name.get(n) {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => Some(p + 1),
            Some('[') => class(&pattern, p, c),
            Some('\\') => (pattern.get(p + 1) == Some(&c)).then_some(p + 2),
            Some(&other) => (other == c).then_some(p + 1),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => (p, n) = (next, n + 1),
            (None, Some((at, taken))) => {
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// Where a bracket expression at `p` ends, if it could match the character. Ranges are compared by code point or
/// case is left out, as locales do; named classes match any.
fn class(pattern: &[char], p: usize, c: char) -> Option<usize> {
    let mut at = p + 1;
    let negated = matches!(pattern.get(at), Some('!' | '^'));
    if negated {
        at += 1;
    }
    let first = at;
    if negated && pattern.get(first..first + 2) == Some(&['.', ']']) {
        return (c != '.').then_some(first + 2);
    }
    let mut is = false;
    let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
    loop {
        match (pattern.get(at), pattern.get(at + 1), pattern.get(at + 2)) {
            // It is no bracket expression: the bracket stands for itself.
            (None, _, _) => return (c == '[').then_some(p + 1),
            (Some(']'), _, _) if at > first => break,
            (Some('['), Some(':' | '.' | '='), _) => return skip_class(pattern, at),
            (Some('\\'), Some(&one), _) => {
                is |= one == c;
                at += 2;
            }
            (Some(&from), Some('-'), Some(&to)) if to != ']' => {
                // Unless one is certain, it is in the range.
                let in_range =
                    (from..=to).contains(&c) || (lower(from)..=lower(to)).contains(&lower(c));
                is |= in_range || !(from.is_ascii() && to.is_ascii() && c.is_ascii());
                at += 3;
            }
            (Some(&one), _, _) => {
                is |= one == c;
                at += 1;
            }
        }
    }
    (is || negated).then_some(at + 1)
}

/// The end of a bracket expression with a named class in it.
fn skip_class(pattern: &[char], at: usize) -> Option<usize> {
    let rest = pattern.get(at + 2..)?;
    let inner = rest.iter().position(|c| *c == ']')?;
    let behind = pattern.get(at + 2 + inner + 1..)?;
    let end = behind.iter().position(|c| *c == ']')?;
    Some(at + 2 + inner + 1 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_leaves_out_the_dot_is_certain() {
        for (path, expected) in [
            ("a/b", true),
            ("b", true),
            (".env", false),
            ("a/.env", false),
            ("a/.env.test", false),
        ] {
            assert_eq!(below_matches("*/[!.]*", path), expected, "{path}");
        }
        assert!(below_matches("*/[!.a]*", ".env"));
    }

    #[test]
    fn a_pattern_matches_the_names_that_a_shell_takes() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", "", true),
            ("*", ".env", false),
            (".*", ".env", true),
            (".e??", ".env", true),
            ("?env", ".env", false),
            ("[.]env", ".env", false),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("a*b*c", "aXbYc", true),
            ("*.rs", "x.rs", true),
            ("*.rs", "x.rs.bak", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a]x", "bx", true),
            ("[]]", "]", true),
            ("[", "[", true),
            ("[[:alpha:]]x", "bx", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("@(a|b)", "zzz", true),
            ("ab", "abc", false),
        ] {
            assert_eq!(name_matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_takes_files_below_a_tree() {
        for (pattern, path, expected) in [
            ("*.rs", "src/x.rs", true),
            ("*.rs", ".env", false),
            ("*.{ts,tsx}", "a/b.tsx", true),
            ("*.{ts,tsx}", ".env", false),
            ("*", ".env", true),
            (".env", "a/.env", true),
            ("**/*.py", "a/.env", false),
            ("src/**", "a/.env", true),
            ("src/**/*.py", "b/x.py", true),
            ("a{b", ".env", true),
            ("config/", "config/.env", true),
        ] {
            assert_eq!(below_matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn no_pattern_is_slow() {
        let pattern = "*a".repeat(2000);
        let name = "a".repeat(4000) + "b";
        assert!(!name_matches(&pattern, &name));
    }
}
