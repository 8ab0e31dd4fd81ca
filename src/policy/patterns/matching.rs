//! Holding a pattern against a program: whether every command that it could be is meant, or one of them.

use super::command::{Command, Element, Head, Word as Pattern, base, secrets};
use super::place::could as path_could;
use super::view::{Item, View};
use super::{List, options};
use crate::reading::atoms::{Found, Role};
use crate::reading::paths::{join, normal, within};
use crate::reading::word::{Piece, Word};

/// How a pattern writes a word out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Written {
    /// By a wildcard.
    No,
    /// As a path or URL with a beginning of its own.
    Beginning,
    /// All of it.
    Whole,
}

impl Command {
    /// Whether the program could be one that the pattern means.
    pub(in crate::policy) fn could(&self, view: &View<'_>) -> bool {
        let program = match &self.head {
            Head::Set(set) => return view.program.sets.contains(set),
            Head::Any => "",
            Head::Program(program) => program,
        };
        let named =
            program.is_empty() || view.names.is_empty() || view.names.contains(&base(program));
        named
            && self.loose.iter().any(|loose| {
                let mut options = loose.options.iter();
                options.all(|(option, value)| {
                    view.program.open_ended && view.program.sets.is_empty()
                        || options::could(option, value.as_deref(), &view.items)
                }) && could_words(&loose.words, view)
            })
    }

    /// Whether every command that the program could be is meant. How the pattern writes each word, by their positions
    /// among the program's words.
    pub(in crate::policy) fn certain(&self, view: &View<'_>) -> Option<Vec<Written>> {
        let program = match &self.head {
            Head::Set(set) => {
                let secret = view.items.iter().any(|item| has_secret(item.word));
                // Words that follow unseen, which could turn it, have taken the program out of its sets already.
                let meant = view.program.sets.contains(set) && view.is_systems() && !secret;
                return meant.then(Vec::new);
            }
            Head::Any => {
                let all: Vec<&Item<'_>> = view.items.iter().collect();
                let meant = view.is_systems() && !view.names.is_empty();
                return meant
                    .then(|| certain_words(&self.elements, &all, view))
                    .flatten();
            }
            Head::Program(program) => program,
        };
        let first = view.program.words.first().and_then(Word::known)?;
        let named = match program.contains('/') {
            false => base(first) == program && view.is_systems(),
            true => match &view.program.found {
                Found::At(real) => {
                    let around = view.on.around;
                    let path = match program.strip_prefix("~/") {
                        Some(rest) => join(&around.home, rest),
                        None => join(&around.repository, program),
                    };
                    normal(&path) == normal(real)
                }
                _ => false,
            },
        };
        if !named || secrets(first) != [""; 0] {
            return None;
        }
        let without: Vec<&Item<'_>> = {
            let items = view.items.iter();
            items.filter(|item| item.role != Role::Global).collect()
        };
        certain_words(&self.elements, &without, view).or_else(|| {
            let all: Vec<&Item<'_>> = view.items.iter().collect();
            let globals = all.len() != without.len();
            globals
                .then(|| certain_words(&self.elements, &all, view))
                .flatten()
        })
    }
}

impl List<Command> {
    pub(in crate::policy) fn could(&self, view: &View<'_>) -> bool {
        self.has(|own| own.could(view), |own| own.certain(view).is_some())
    }

    /// How a pattern that means the program writes its words; of several, the best.
    pub(in crate::policy) fn certain(&self, view: &View<'_>) -> Option<Vec<Written>> {
        if self.excluded.iter().any(|own| own.could(view)) {
            return None;
        }
        if self.included.is_empty() {
            return (view.is_systems() && !view.items.iter().any(|item| has_secret(item.word)))
                .then(Vec::new);
        }
        let mut best: Option<Vec<Written>> = None;
        for written in self.included.iter().filter_map(|own| own.certain(view)) {
            let best = best.get_or_insert_default();
            if best.len() < written.len() {
                best.resize(written.len(), Written::No);
            }
            for (best, written) in best.iter_mut().zip(written) {
                *best = (*best).max(written);
            }
        }
        best
    }
}

/// States of a pattern: a bit for each of its words, and one for the end.
type States = u128;

