//! Programs that run programs: the commands that they hand on, with the words that they add.

use super::Walker;
use super::listing::names_of_find;
use super::places::{self, Listed};
use super::program::SHELLS;
use super::searching;
use super::simple::shown;
use super::start::{Kind, Start};
use super::state::Dirs;
use super::stream::Stream;
use super::task::Task;
use crate::contracts::limits;
use crate::reading::programs::{HandOn, Invocation, More};
use crate::reading::word::{Piece, Word};

impl Walker<'_> {
    /// What a program hands on, each in its turn.
    pub(super) fn hand_on(
        &mut self,
        read: Invocation,
        words: &[Word],
        dirs: &Dirs,
        at: Option<usize>,
        depth: usize,
        written: Stream,
    ) {
        if read.hands_on.is_empty() {
            return;
        }
        let entry = read.entry.clone().unwrap_or_default();
        let mut starts = Vec::new();
        for hand_on in read.hands_on {
            let start = |kind| Start {
                kind,
                depth: depth + 1,
                dirs: (dirs != &self.dirs).then(|| dirs.clone()),
                program: at,
                assignments: Vec::new(),
            };
            let kind = match hand_on {
                HandOn::Program {
                    words: inner,
                    more,
                    assignments,
                    directory,
                    ..
                } => {
                    let directory = directory.map(|word| places::directories(&word, dirs, false));
                    let (runs, open_ended) = self.more_words(words, inner, more, &entry);
                    for words in runs {
                        let mut run = start(Kind::Program { words, open_ended });
                        run.dirs = directory.clone().or(run.dirs);
                        run.assignments.clone_from(&assignments);
                        starts.push(Task::Start(Box::new(run)));
                    }
                    continue;
                }
                HandOn::Shell {
                    text, arguments, ..
                } => Kind::Shell {
                    text,
                    arguments,
                    shell: match entry.as_str() {
                        entry if entry == "eval" || SHELLS.contains(&entry) => entry.to_owned(),
                        // It has the system's shell read it.
                        _ => "sh".to_owned(),
                    },
                },
                HandOn::Input { shell, what } => Kind::Input {
                    shell: shell.then(|| entry.clone()),
                    what,
                },
                HandOn::Source(word) => Kind::Source(word),
                HandOn::Elsewhere => {
                    let name = words.first().map(shown).unwrap_or_default();
                    self.unread(format!(
                        "{name} runs a command elsewhere, which is not read"
                    ));
                    continue;
                }
            };
            starts.push(Task::Start(Box::new(start(kind))));
        }
        // What they write is only known by where it comes from.
        let many = starts.len() > 1 || entry == "xargs" || entry == "find";
        if many {
            let end = self.leaves.saturating_add(starts.len());
            self.tasks.push(Task::Taint {
                written: Box::new(written),
                leaves: (entry == "xargs").then_some((self.leaves, end)),
            });
        } else {
            // The inner program writes instead.
            self.leaves = self.leaves.saturating_sub(1);
        }
        self.tasks.extend(starts.into_iter().rev());
    }

    /// The commands that an inner command becomes with the words that follow: paths that were listed, or any.
    fn more_words(
        &self,
        outer: &[Word],
        mut inner: Vec<Word>,
        more: More,
        entry: &str,
    ) -> (Vec<Vec<Word>>, bool) {
        let mut listed = Listed::default();
        if entry == "find" {
            listed = names_of_find(outer.get(1..).unwrap_or_default());
            let known = |word: &Word| word.known().is_some();
            if outer.iter().all(known) {
                // All that is not known is what stands in the place of `{}`.
                inner = inner.iter().map(|word| named(word, &listed)).collect();
            }
        }
        if matches!(entry, "fd" | "fdfind") {
            listed = searching::found_by_fd(outer.get(1..).unwrap_or_default());
        }
        let tail = outer.len().saturating_sub(inner.len());
        match more {
            More::Below(word) => {
                inner.push(below(&word, &listed));
                (vec![inner], false)
            }
            More::Any => {
                let fed = match entry {
                    "xargs" => self.fed_words(outer.get(1..tail).unwrap_or_default()),
                    _ => None,
                };
                let Some(runs) = fed else {
                    // A path or an option could be among them.
                    inner.push(Word {
                        pieces: vec![Piece::Fields],
                    });
                    return (vec![inner], true);
                };
                let run = |words: Vec<Word>| [inner.clone(), words].concat();
                (runs.into_iter().map(run).collect(), false)
            }
            More::No => {
                let mark = match entry {
                    "xargs" => replaced(outer),
                    _ => None,
                };
                let options = outer.get(1..tail).unwrap_or_default();
                let fed = mark.and_then(|mark| Some((self.fed_lines(options)?, mark)));
                let Some((fed, mark)) = fed else {
                    return (vec![inner], false);
                };
                let words = outer.get(tail..).unwrap_or_default();
                let run = |by| words.iter().map(|word| replace(word, &mark, by)).collect();
                (fed.iter().map(run).collect(), false)
            }
        }
    }

    /// What `xargs -I` puts into a command, one after the other.
    fn fed_lines(&self, options: &[Word]) -> Option<Vec<Word>> {
        if let Some(listing) = &self.feed.listing {
            return (listing.len() <= limits::HANDED_RUNS).then(|| listing.to_vec());
        }
        match self.fed_words(options)?.as_slice() {
            [run] if run.len() == 1 => Some(run.clone()),
            _ => None,
        }
    }

    /// What `xargs` reads, where that is known, as it gives it to each program.
    fn fed_words(&self, options: &[Word]) -> Option<Vec<Vec<Word>>> {
        if let Some(listing) = &self.feed.listing {
            // Nobody knows their order, nor how many come together: each of them may be the last.
            let turned = |last: usize| {
                let mut words = listing.to_vec();
                words.rotate_left(last);
                words
            };
            return (listing.len() <= limits::HANDED_RUNS)
                .then(|| (0..listing.len()).map(turned).collect());
        }
        let text = self.feed.text.as_ref()?.known()?;
        let mut each = None;
        let mut zero = false;
        let mut options = options.iter();
        while let Some(word) = options.next() {
            match word.known()? {
                "-r" | "-t" | "--no-run-if-empty" | "--verbose" | "-I{}" => {}
                "-0" | "--null" => zero = true,
                "-I" if options.next()?.known()? == "{}" => {}
                "-n" => each = Some(count(options.next()?.known()?)?),
                "-P" => drop(count(options.next()?.known()?)?),
                text => match (text.strip_prefix("-n"), text.strip_prefix("-P")) {
                    (Some(number), _) => each = Some(count(number)?),
                    (_, Some(number)) => drop(count(number)?),
                    // Others take it apart in another way: `--` may come to stand in front of an option or not.
                    _ => return None,
                },
            }
        }
        let words: Vec<Word> = if zero {
            text.split_terminator('\0').map(Word::text).collect()
        } else if text.contains(['\'', '"', '\\', '\0']) {
            return None;
        } else {
            text.split_whitespace().map(Word::text).collect()
        };
        let Some(each) = each.filter(|_| !words.is_empty()) else {
            return Some(vec![words]);
        };
        let runs: Vec<Vec<Word>> = words.chunks(each.max(1)).map(<[Word]>::to_vec).collect();
        (runs.len() <= limits::HANDED_RUNS).then_some(runs)
    }
}

