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

impl Token {
    /// The only character that it stands for.
    fn fixed(&self) -> Option<char> {
        match self {
            Self::Char(c) => Some(*c),
            Self::One | Self::Run => None,
        }
    }
}

/// A pattern of one name. It never matches a `/`, which no name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Name(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// No more than the name itself.
    Literal(String),
    Tokens(Vec<Token>),
}

impl Name {
    pub(in crate::policy) fn new(pattern: &str) -> Self {
        if !pattern.contains(['*', '?']) {
            return Self(Form::Literal(pattern.to_owned()));
        }
        let token = |c| match c {
            '*' => Token::Run,
            '?' => Token::One,
            c => Token::Char(c),
        };
        Self(Form::Tokens(pattern.chars().map(token).collect()))
    }

    /// A word of a command: a character that is no wildcard stands for itself whatever it is.
    pub(in crate::policy) fn of_word(word: &[(char, bool)]) -> Self {
        if word.iter().all(|(_, wild)| !wild) {
            return Self(Form::Literal(word.iter().map(|(c, _)| *c).collect()));
        }
        let token = |(c, wild): &(char, bool)| match wild {
            true => Token::Run,
            false => Token::Char(*c),
        };
        Self(Form::Tokens(word.iter().map(token).collect()))
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
        Self(Form::Tokens(tokens))
    }

    /// The only name that it matches.
    pub(in crate::policy) fn literal(&self) -> Option<&str> {
        match &self.0 {
            Form::Literal(literal) => Some(literal),
            Form::Tokens(_) => None,
        }
    }

    /// What every name that it matches begins with, as far as that is certain.
    pub(in crate::policy) fn beginning(&self) -> String {
        match &self.0 {
            Form::Literal(literal) => literal.clone(),
            Form::Tokens(tokens) => tokens.iter().map_while(Token::fixed).collect(),
        }
    }

    /// What every name that it matches ends with, as far as that is certain.
    pub(in crate::policy) fn ending(&self) -> String {
        match &self.0 {
            Form::Literal(literal) => literal.clone(),
            Form::Tokens(tokens) => {
                let last: Vec<char> = tokens.iter().rev().map_while(Token::fixed).collect();
                last.into_iter().rev().collect()
            }
        }
    }

    /// Whether every name that it matches begins so.
    pub(in crate::policy) fn begins_with(&self, c: char) -> bool {
        match &self.0 {
            Form::Literal(literal) => literal.starts_with(c),
            Form::Tokens(tokens) => tokens.first() == Some(&Token::Char(c)),
        }
    }

    /// Whether it matches every name.
    pub(in crate::policy) fn is_any(&self) -> bool {
        match &self.0 {
            Form::Literal(_) => false,
            Form::Tokens(tokens) => {
                !tokens.is_empty() && tokens.iter().all(|token| *token == Token::Run)
            }
        }
    }

    /// Time grows with name and pattern together in every usual case, with their product at worst.
    pub(in crate::policy) fn matches(&self, name: &str) -> bool {
        let tokens = match &self.0 {
            Form::Literal(literal) => return literal == name,
            Form::Tokens(tokens) => tokens,
        };
        let mut at = 0;
        let mut rest = name.chars();
        // Where to go on when what was tried fails: behind the last run, one character further.
        let mut again: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut next = rest.clone();
            match (tokens.get(at), next.next()) {
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
        let Form::Tokens(tokens) = &self.0 else {
            return false;
        };
        let Some((Token::Run, before)) = tokens.split_last() else {
            return false;
        };
        let fixed = before.iter().map(Token::fixed);
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
        Self(Form::Tokens(tokens))
    }

    /// Whether the two have a name in common.
    pub(in crate::policy) fn meets(&self, other: &Self) -> bool {
        let (tokens, others) = match (&self.0, &other.0) {
            (Form::Literal(name), _) => return other.matches(name),
            (_, Form::Literal(name)) => return self.matches(name),
            (Form::Tokens(tokens), Form::Tokens(others)) => (tokens, others),
        };
        // What both begin or end with for certain must agree.
        let agree_up_to = |pairs: &mut dyn Iterator<Item = (&Token, &Token)>| {
            let mut fixed = pairs.map_while(|(a, b)| Some((a.fixed()?, b.fixed()?)));
            fixed.all(|(a, b)| a == b)
        };
        if !agree_up_to(&mut tokens.iter().zip(others))
            || !agree_up_to(&mut tokens.iter().rev().zip(others.iter().rev()))
        {
            return false;
        }
        // `reached[n]`: what was read of `self` can stand for the first n tokens of `other`.
        let mut reached = vec![false; others.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        skip_runs(&mut reached, others);
        for token in tokens {
            let mut next = vec![false; reached.len()];
            let mut before = false;
            for (at, slot) in next.iter_mut().enumerate() {
                let here = reached.get(at).copied().unwrap_or(false);
                let other = others.get(at);
                let last = at.checked_sub(1).and_then(|at| others.get(at));
                let from_last = at
                    .checked_sub(1)
                    .and_then(|at| reached.get(at).copied())
                    .unwrap_or(false);
                *slot = match token {
                    Token::Run => here || before,
                    // A run of the other's takes it, or its next token does.
                    token => {
                        (here && other == Some(&Token::Run))
                            || (from_last && last.is_some_and(|last| agree(*token, *last)))
                    }
                };
                before = *slot;
            }
            skip_runs(&mut next, others);
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