fn closed(elements: &[Element], mut states: States) -> States {
    for (at, element) in elements.iter().enumerate() {
        if *element == Element::Many && states & (1 << at) != 0 {
            states |= 1 << (at + 1);
        }
    }
    states
}

/// All states from the first on: words that nobody knows take as many as they like.
fn onwards(elements: &[Element], states: States) -> States {
    match states {
        0 => 0,
        states => {
            let all = (1 << (elements.len() + 1)) - 1;
            all & !((1 << states.trailing_zeros()) - 1)
        }
    }
}

fn could_words(elements: &[Element], view: &View<'_>) -> bool {
    let mut states = closed(elements, 1);
    for item in &view.items {
        let mut next = match item.is_option() {
            true => states,
            false => 0,
        };
        for (at, element) in elements.iter().enumerate() {
            if states & (1 << at) == 0 {
                continue;
            }
            match element {
                Element::Many => next |= 1 << at,
                Element::One(word) if could_word(word, item, view) => next |= 1 << (at + 1),
                Element::One(_) => {}
            }
        }
        if item.word.splits() {
            next |= onwards(elements, states);
        }
        states = closed(elements, next);
        if states == 0 {
            return false;
        }
    }
    if view.program.open_ended {
        states = onwards(elements, states);
    }
    states & (1 << elements.len()) != 0
}

fn could_word(own: &Pattern, item: &Item<'_>, view: &View<'_>) -> bool {
    let Some(text) = item.text else {
        return item.name.as_ref().is_none_or(|name| own.name.meets(name));
    };
    if own.name.matches(text) {
        return true;
    }
    if let Some(url) = &own.url {
        return view.hosts(item.at).any(|host| url.could(host));
    }
    let (Some(path), true) = (&own.path, item.role == Role::Path) else {
        return false;
    };
    match path.is_rooted() && own.text.starts_with(['/', '~', '$']) {
        true => view
            .places(item.at)
            .any(|place| path_could(path, place, view.on)),
        false => spellings(text, view).any(|spelled| path.matches(&spelled, view.on.around)),
    }
}

/// A path as it would be written from its own directory, and from the repository; each from `/`.
fn spellings(text: &str, view: &View<'_>) -> impl Iterator<Item = String> {
    let as_written = (!text.starts_with('/') && !escapes(text)).then(|| normal(text));
    let directories = view.program.directories.iter();
    let others = directories.filter_map(|directory| from_repository(directory, text, view));
    as_written.into_iter().chain(others)
}

/// A path as it would be written from the repository, from `/`. `None`: it is not in it.
fn from_repository(directory: &str, text: &str, view: &View<'_>) -> Option<String> {
    let repository = &view.on.around.repository;
    let path = normal(&join(directory, text));
    let within = !repository.is_empty() && within(&path, repository);
    within
        .then(|| path.get(repository.len()..).map(normal))
        .flatten()
}

/// Whether a program runs where relative paths of patterns begin.
fn is_at_home(view: &View<'_>) -> bool {
    let around = view.on.around;
    let home = match around.repository.as_str() {
        "" => &around.directory,
        repository => repository,
    };
    let mut directories = view.program.directories.iter();
    directories.all(|directory| directory == home)
}

