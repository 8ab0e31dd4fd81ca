//! Tool patterns: `*` matches any run of characters, everything else only itself.

/// A pattern over tool names, as in `Bash`, `mcp__*` or `*`. Case matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pattern: String,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// No `*`: the name itself.
    Literal,
    /// What stands before the first `*`, between one and the next, and after the last.
    Parts {
        first: String,
        middle: Vec<String>,
        last: String,
    },
}

impl Glob {
    /// Any text is a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let shape = match (pattern.split_once('*'), pattern.rsplit_once('*')) {
            (Some((first, rest)), Some((_, last))) => Shape::Parts {
                first: first.to_owned(),
                middle: rest
                    .strip_suffix(last)
                    .unwrap_or_default()
                    .split('*')
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect(),
                last: last.to_owned(),
            },
            _ => Shape::Literal,
        };
        Self {
            pattern: pattern.to_owned(),
            shape,
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole name matches. Time grows with pattern and name together, never with
    /// their product: taking the leftmost place for each part leaves the most for those after
    /// it, so there is nothing to go back for.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Shape::Parts {
            first,
            middle,
            last,
        } = &self.shape
        else {
            return name == self.pattern;
        };
        let Some(mut rest) = name
            .strip_prefix(first.as_str())
            .and_then(|rest| rest.strip_suffix(last.as_str()))
        else {
            return false;
        };
        middle.iter().all(|part| {
            rest.split_once(part.as_str())
                .map(|(_, after)| rest = after)
                .is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    /// The definition, written down as recursion.
    fn reference(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|skip| reference(rest, &name[skip..])),
            Some((c, rest)) => name.first() == Some(c) && reference(rest, &name[1..]),
        }
    }

    fn words(alphabet: &[char], longest: usize) -> Vec<Vec<char>> {
        let mut all = vec![vec![]];
        let mut from = 0;
        for _ in 0..longest {
            let to = all.len();
            for at in from..to {
                for c in alphabet {
                    let mut word = all[at].clone();
                    word.push(*c);
                    all.push(word);
                }
            }
            from = to;
        }
        all
    }

    #[test]
    fn agrees_with_the_definition_on_every_small_case() {
        let names = words(&['a', 'b'], 6);
        for pattern in words(&['a', 'b', '*'], 5) {
            let glob = Glob::new(&pattern.iter().collect::<String>());
            for name in &names {
                let text: String = name.iter().collect();
                assert_eq!(
                    glob.matches(&text),
                    reference(&pattern, name),
                    "{glob:?} on {text:?}"
                );
            }
        }
    }

    #[test]
    fn everything_but_the_star_is_literal() {
        for (pattern, name, matches) in [
            ("Bash", "bash", false),
            ("B?sh", "Bash", false),
            ("[B]ash", "Bash", false),
            (".*", "Bash", false),
            ("\\*", "\\x", true),
            ("mcp__*", "mcp__", true),
            ("mcp__*", "xmcp__a", false),
            ("*ü*", "aüb", true),
            ("*", "", true),
            ("", "", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), matches, "{pattern}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let glob = Glob::new(&("*a".repeat(64) + "b"));
        assert!(!glob.matches(&"a".repeat(100_000)));
    }
}
