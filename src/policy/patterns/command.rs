//! Commands as a rule writes them: word by word, `*` for a word or a part of one, as the last word for all that
//! follow, `**` for any number anywhere, or a named set.

use std::sync::Arc;

use super::PatternError;
use super::host::Host;
use super::name::Name;
use super::path::Path;
use crate::contracts::limits;
use crate::contracts::secret::{is_name, placeholders};
use crate::reading::atoms::Set;

/// The named sets of commands.
pub(in crate::policy) const SETS: [(&str, Set); 4] = [
    ("@reads", Set::Reads),
    ("@files", Set::Files),
    ("@git-local", Set::GitLocal),
    ("@build", Set::Build),
];

/// Words that mean something else than a program's name where one is expected.
const RESERVED: [&str; 18] = [
    "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in",
    "select", "then", "time", "until", "while", "exec",
];

/// Directories that a path in a pattern can begin with.
const ROOTS: [&str; 4] = ["${repo}", "${home}", "${tmp}", "${system}"];

/// What stands for a secret outside of quotes.
const SECRET: (&str, &str) = ("{{secret:", "}}");

/// A pattern of commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Command {
    pub(super) head: Head,
    /// Behind the program, as written.
    pub(super) elements: Vec<Element>,
    /// The same without options, for a deny or require: these stand anywhere.
    pub(super) loose: Vec<Loose>,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    Set(Set),
    /// Every program: `*` alone.
    Any,
    /// As written.
    Program(String),
}

/// A word of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    /// Any number of words.
    Many,
    One(Arc<Word>),
}

/// A word of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) name: Name,
    /// Without quotes.
    pub(super) text: String,
    /// Names of the secrets in it, in order.
    pub(super) secrets: Vec<String>,
    /// As a path, where it can be one.
    pub(super) path: Option<Path>,
    /// As a URL, where it is one.
    pub(super) url: Option<Host>,
}

impl Word {
    fn new(word: &[(char, bool)]) -> Self {
        let text: String = word.iter().map(|(c, _)| *c).collect();
        let secrets = secrets(&text);
        // What stands in quotes is itself; a path's pattern would take it for more.
        let quoted = word.iter().any(|(c, wild)| !wild && matches!(c, '*' | '?'));
        let plain = secrets.is_empty() && !quoted;
        let rooted = text.starts_with(['/', '~', '$']);
        let path = match rooted {
            true => Path::parse(&text),
            // By its names alone: what it is relative to is seen where it is held against a word.
            false => Path::parse(&format!("/{text}")),
        };
        let url = text
            .contains("://")
            .then(|| Host::parse(&text).ok())
            .flatten();
        Self {
            name: Name::of_word(word),
            secrets,
            path: path.ok().filter(|_| plain),
            url: url.filter(|_| plain),
            text,
        }
    }

    /// Whether it is an option.
    pub(super) fn is_option(&self) -> bool {
        self.text.len() > 1 && self.text.starts_with('-') && self.text != "--"
    }
}

/// A pattern in which options stand anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loose {
    pub(super) words: Vec<Element>,
    /// An option, and the value that must stand behind or in it.
    pub(super) options: Vec<(Arc<Word>, Option<Arc<Word>>)>,
}

impl Command {
    /// Reads one.
    ///
    /// # Errors
    /// What makes it no pattern.
    pub(in crate::policy) fn parse(text: &str) -> Result<Self, PatternError> {
        let unsupported = |wrong| PatternError::Command(text.to_owned(), wrong);
        if text.starts_with('@') {
            let set = SETS.iter().find(|(name, _)| *name == text);
            return set
                .map(|(_, set)| Self {
                    head: Head::Set(*set),
                    elements: Vec::new(),
                    loose: Vec::new(),
                })
                .ok_or_else(|| {
                    unsupported("the named sets of commands are @reads, @files, @git-local, @build")
                });
        }
        let read = words(text)
            .ok_or("use one program and its arguments, no operators; * matches any text")
            .map_err(unsupported)?;
        if text.trim() == "*" {
            return Ok(Self {
                head: Head::Any,
                elements: vec![Element::Many],
                loose: loose(&[Element::Many]),
            });
        }
        let mut read = read.into_iter();
        let program = match read.next() {
            None => return Err(unsupported("start with a program name")),
            Some(first) if first.iter().any(|(_, wild)| *wild) => {
                return Err(unsupported("the program name cannot contain *"));
            }
            Some(first) => first.into_iter().map(|(c, _)| c).collect::<String>(),
        };
        let nameless = program.is_empty() || program.contains('=') || program.ends_with('/');
        if nameless || RESERVED.contains(&program.as_str()) || !secrets(&program).is_empty() {
            return Err(unsupported("start with a program name"));
        }
        let read: Vec<_> = read.collect();
        if read.len() >= limits::PATTERN_WORDS {
            return Err(unsupported("it has too many words"));
        }
        let last = read.len().saturating_sub(1);
        let element = |(at, word): (usize, Vec<(char, bool)>)| match word.as_slice() {
            [('*', true), ('*', true)] => Element::Many,
            [('*', true)] if at == last => Element::Many,
            word => Element::One(Arc::new(Word::new(word))),
        };
        let elements: Vec<Element> = read.into_iter().enumerate().map(element).collect();
        Ok(Self {
            head: Head::Program(program),
            loose: loose(&elements),
            elements,
        })
    }

