//! The words of a program against its entry: options, their values, subcommand, operands.

use crate::reading::atoms;
use crate::reading::word::{Piece, Word};

use super::notation::{Effect, Opt, Takes};
pub(super) use super::parsed::{Given, Parsed, behind, may_be_option};
use super::schema::Style;
use super::table::{Entry, Table};

/// Tells the words of a program apart.
pub(super) fn parse<'a>(table: &'a Table, program: &'a Entry, words: &'a [Word]) -> Parsed<'a> {
    let mut parsed = Parsed {
        words,
        entry: program,
        roles: vec![atoms::Role::Program],
        options: Vec::new(),
        operands: Vec::new(),
        before_end: 0,
        unknown_subcommand: None,
        unsure: None,
    };
    let mut reading = Reading {
        chain: vec![program],
        ended: false,
        at: 1,
    };
    while let Some(word) = words.get(reading.at) {
        let at = reading.at;
        reading.at += 1;
        if let Some(role) = reading.word(table, &mut parsed, at, word) {
            parsed.roles.push(role);
        }
    }
    if !reading.ended {
        parsed.before_end = parsed.operands.len();
    }
    parsed.roles.truncate(words.len());
    parsed
}

/// Where the telling apart is.
struct Reading<'a> {
    /// The program's entry, and those of its subcommands.
    chain: Vec<&'a Entry>,
    /// Behind `--`, or the first operand of a program that takes no options there.
    ended: bool,
    /// The next word's position.
    at: usize,
}

impl<'a> Reading<'a> {
    /// Reads one word; `None` where it has put its roles itself.
    fn word(
        &mut self,
        table: &'a Table,
        parsed: &mut Parsed<'a>,
        at: usize,
        word: &Word,
    ) -> Option<atoms::Role> {
        let entry = parsed.entry;
        let beginning = word.beginning();
        if self.ended || entry.style == Style::None {
            parsed.operands.push(at);
            return Some(self.operand_role(parsed, word));
        }
        if entry.bundled && at == 1 && word.known().is_some_and(|text| !text.starts_with('-')) {
            return self.bundle(parsed, at, word);
        }
        match word.known() {
            Some("-" | "") => return self.operand(table, parsed, at, word),
            Some("--") => {
                self.ended = true;
                parsed.before_end = parsed.operands.len();
                return Some(atoms::Role::End);
            }
            _ => {}
        }
        if beginning.starts_with('-') {
            return self.option(parsed, at, word);
        }
        if beginning.starts_with('+') && parsed.operands.is_empty() {
            let option = self
                .find(parsed, beginning)
                .or_else(|| self.find(parsed, "+#"));
            if let Some(option) = option {
                return self.given(parsed, at, word, option, None, false);
            }
        }
        self.operand(table, parsed, at, word)
    }

