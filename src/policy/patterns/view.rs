//! A program of a reading, prepared to be held against many patterns.

use std::rc::Rc;

use super::command::base;
use super::name::Name;
use super::path::SYSTEM;
use super::place::{Ground, Spot};
use crate::reading::atoms::{Atom, AtomKind, Found, Host, Program, Reading, Role, Source};
use crate::reading::paths::{normal, within};
use crate::reading::word::{Piece, Word};

/// A program of a reading, prepared to be held against many patterns.
pub(in crate::policy) struct View<'a> {
    pub(in crate::policy) program: &'a Program,
    /// The last part of the program's path, as written and as it lies.
    pub(in crate::policy) names: Vec<&'a str>,
    /// All words behind the program.
    pub(in crate::policy) items: Vec<Item<'a>>,
    /// What comes of a word.
    pub(super) of_words: Vec<(usize, &'a Atom, Option<Rc<Spot<'a>>>)>,
    pub(super) on: Ground<'a>,
}

/// A word behind the program.
pub(in crate::policy) struct Item<'a> {
    /// Its position among the program's words.
    pub(in crate::policy) at: usize,
    pub(in crate::policy) word: &'a Word,
    pub(in crate::policy) text: Option<&'a str>,
    pub(in crate::policy) role: Role,
    /// What is known of it, where that is not all.
    pub(super) name: Option<Name>,
    /// It stands behind `--`.
    pub(super) behind_end: bool,
    /// It could become an option.
    pub(super) may_be_option: bool,
}

impl Item<'_> {
    /// Whether the table takes it for a path or URL, which has many spellings.
    pub(in crate::policy) fn is_path(&self) -> bool {
        matches!(self.role, Role::Path | Role::Url)
    }

    /// Options and their values: a deny looks past them.
    pub(in crate::policy) fn is_option(&self) -> bool {
        let by_role = matches!(
            self.role,
            Role::Harmless | Role::Turning | Role::Value | Role::Global | Role::End
        );
        let dash = self
            .text
            .is_some_and(|text| text.len() > 1 && text.starts_with('-'));
        by_role || (dash && !self.behind_end)
    }
}

impl<'a> View<'a> {
    pub(in crate::policy) fn new(
        reading: &'a Reading,
        at: usize,
        program: &'a Program,
        spots: &[Option<Rc<Spot<'a>>>],
        on: Ground<'a>,
    ) -> Self {
        let mut names = Vec::new();
        if let Some(first) = program.words.first().and_then(Word::known) {
            names.push(base(first));
            if let Found::At(real) = &program.found {
                names.push(base(real));
            }
        }
        // Where the table does not know the program, `--` may be another word to it.
        let known = program.entry.is_some();
        let mut ended = false;
        let mut items = Vec::new();
        for (at, word) in program.words.iter().enumerate().skip(1) {
            let role = program.roles.get(at).copied().unwrap_or(Role::Operand);
            let text = word.known();
            let pieces = word.pieces.iter().map(|piece| match piece {
                Piece::Text(text) => Some(text.as_str()),
                _ => None,
            });
            items.push(Item {
                at,
                word,
                text,
                role,
                name: text.is_none().then(|| Name::of_pieces(pieces)),
                behind_end: ended,
                may_be_option: !ended
                    && matches!(word.beginning().chars().next(), None | Some('-')),
            });
            ended |= known && role == Role::End;
        }
        let atoms = reading.atoms.iter().zip(spots);
        let of_words = atoms.filter(|(atom, _)| atom.program == Some(at));
        let of_words = of_words.filter_map(|(atom, spot)| match atom.source {
            Source::Operand(word) | Source::Option(word) => Some((word, atom, spot.clone())),
            _ => None,
        });
        Self {
            program,
            names,
            items,
            of_words: of_words.collect(),
            on,
        }
    }

    /// The paths that come of a word.
    pub(super) fn places(&self, word: usize) -> impl Iterator<Item = &Spot<'a>> {
        let of_word = self.of_words.iter().filter(move |(at, ..)| *at == word);
        of_word.filter_map(|(_, _, spot)| spot.as_deref())
    }

    /// The hosts that come of a word.
    pub(super) fn hosts(&self, word: usize) -> impl Iterator<Item = &'a Host> {
        let of_word = self.of_words.iter().filter(move |(at, ..)| *at == word);
        of_word.filter_map(|(_, atom, _)| match &atom.kind {
            AtomKind::Host(host) => Some(host),
            _ => None,
        })
    }

    /// Whether the program lies where only root writes, or is the shell's own.
    pub(super) fn is_systems(&self) -> bool {
        match &self.program.found {
            Found::Path | Found::Shell => true,
            Found::WritablePath => false,
            Found::At(real) => {
                let written = self.program.words.first().and_then(Word::known);
                let system = |path: &str| SYSTEM.iter().any(|own| within(path, own));
                let real = normal(real);
                // A link elsewhere with another program's name is that other program.
                let same = |written: &str| {
                    let version = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
                    let rest = base(&real).strip_prefix(base(written));
                    rest.is_some_and(|rest| rest.chars().all(version))
                };
                system(&real)
                    && written.is_some_and(|path| {
                        same(path) || system(&normal(path)) && path.starts_with('/')
                    })
            }
        }
    }
}