    /// The set that it names.
    pub(in crate::policy) fn set(&self) -> Option<Set> {
        match self.head {
            Head::Set(set) => Some(set),
            Head::Program(_) | Head::Any => None,
        }
    }

    /// Whether it means every program.
    pub(in crate::policy) fn is_any(&self) -> bool {
        self.head == Head::Any
    }

    /// The last part of the program's path, and the first word that is no option where only that word can stand there.
    pub(in crate::policy) fn key(&self) -> Option<(&str, Option<&str>)> {
        let Head::Program(program) = &self.head else {
            return None;
        };
        let first = self.loose.first().and_then(|loose| loose.words.first());
        let second = match first {
            Some(Element::One(word)) => word.name.literal(),
            _ => None,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        Some((base(program), second.filter(|word| word.chars().all(plain))))
    }
}

/// The last part of a path.
pub(super) fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Options apart from the other words. A word behind an option may be its value, or not: both are possible.
fn loose(elements: &[Element]) -> Vec<Loose> {
    let reading = |paired: bool| {
        let mut made = Loose {
            words: Vec::new(),
            options: Vec::new(),
        };
        let mut rest = elements.iter().peekable();
        while let Some(element) = rest.next() {
            match element {
                Element::One(word) if word.is_option() => {
                    let value = match rest.peek() {
                        Some(Element::One(value)) if paired && !value.is_option() => {
                            rest.next();
                            Some(Arc::clone(value))
                        }
                        _ => None,
                    };
                    made.options.push((Arc::clone(word), value));
                }
                Element::One(word) if word.text == "--" => {}
                element => made.words.push(element.clone()),
            }
        }
        made
    };
    let apart = reading(false);
    if apart.options.is_empty() {
        return vec![apart];
    }
    let paired = reading(true);
    match apart == paired {
        true => vec![apart],
        false => vec![apart, paired],
    }
}

/// The secrets that a text names.
pub(super) fn secrets(text: &str) -> Vec<String> {
    let placeholders = placeholders(text).into_iter();
    placeholders.map(|one| one.name.to_owned()).collect()
}

/// Words and quotes of a pattern; of each character whether it is a wildcard.
fn words(text: &str) -> Option<Vec<Vec<(char, bool)>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<(char, bool)>> = None;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let start = word.is_none();
        let mut push = |part: &str| {
            let quoted = part.chars().map(|c| (c, false));
            word.get_or_insert_default().extend(quoted);
        };
        let length = match next {
            ' ' | '\t' => {
                words.extend(word.take());
                1
            }
            '\'' | '"' => {
                let (inner, _) = rest.get(1..)?.split_once(next)?;
                let never: &[char] = match next {
                    '"' => &['$', '`', '\\'],
                    _ => &[],
                };
                if inner.contains(|c: char| c.is_control() || never.contains(&c)) {
                    return None;
                }
                push(inner);
                inner.len() + 2
            }
            '{' if rest.starts_with("{}") => {
                push("{}");
                2
            }
            '{' => {
                let (name, _) = rest.strip_prefix(SECRET.0)?.split_once(SECRET.1)?;
                let length = SECRET.0.len() + name.len() + SECRET.1.len();
                push(rest.get(..length).filter(|_| is_name(name))?);
                length
            }
            '$' if start => {
                let root = ROOTS.iter().find(|root| rest.starts_with(**root))?;
                push(root);
                root.len()
            }
            '*' => {
                word.get_or_insert_default().push(('*', true));
                1
            }
            // At a word's beginning some shells take them for more than themselves.
            '=' | '#' | '^' if start => return None,
            _ if next.is_alphanumeric() || "_-./:,+@%=^~#".contains(next) => {
                push(rest.get(..next.len_utf8())?);
                next.len_utf8()
            }
            _ => return None,
        };
        rest = rest.get(length..)?;
    }
    words.extend(word);
    Some(words)
}