/// Whether a relative path leads out of its directory, by its names.
fn escapes(text: &str) -> bool {
    let mut depth = 0_usize;
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

fn has_secret(word: &Word) -> bool {
    word.pieces.iter().any(|piece| match piece {
        Piece::Text(text) | Piece::Glob(text) => !secrets(text).is_empty(),
        Piece::Unknown | Piece::Below | Piece::Fields => false,
    })
}

fn certain_words(
    elements: &[Element],
    items: &[&Item<'_>],
    view: &View<'_>,
) -> Option<Vec<Written>> {
    let mut steps: Vec<States> = Vec::with_capacity(items.len() + 1);
    let mut states = closed(elements, 1);
    steps.push(states);
    for item in items {
        let mut next = 0;
        for (at, element) in elements.iter().enumerate() {
            if states & (1 << at) == 0 {
                continue;
            }
            match element {
                Element::Many if stands_for_any(item, view) => next |= 1 << at,
                Element::One(word) if certain_word(word, item, view).is_some() => {
                    next |= 1 << (at + 1);
                }
                _ => {}
            }
        }
        states = closed(elements, next);
        if states == 0 {
            return None;
        }
        steps.push(states);
    }
    let mut at = elements.len();
    if states & (1 << at) == 0 {
        return None;
    }
    // What follows unseen is for `*`, and has no paths that anybody saw: only what is code anyway may have it.
    let tail = elements.last() == Some(&Element::Many);
    if view.program.open_ended && !(tail && view.program.entry.is_none()) {
        return None;
    }
    let mut written = vec![Written::No; view.program.words.len()];
    // Back from the end: a word that a pattern writes counts before one that `*` takes.
    for (item, before) in items.iter().zip(&steps).rev() {
        // `**` that stood for nothing more.
        let mut from = at;
        loop {
            let step = from.checked_sub(1).filter(|step| before & (1 << step) != 0);
            let one = step.and_then(|step| match elements.get(step) {
                Some(Element::One(word)) => certain_word(word, item, view).map(|how| (step, how)),
                _ => None,
            });
            if let Some((step, how)) = one {
                if let Some(slot) = written.get_mut(item.at) {
                    *slot = how;
                }
                at = step;
                break;
            }
            let many = elements.get(from) == Some(&Element::Many) && before & (1 << from) != 0;
            if many && stands_for_any(item, view) {
                at = from;
                break;
            }
            match from.checked_sub(1).map(|less| (less, elements.get(less))) {
                Some((less, Some(Element::Many))) => from = less,
                _ => break,
            }
        }
    }
    Some(written)
}

/// Whether `*` can stand for a word whatever it becomes.
fn stands_for_any(item: &Item<'_>, view: &View<'_>) -> bool {
    // What a program does that the table does not know is code anyway.
    let turning = item.role == Role::Turning && view.program.entry.is_some();
    !turning && !has_secret(item.word)
}

/// Whether a word of a pattern means this word whatever it becomes, and how it writes it.
fn certain_word(own: &Pattern, item: &Item<'_>, view: &View<'_>) -> Option<Written> {
    let Some(text) = item.text else {
        let all = own.name.is_any() || own.name.matches_all_from(item.word.beginning());
        let as_text = !matches!(item.role, Role::Path | Role::Url) || own.name.is_any();
        let holds = all && as_text && !item.word.splits() && stands_for_any(item, view);
        return holds.then_some(Written::No);
    };
    if secrets(text) != own.secrets {
        return None;
    }
    let elsewhere = item.role == Role::Path && !own.text.starts_with(['/', '~', '$']);
    if own.name.literal() == Some(text) && (!elsewhere || is_at_home(view)) {
        return Some(Written::Whole);
    }
    if item.role == Role::Turning && view.program.entry.is_some() {
        // `--output=*` names the option.
        let named = own
            .text
            .split_once('=')
            .is_some_and(|(name, _)| !name.contains('*'));
        return (named && own.name.matches(text)).then_some(Written::No);
    }
    if own.name.is_any() {
        return Some(Written::No);
    }
    match item.role {
        Role::Url if own.url.is_some() || text.contains("://") => {
            let url = own.url.as_ref()?;
            let mut hosts = view.hosts(item.at);
            let first = hosts.next()?;
            let holds = url.certain(first) && hosts.all(|host| url.certain(host));
            holds.then_some(Written::Beginning)
        }
        Role::Path => {
            let path = own.path.as_ref()?;
            let around = view.on.around;
            if own.text.starts_with(['/', '~', '$']) {
                let list = List {
                    included: vec![path.clone()],
                    excluded: Vec::new(),
                };
                let mut places = view.places(item.at).peekable();
                let holds = match places.peek() {
                    Some(_) => places.all(|place| list.certain(place, view.on)),
                    // Names alone: nothing is read.
                    None => {
                        let mut directories = view.program.directories.iter();
                        !view.program.directories.is_empty()
                            && directories
                                .all(|from| path.matches(&normal(&join(from, text)), around))
                    }
                };
                return holds.then_some(Written::Beginning);
            }
            let mut directories = view.program.directories.iter().peekable();
            let holds = match directories.peek() {
                Some(_) => directories.all(|from| {
                    let spelled = from_repository(from, text, view);
                    spelled.is_some_and(|spelled| path.matches(&spelled, around))
                }),
                None => false,
            };
            holds.then_some(Written::No)
        }
        _ => own.name.matches(text).then_some(Written::No),
    }
}
