//! One name of a path, or one word: `*` is any run of characters, `?` one of them.

/// A part of a name's pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    /// Any one character.
    One,
    /// Any run of characters, none too.
    Run,
}

/// A pattern of one name. It never matches a `/`, which no name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Name {
    tokens: Vec<Token>,
    /// The name itself, where the pattern is no more than that.
    literal: Option<String>,
}

impl Name {
    pub(in crate::policy) fn new(pattern: &str) -> Self {
        let token = |c| match c {
            '*' => Token::Run,
            '?' => Token::One,
            c => Token::Char(c),
        };
        Self {
            tokens: pattern.chars().map(token).collect(),
            literal: (!pattern.contains(['*', '?'])).then(|| pattern.to_owned()),
        }
    }

    /// A word of a command: a character that is no wildcard stands for itself whatever it is.
    pub(in crate::policy) fn of_word(word: &[(char, bool)]) -> Self {
        let token = |(c, wild): &(char, bool)| match wild {
            true => Token::Run,
            false => Token::Char(*c),
        };
        let literal = word.iter().all(|(_, wild)| !wild);
        Self {
            tokens: word.iter().map(token).collect(),
            literal: literal.then(|| word.iter().map(|(c, _)| *c).collect()),
        }
    }

    /// A shell's pattern of one name. What is more than `*` and `?` is taken for all that it could be.
    pub(in crate::policy) fn of_shell(pattern: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            tokens.push(match c {
                // `@(a|b)` and the like: nothing behind it is certain.
                '*' | '(' | ')' | '|' => Token::Run,
                '@' | '+' | '!' if rest.as_str().starts_with('(') => Token::Run,
                '?' => Token::One,
                '[' if rest.as_str().contains(']') => {
                    // A `]` that comes first stands for itself.
                    let inside = rest.as_str().trim_start_matches(['!', '^']);
                    let at = inside.char_indices().skip(1).find(|(_, c)| *c == ']');
                    match at.and_then(|(at, _)| inside.get(at + 1..)) {
                        // A class within a class ends later than its first `]`.
                        Some(behind) if !inside.contains("[:") => {
                            rest = behind.chars();
                            Token::One
                        }
                        _ => Token::Run,
                    }
                }
                '\\' => rest.next().map_or(Token::Char('\\'), Token::Char),
                c => Token::Char(c),
            });
        }
        Self {
            literal: None,
            tokens,
        }
    }

    /// The only name that it matches.
    pub(in crate::policy) fn literal(&self) -> Option<&str> {
        self.literal.as_deref()
    }

    /// Whether every name that it matches begins so.
    pub(in crate::policy) fn begins_with(&self, c: char) -> bool {
        self.tokens.first() == Some(&Token::Char(c))
    }

    /// Whether it matches every name.
    pub(in crate::policy) fn is_any(&self) -> bool {
        !self.tokens.is_empty() && self.tokens.iter().all(|token| *token == Token::Run)
    }

    /// Time grows with name and pattern together in every usual case, with their product at worst.
    pub(in crate::policy) fn matches(&self, name: &str) -> bool {
        if let Some(literal) = &self.literal {
            return literal == name;
        }
        let mut at = 0;
        let mut rest = name.chars();
        // Where to go on when what was tried fails: behind the last run, one character further.
        let mut again: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut next = rest.clone();
            match (self.tokens.get(at), next.next()) {
                (None, None) => return true,
                (Some(Token::Run), _) => {
                    at += 1;
                    again = Some((at, rest.clone()));
                    continue;
                }
                (Some(Token::One), Some(_)) => {
                    at += 1;
                    rest = next;
                    continue;
                }
                (Some(Token::Char(expected)), Some(c)) if *expected == c => {
                    at += 1;
                    rest = next;
                    continue;
                }
                _ => {}
            }
            let Some((behind, from)) = &mut again else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            at = *behind;
            rest = from.clone();
        }
    }

    /// Whether every name matches that begins with this text.
    pub(in crate::policy) fn matches_all_from(&self, beginning: &str) -> bool {
        let Some((Token::Run, before)) = self.tokens.split_last() else {
            return false;
        };
        let fixed = before.iter().map(|token| match token {
            Token::Char(c) => Some(*c),
            Token::One | Token::Run => None,
        });
        let mut given = beginning.chars();
        for c in fixed {
            match (c, given.next()) {
                (Some(c), Some(next)) if c == next => {}
                // A run in the middle: what follows it must be found in what is certain, which nobody needs.
                _ => return false,
            }
        }
        true
    }

    /// A text with unknown parts: `None` is any text.
    pub(in crate::policy) fn of_pieces<'a>(pieces: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut tokens = Vec::new();
        for piece in pieces {
            match piece {
                Some(text) => tokens.extend(text.chars().map(Token::Char)),
                None => tokens.push(Token::Run),
            }
        }
        Self {
            tokens,
            literal: None,
        }
    }

    /// Whether the two have a name in common.
    pub(in crate::policy) fn meets(&self, other: &Self) -> bool {
        // `reached[n]`: what was read of `self` can stand for the first n tokens of `other`.
        let mut reached = vec![false; other.tokens.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        skip_runs(&mut reached, &other.tokens);
        for token in &self.tokens {
            let mut next = vec![false; reached.len()];
            let mut before = false;
            for (at, slot) in next.iter_mut().enumerate() {
                let here = reached.get(at).copied().unwrap_or(false);
                let own = other.tokens.get(at);
                let last = at.checked_sub(1).and_then(|at| other.tokens.get(at));
                let from_last = at
                    .checked_sub(1)
                    .and_then(|at| reached.get(at).copied())
                    .unwrap_or(false);
                *slot = match token {
                    Token::Run => here || before,
                    // A run of the other's takes it, or its next token does.
                    token => {
                        (here && own == Some(&Token::Run))
                            || (from_last && last.is_some_and(|last| agree(*token, *last)))
                    }
                };
                before = *slot;
            }
            skip_runs(&mut next, &other.tokens);
            reached = next;
        }
        reached.last() == Some(&true)
    }
}

/// A run may stand for nothing.
fn skip_runs(reached: &mut [bool], tokens: &[Token]) {
    let mut before = false;
    for (at, slot) in reached.iter_mut().enumerate() {
        let run = at.checked_sub(1).and_then(|at| tokens.get(at)) == Some(&Token::Run);
        *slot |= before && run;
        before = *slot;
    }
}

fn agree(a: Token, b: Token) -> bool {
    match (a, b) {
        (Token::Char(a), Token::Char(b)) => a == b,
        _ => true,
    }
}