    fn operand_role(&self, parsed: &Parsed<'a>, word: &Word) -> atoms::Role {
        let fields = word
            .pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Fields));
        if !self.ended && parsed.entry.can_turn && (may_be_option(word) || fields) {
            return atoms::Role::Turning;
        }
        atoms::Role::Operand
    }

    /// An operand, or a subcommand.
    fn operand(
        &mut self,
        table: &'a Table,
        parsed: &mut Parsed<'a>,
        at: usize,
        word: &Word,
    ) -> Option<atoms::Role> {
        let entry = parsed.entry;
        let open = !entry.subcommands.is_empty() && parsed.operands.is_empty();
        if open && parsed.unknown_subcommand.is_none() {
            let known = word.known();
            if let Some(subcommand) = known.and_then(|name| table.subcommand(entry, name)) {
                for role in parsed.roles.iter_mut().skip(1) {
                    if matches!(role, atoms::Role::Harmless) {
                        *role = atoms::Role::Global;
                    }
                }
                values_of_globals(parsed);
                parsed.entry = subcommand;
                self.chain.push(subcommand);
                return Some(atoms::Role::Subcommand);
            }
            if entry.operands.is_empty() || known.is_none() {
                parsed.unknown_subcommand = Some(at);
                parsed.operands.push(at);
                return Some(match known {
                    Some(_) => atoms::Role::Subcommand,
                    None => atoms::Role::Turning,
                });
            }
        }
        let role = self.operand_role(parsed, word);
        parsed.operands.push(at);
        if entry.posix && parsed.unknown_subcommand.is_none() {
            self.ended = true;
            parsed.before_end = parsed.operands.len();
        }
        Some(role)
    }

    /// `tar xf a`: letters, then their values in order.
    fn bundle(&mut self, parsed: &mut Parsed<'a>, at: usize, word: &Word) -> Option<atoms::Role> {
        parsed.roles.push(atoms::Role::Harmless);
        for letter in word.beginning().chars() {
            let option = self.find(parsed, &format!("-{letter}"));
            let takes = option.is_some_and(|option| option.takes == Takes::Value);
            let value = match takes.then(|| parsed.words.get(self.at)).flatten() {
                Some(next) => {
                    let value = Some((self.at, next.clone()));
                    let splits = next.pieces.contains(&Piece::Fields);
                    parsed.roles.push(if splits {
                        atoms::Role::Turning
                    } else {
                        atoms::Role::Value
                    });
                    self.at += 1;
                    value
                }
                None => None,
            };
            if option.is_none_or(Opt::turns_program)
                && let Some(role) = parsed.roles.get_mut(at)
            {
                *role = atoms::Role::Turning;
            }
            parsed.options.push(Given { at, option, value });
        }
        None
    }

    /// What the table says of a spelling.
    fn find(&self, parsed: &Parsed<'a>, spelling: &str) -> Option<&'a Opt> {
        let of = |entry: &&'a Entry| {
            let options = entry.options();
            options.meanings.get(*options.by_spelling.get(spelling)?)
        };
        of(&parsed.entry).or_else(|| {
            let above = self.chain.iter().rev();
            above.filter(|entry| entry.globals_anywhere).find_map(of)
        })
    }

    /// The only options that a long spelling abbreviates.
    fn abbreviated(&self, parsed: &Parsed<'a>, spelling: &str) -> Vec<&'a Opt> {
        let above = self.chain.iter().filter(|entry| entry.globals_anywhere);
        let mut candidates: Vec<&Opt> = Vec::new();
        for entry in above.copied().chain([parsed.entry]) {
            let options = entry.options();
            for (name, place) in &options.by_spelling {
                let Some(option) = options.meanings.get(*place) else {
                    continue;
                };
                if name.starts_with(spelling)
                    && !candidates.iter().any(|one| std::ptr::eq(*one, option))
                {
                    candidates.push(option);
                }
            }
        }
        candidates
    }

    /// An option; pushes its role, and that of its value.
    fn option(&mut self, parsed: &mut Parsed<'a>, at: usize, word: &Word) -> Option<atoms::Role> {
        let text = word.beginning();
        let whole = word.known().is_some();
        let long = text.starts_with("--") || parsed.entry.style == Style::Single;
        let name_end = text.find('=');
        let name = name_end.map_or(text, |end| text.get(..end).unwrap_or(text));
        // `--name` may go on where the word does.
        let certain = whole || name_end.is_some();
        let known = certain
            .then(|| self.find(parsed, name))
            .flatten()
            .or_else(|| {
                (certain && parsed.entry.style == Style::Single)
                    .then(|| name.strip_prefix('-'))
                    .flatten()
                    .and_then(|name| self.find(parsed, name))
            });
        if let Some(option) = known
            && (long || name.len() > 2)
        {
            let attached = name_end.map(|end| (at, behind(word, end + 1)));
            let turned = attached.is_some() && option.takes == Takes::Nothing;
            return self.given(parsed, at, word, option, attached, turned);
        }
        if long {
            if certain && text.starts_with("--") {
                let candidates = self.abbreviated(parsed, name);
                if let [option] = candidates.as_slice() {
                    let attached = name_end.map(|end| (at, behind(word, end + 1)));
                    return self.given(parsed, at, word, option, attached, true);
                }
                for option in candidates {
                    let attached = name_end.map(|end| (at, behind(word, end + 1)));
                    let next = || Some((self.at, parsed.words.get(self.at)?.clone()));
                    let takes = option.takes == Takes::Value;
                    let value = attached.or_else(|| takes.then(next).flatten());
                    let option = Some(option);
                    parsed.options.push(Given { at, option, value });
                }
            }
            return self.unknown(parsed, at);
        }
        self.cluster(parsed, at, word)
    }

    /// `-abc`.
    fn cluster(&mut self, parsed: &mut Parsed<'a>, at: usize, word: &Word) -> Option<atoms::Role> {
        let text = word.beginning();
        let whole = word.known().is_some();
        let digits = text.get(1..).unwrap_or_default();
        if digits.starts_with(|digit: char| digit.is_ascii_digit())
            && digits.chars().all(|digit| digit.is_ascii_digit())
            && let Some(option) = self.find(parsed, "-#")
        {
            return self.given(parsed, at, word, option, None, !whole);
        }
        let mut turns = false;
        let mut digits = false;
        for (start, letter) in text.char_indices().skip(1) {
            if digits && letter.is_ascii_digit() {
                continue;
            }
            digits = false;
            let end = start + letter.len_utf8();
            let Some(option) = self.find(parsed, &format!("-{letter}")) else {
                turns |= parsed.entry.unknown_turns;
                self.unknown(parsed, at);
                parsed.roles.pop();
                continue;
            };
            let rest = end < text.len() || !whole;
            match option.takes {
                Takes::Nothing | Takes::Digits => {
                    turns |= option.turns_program();
                    digits = option.takes == Takes::Digits;
                    let value = None;
                    let option = Some(option);
                    parsed.options.push(Given { at, option, value });
                }
                Takes::Value | Takes::Attached | Takes::Two => {
                    let mut skip = end;
                    // `-o=value` of programs that take it so; others read `=value`.
                    if text.get(end..).is_some_and(|rest| rest.starts_with('='))
                        && option.spellings.iter().any(|one| one.starts_with("--"))
                    {
                        skip += 1;
                    }
                    let attached = rest.then(|| (at, behind(word, skip)));
                    return self.given(parsed, at, word, option, attached, turns);
                }
            }
        }
        // Further letters may follow.
        turns |= !whole && parsed.entry.can_turn;
        Some(if turns {
            atoms::Role::Turning
        } else {
            atoms::Role::Harmless
        })
    }

    /// Puts a known option, and takes its value.
    fn given(
        &mut self,
        parsed: &mut Parsed<'a>,
        at: usize,
        word: &Word,
        option: &'a Opt,
        attached: Option<(usize, Word)>,
        turned: bool,
    ) -> Option<atoms::Role> {
        let splits = attached.is_some()
            && parsed.entry.can_turn
            && word
                .pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Fields));
        parsed
            .roles
            .push(if option.turns_program() || turned || splits {
                atoms::Role::Turning
            } else {
                atoms::Role::Harmless
            });
        let mut value = attached;
        if value.is_none() && option.takes == Takes::Two {
            // A word that splits leaves open which is the second.
            let splits = |word: &Word| word.pieces.contains(&Piece::Fields);
            let first = parsed.words.get(self.at).is_some_and(splits);
            for _ in 0..2 {
                if let Some(next) = parsed.words.get(self.at) {
                    value = Some((self.at, next.clone()));
                    if first || splits(next) {
                        parsed.operands.push(self.at);
                    }
                    parsed.roles.push(atoms::Role::Value);
                    self.at += 1;
                }
            }
        }
        if value.is_none() && option.takes == Takes::Value {
            let next = parsed.words.get(self.at);
            value = next.map(|next| (self.at, next.clone()));
            if let Some(next) = next {
                // It may be no word, and then the next one is the value; or several. Behind an option that is
                // not known, it may be no value at all.
                if parsed.unsure.is_some()
                    || next
                        .pieces
                        .iter()
                        .any(|piece| matches!(piece, Piece::Fields))
                {
                    parsed.operands.push(self.at);
                    parsed.roles.push(if parsed.entry.can_turn {
                        atoms::Role::Turning
                    } else {
                        atoms::Role::Value
                    });
                } else {
                    parsed.roles.push(atoms::Role::Value);
                }
                self.at += 1;
            }
        }
        self.ended |= option.effects.contains(&Effect::End);
        if self.ended {
            parsed.before_end = parsed.operands.len();
        }
        let option = Some(option);
        parsed.options.push(Given { at, option, value });
        None
    }

    /// Puts an option that the table does not know.
    fn unknown(&self, parsed: &mut Parsed<'a>, at: usize) -> Option<atoms::Role> {
        parsed.options.push(Given {
            at,
            option: None,
            value: None,
        });
        if parsed.entry.unknown_turns {
            parsed.unsure.get_or_insert(at);
            parsed.roles.push(atoms::Role::Turning);
        } else {
            parsed.roles.push(atoms::Role::Harmless);
        }
        None
    }
}

/// The values of options in front of a subcommand are left out by patterns as well.
fn values_of_globals(parsed: &mut Parsed<'_>) {
    for given in &parsed.options {
        let Some((at, _)) = &given.value else {
            continue;
        };
        let global = parsed.roles.get(given.at) == Some(&atoms::Role::Global);
        if let Some(role) = parsed.roles.get_mut(*at)
            && *at != given.at
            && global
        {
            *role = atoms::Role::Global;
        }
    }
}
