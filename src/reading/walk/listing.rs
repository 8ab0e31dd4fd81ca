//! Paths that a program lists, which another takes: from a pipe, a substitution, a loop.

use super::Walker;
use super::hand_on::below;
use super::places;
use crate::reading::programs::Invocation;
use crate::reading::word::{Piece, Word};

impl Walker<'_> {
    /// Paths that a program lists, one a line.
    pub(super) fn listing(
        &self,
        name: &str,
        arguments: &[Word],
        read: &Invocation,
    ) -> Option<Vec<Word>> {
        if !read.hands_on.is_empty() {
            return None;
        }
        let here = || {
            vec![Word {
                pieces: vec![Piece::Glob(places::LISTED.to_owned())],
            }]
        };
        let operand = |word: &&Word| word.known().is_none_or(|text| !text.starts_with('-'));
        match name {
            "find" => {
                if arguments.iter().any(|word| {
                    word.known().is_some_and(|text| {
                        text.contains("print") && text != "-print" && text != "-print0"
                    }) || word
                        .known()
                        .is_some_and(|text| matches!(text, "-ls" | "-fls" | "-delete"))
                }) {
                    return None;
                }
                let begins = |word: &&Word| {
                    word.known()
                        .is_none_or(|text| !text.starts_with(['-', '(', '!']) && text != ",")
                };
                let options = |word: &&Word| matches!(word.known(), Some("-H" | "-L" | "-P"));
                let roots: Vec<&Word> = arguments
                    .iter()
                    .skip_while(options)
                    .take_while(begins)
                    .collect();
                if roots.is_empty() {
                    return Some(vec![below(&Word::text("."))]);
                }
                let certain = |word: &&Word| {
                    word.pieces
                        .iter()
                        .all(|piece| !matches!(piece, Piece::Unknown | Piece::Fields))
                };
                roots
                    .iter()
                    .all(certain)
                    .then(|| roots.iter().map(|word| below(word)).collect())
            }
            "ls" => {
                let mut words = here();
                for word in arguments.iter().filter(operand) {
                    if word.known().is_none() && !matches!(word.pieces.last(), Some(Piece::Glob(_)))
                    {
                        return None;
                    }
                    words.push(word.clone());
                }
                let long = |word: &Word| {
                    word.known().is_none_or(|text| {
                        text.starts_with("--")
                            || (text.starts_with('-')
                                && text.contains(['l', 's', 'i', 'F', 'p', 'Q', 'm']))
                    })
                };
                (!arguments.iter().filter(|word| !operand(word)).any(long)).then_some(words)
            }
            "git" => {
                let lists = match arguments.first()?.known()? {
                    "ls-files" => !has_long(
                        arguments,
                        &[
                            "-s", "--stage", "-t", "-v", "-f", "-u", "--eol", "--debug", "--format",
                        ],
                    ),
                    "diff" | "show" | "diff-tree" | "log" => has_long(arguments, &["--name-only"]),
                    "grep" => has_long(
                        arguments,
                        &[
                            "-l",
                            "--files-with-matches",
                            "--name-only",
                            "-L",
                            "-il",
                            "-lE",
                            "-lr",
                        ],
                    ),
                    _ => false,
                };
                (lists && arguments.iter().all(|word| word.known().is_some())).then(here)
            }
            "rg" | "grep" => {
                let lists = |word: &Word| {
                    word.known().is_some_and(|text| {
                        matches!(
                            text,
                            "--files" | "--files-with-matches" | "--files-without-match"
                        ) || (text.starts_with('-')
                            && !text.starts_with("--")
                            && text.contains(['l', 'L']))
                    })
                };
                if !arguments.iter().any(lists) {
                    return None;
                }
                self.roots(arguments)
            }
            "fd" | "fdfind" => {
                if arguments.iter().any(|word| {
                    word.known()
                        .is_some_and(|text| matches!(text, "-l" | "--list-details" | "--format"))
                }) {
                    return None;
                }
                self.roots(arguments)
            }
            _ => None,
        }
    }

    /// Every operand of a search may be where it begins; without one it is here.
    fn roots(&self, arguments: &[Word]) -> Option<Vec<Word>> {
        let mut words = vec![Word {
            pieces: vec![Piece::Glob(places::LISTED.to_owned())],
        }];
        for word in arguments {
            match word.known() {
                Some(text) if text.starts_with('-') => {}
                // A pattern that is no path leads to no file.
                Some(text) if text.starts_with('/') || text.split('/').any(|name| name == "..") => {
                    words.push(below(word));
                }
                Some(_) => {}
                None if matches!(word.pieces.first(), Some(Piece::Text(text)) if !text.starts_with('/'))
                    && !places::climbs(word)
                    && !word.pieces.contains(&Piece::Fields) => {}
                None => return None,
            }
        }
        Some(words)
    }
}

fn has_long(words: &[Word], options: &[&str]) -> bool {
    words.iter().any(|word| {
        word.known()
            .is_some_and(|text| options.contains(&text.split('=').next().unwrap_or_default()))
    })
}
