//! Codex's `.rules`: calls of `prefix_rule(pattern = [...], decision = "...")`, as much of Starlark as these need.

use super::{ImportError, Imported, when};

/// Tokens of one file that are read.
pub(super) const TOKENS: usize = 100_000;
/// Commands that the alternatives of one rule may come to.
const ALTERNATIVES: usize = 100;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Mark(char),
}

pub(super) fn import(text: &str) -> Result<Imported, ImportError> {
    let tokens = tokens(text)?;
    let mut imported = Imported::default();
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        let Token::Name(name) = token else {
            return Err(ImportError::NoCall(format!("{token:?}")));
        };
        let Some((Token::Mark('('), inner)) = rest.split_first() else {
            return Err(ImportError::NoArguments(name.clone()));
        };
        let length = closing(inner).ok_or_else(|| ImportError::Open(name.clone()))?;
        let (arguments, behind) = inner.split_at_checked(length).unwrap_or((inner, &[]));
        rest = behind.get(1..).unwrap_or_default();
        if name == "prefix_rule" {
            prefix_rule(&mut imported, arguments);
        } else {
            imported.left_out(name, "only prefix_rule is known");
        }
    }
    Ok(imported)
}

fn prefix_rule(imported: &mut Imported, arguments: &[Token]) {
    let (mut words, mut effect, mut reason) = (None, "allow", None);
    for argument in split(arguments) {
        match argument {
            [Token::Name(name), Token::Mark('='), value @ ..] => match (name.as_str(), value) {
                ("pattern", value) => words = pattern(value),
                ("decision", [Token::Text(decision)]) => {
                    effect = match decision.as_str() {
                        "allow" => "allow",
                        "prompt" => "require",
                        "forbidden" => "deny",
                        _ => return imported.left_out(decision, "an unknown decision"),
                    }
                }
                ("justification", [Token::Text(text)]) => reason = Some(text.clone()),
                // Codex tests its rule with these.
                ("match" | "not_match", _) => {}
                _ => return imported.left_out(name, "an unknown argument of prefix_rule"),
            },
            _ => return imported.left_out("prefix_rule", "an argument without a name"),
        }
    }
    let Some(words) = words.filter(|words| !words.is_empty()) else {
        return imported.left_out(
            "prefix_rule",
            "its pattern is not a list of words, or of lists of words",
        );
    };
    let mut commands = vec![String::new()];
    for alternatives in &words {
        let longer = commands.iter().flat_map(|command| {
            alternatives.iter().map(move |word| match command.as_str() {
                "" => quoted(word),
                _ => format!("{command} {}", quoted(word)),
            })
        });
        commands = longer.take(ALTERNATIVES + 1).collect();
        if commands.len() > ALTERNATIVES {
            return imported.left_out("prefix_rule", "more alternatives than a rule can hold");
        }
    }
    let commands: Vec<String> = commands
        .into_iter()
        .map(|command| format!("{command} *"))
        .collect();
    let first = commands.first().cloned().unwrap_or_default();
    let mut rest = when(None, "command", &commands);
    if let Some(reason) = reason {
        rest.insert("reason".into(), reason.into());
    }
    imported.rule(&first, &first, effect, rest);
}

/// A word as a pattern holds it: itself, not a star.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{word}'"),
    }
}

/// `["git", ["push", "fetch"]]`: the words that may stand in each place.
fn pattern(value: &[Token]) -> Option<Vec<Vec<String>>> {
    let [Token::Mark('['), inner @ .., Token::Mark(']')] = value else {
        return None;
    };
    split(inner)
        .into_iter()
        .map(|part| match part {
            [Token::Text(word)] => Some(vec![word.clone()]),
            [Token::Mark('['), words @ .., Token::Mark(']')] => split(words)
                .into_iter()
                .map(|word| match word {
                    [Token::Text(word)] => Some(word.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
        .collect()
}

/// Parts between commas that stand in no bracket.
fn split(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(' | '[') => depth += 1,
            Token::Mark(')' | ']') => depth = depth.saturating_sub(1),
            Token::Mark(',') if depth == 0 => {
                parts.extend(tokens.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(tokens.get(start..));
    parts.retain(|part| !part.is_empty());
    parts
}

/// Where the bracket that was opened before is closed.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 1_usize;
    tokens.iter().position(|token| {
        match token {
            Token::Mark('(' | '[') => depth += 1,
            Token::Mark(')' | ']') => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

fn tokens(text: &str) -> Result<Vec<Token>, ImportError> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '#' => while rest.next_if(|c| *c != '\n').is_some() {},
            ' ' | '\t' | '\r' | '\n' => {}
            '(' | ')' | '[' | ']' | ',' | '=' => tokens.push(Token::Mark(c)),
            '"' | '\'' => {
                let mut word = String::new();
                loop {
                    match rest.next() {
                        None | Some('\n') => return Err(ImportError::OpenString),
                        Some(end) if end == c => break,
                        Some('\\') => match rest.next() {
                            Some(escaped @ ('"' | '\'' | '\\')) => word.push(escaped),
                            _ => return Err(ImportError::Escape),
                        },
                        Some(other) => word.push(other),
                    }
                }
                tokens.push(Token::Text(word));
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::from(c);
                while let Some(more) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(more);
                }
                tokens.push(Token::Name(name));
            }
            other => return Err(ImportError::Starlark(other)),
        }
        if tokens.len() > TOKENS {
            return Err(ImportError::TooManyWords);
        }
    }
    Ok(tokens)
}