/// The number that an option has.
fn count(text: &str) -> Option<usize> {
    text.parse().ok()
}

/// Paths below a directory, as words.
pub(super) fn below(word: &Word, listed: &Listed) -> Word {
    let mut pieces = word.pieces.clone();
    match pieces.last_mut() {
        Some(Piece::Text(text)) if text.ends_with('/') => {}
        Some(Piece::Text(text)) => text.push('/'),
        Some(_) => pieces.push(Piece::Text("/".to_owned())),
        None => {}
    }
    pieces.push(listed.piece());
    Word { pieces }
}

/// A word of `find`'s inner command, with what stands for `{}`.
fn named(word: &Word, listed: &Listed) -> Word {
    let piece = |piece: &Piece| match piece {
        Piece::Unknown => listed.piece(),
        other => other.clone(),
    };
    Word {
        pieces: word.pieces.iter().map(piece).collect(),
    }
}

/// What `xargs -I` replaces.
fn replaced(words: &[Word]) -> Option<String> {
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let text = word.known()?;
        if text == "-I" {
            return words.next()?.known().map(str::to_owned);
        }
        if let Some(mark) = text.strip_prefix("-I") {
            return Some(mark.to_owned());
        }
        if text == "-i" {
            return Some("{}".to_owned());
        }
    }
    None
}

fn replace(word: &Word, mark: &str, by: &Word) -> Word {
    let mut pieces = Vec::new();
    for piece in &word.pieces {
        let Piece::Text(text) = piece else {
            pieces.push(piece.clone());
            continue;
        };
        for (number, part) in text.split(mark).enumerate() {
            if number > 0 {
                pieces.extend(by.pieces.iter().cloned());
            }
            if !part.is_empty() {
                pieces.push(Piece::Text(part.to_owned()));
            }
        }
    }
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Text(last)), Piece::Text(more)) => last.push_str(&more),
            (_, piece) => joined.push(piece),
        }
    }
    Word { pieces: joined }
}
