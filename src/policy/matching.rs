//! Whether a rule speaks about an atom of a call.

use std::rc::Rc;

use super::call::{Asked, Conditions};
use super::conditions::When;
use super::layer::Layer;
use super::patterns::List;
use super::patterns::matching::Written;
use super::patterns::path::{Base, Path};
use super::patterns::place::{Ground, Spot};
use super::patterns::view::View;
use super::rules::{ANY_SECRET, Rule};
use super::tool_names::{Caller, ToolName};
use crate::contracts::verdict::Decision;
use crate::reading::atoms::{
    Atom, AtomKind, CodeClass, Found, Host, PathText, Place, Program, Reading, Source,
};
use crate::reading::known_tools;

/// One layer asked about one call.
pub(super) struct Judge<'a> {
    pub(super) layer: &'a Layer,
    pub(super) reading: &'a Reading,
    pub(super) at: &'a Conditions<'a>,
    pub(super) on: Ground<'a>,
    /// Of each atom and each that is mentioned, its path prepared.
    spots: Vec<Option<Rc<Spot<'a>>>>,
    /// The same for its program.
    views: Vec<Option<View<'a>>>,
    /// Of each program, the allows that mean it, with how they write its words.
    means: Vec<Vec<(usize, Vec<Written>)>>,
    /// `${repo}/**` and `${tmp}/**`.
    pub(super) inside: List<Path>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        layer: &'a Layer,
        reading: &'a Reading,
        at: &'a Conditions<'a>,
        disk: &'a Asked<'a>,
    ) -> Self {
        let on = Ground {
            around: at.around,
            disk,
        };
        let count = reading.atoms.len();
        let atoms = reading.atoms.iter().chain(&reading.mentioned);
        let spots = atoms.clone().map(|atom| match &atom.kind {
            AtomKind::Read(place) | AtomKind::Write(place) => Some(Rc::new(Spot::new(place, on))),
            _ => None,
        });
        let spots: Vec<Option<Rc<Spot<'_>>>> = spots.collect();
        let views = atoms.enumerate().map(|(position, atom)| match &atom.kind {
            AtomKind::Program(program) => {
                // What is mentioned has no atoms of its own.
                let position = match position < count {
                    true => position,
                    false => usize::MAX,
                };
                Some(View::new(reading, position, program, &spots, on))
            }
            _ => None,
        });
        let mut judge = Self {
            layer,
            reading,
            at,
            on,
            views: views.collect(),
            spots,
            means: Vec::new(),
            inside: List {
                included: vec![
                    Path::all_below(Base::Repository),
                    Path::all_below(Base::Temporary),
                ],
                excluded: Vec::new(),
            },
        };
        judge.means = (0..count)
            .map(|position| judge.meant_by(position))
            .collect();
        judge
    }

    /// The allows with commands that mean a program.
    fn meant_by(&self, position: usize) -> Vec<(usize, Vec<Written>)> {
        let Some(view) = self.views.get(position).and_then(Option::as_ref) else {
            return Vec::new();
        };
        let mut candidates = Vec::new();
        self.layer.index.of_program(view, &mut candidates);
        candidates.sort_unstable();
        candidates.dedup();
        let mut meant = Vec::new();
        for at in candidates {
            let Some(rule) = self.layer.rules.get(at) else {
                continue;
            };
            let when = rule.when.as_ref();
            let commands = when.and_then(|when| when.command.as_ref());
            let (Some(when), Some(commands), Decision::Allow) = (when, commands, rule.effect)
            else {
                continue;
            };
            if !self.conditions_hold(rule) || !self.knows_secrets(rule) {
                continue;
            }
            if let Some(written) = commands.certain(view)
                && self
                    .uses_of(position)
                    .all(|(own, atom)| self.with(when, own, atom) != Some(false))
            {
                meant.push((at, written));
            }
        }
        meant
    }

    pub(super) fn spot(&self, position: usize) -> Option<&Spot<'a>> {
        self.spots.get(position)?.as_deref()
    }

    pub(super) fn view(&self, position: usize) -> Option<&View<'a>> {
        self.views.get(position)?.as_ref()
    }

    fn uses_of(&self, program: usize) -> impl Iterator<Item = (usize, &'a Atom)> {
        let atoms = self.reading.atoms.iter().enumerate();
        atoms.filter(move |(_, atom)| atom.program == Some(program))
    }

    /// Rules that could speak about an atom because of what it is.
    pub(super) fn candidates(&self, position: usize, atom: &Atom, into: &mut Vec<usize>) {
        let index = &self.layer.index;
        match &atom.kind {
            AtomKind::Program(_) => {
                if let Some(view) = self.views.get(position).and_then(Option::as_ref) {
                    index.of_program(view, into);
                }
                index.of_code(into);
            }
            AtomKind::Read(_) | AtomKind::Write(_) => {
                if let Some(spot) = self.spot(position) {
                    index.of_place(spot, self.on, into);
                }
            }
            AtomKind::Host(host) => index.of_host(host, into),
            AtomKind::Code(_) => index.of_code(into),
            AtomKind::Use => {
                index.of_code(into);
                let layer = self.layer;
                into.extend(layer.choosing().find(|at| {
                    let rule = layer.rules.get(*at);
                    rule.is_some_and(|rule| self.speaks(*at, rule, position))
                }));
            }
        }
        if let Some(meant) = atom.program.and_then(|program| self.means.get(program)) {
            into.extend(meant.iter().map(|(at, _)| *at));
        }
    }

    /// Whether a rule's conditions hold: all that it asks but which atom.
    pub(super) fn conditions_hold(&self, rule: &Rule) -> bool {
        let at = self.at;
        let allow = rule.effect == Decision::Allow;
        let caller = Caller {
            tool: at.tool,
            args: at.args,
            actor: at.actor,
        };
        if rule.actor.is_some_and(|actor| actor != caller.actor) {
            return false;
        }
        if let Some(tools) = &rule.tools {
            // What denies or requires commands, paths or hosts does so by whichever tool they are used.
            let any_tool =
                !allow && rule.chooses() && !tools.included.iter().all(ToolName::is_servers);
            if !any_tool && !tools.names(caller, !allow) {
                return false;
            }
        }
        let until = rule.until.as_deref();
        if until.is_some_and(|until| at.today.is_none_or(|today| today > until)) {
            return false;
        }
        if let (false, Some(names)) = (allow, &rule.secrets) {
            let named = |own: &String| own == ANY_SECRET || at.secrets.contains(own);
            if at.secrets.is_empty() || !names.iter().any(named) {
                return false;
            }
        }
        let Some(when) = &rule.when else { return true };
        let args = when.args.iter();
        if !args
            .into_iter()
            .all(|(pointer, list)| list.hold(pointer.values(at.args), allow))
        {
            return false;
        }
        let directory = |list: &List<Path>| match (at.directory, allow) {
            (None, allow) => !allow,
            (Some(path), allow) => {
                let place = Place::at(PathText::Known(path.to_owned()));
                let spot = Spot::new(&place, self.on);
                match allow {
                    true => list.certain(&spot, self.on),
                    false => list.could(&spot, self.on),
                }
            }
        };
        when.directory.as_ref().is_none_or(directory)
            && when.branch.as_ref().is_none_or(|list| match at.branch {
                None => !allow,
                Some(name) => list.names(name),
            })
            && when.confined.is_none_or(|confined| confined == at.confined)
    }

    /// Whether an allow names every secret that the call uses.
    pub(super) fn knows_secrets(&self, rule: &Rule) -> bool {
        self.at.secrets.iter().all(|name| {
            let mut names = rule.secrets.iter().flatten();
            names.any(|own| own == name || own == ANY_SECRET)
        })
    }

    /// Whether a rule speaks about an atom.
    pub(super) fn speaks(&self, at: usize, rule: &Rule, position: usize) -> bool {
        let count = self.reading.atoms.len();
        let atom = match position.checked_sub(count) {
            None => self.reading.atoms.get(position),
            Some(position) => self.reading.mentioned.get(position),
        };
        let Some(atom) = atom else { return false };
        if !self.conditions_hold(rule) {
            return false;
        }
        match rule.effect {
            Decision::Allow => self.allows(at, rule, position, atom),
            Decision::Require | Decision::Deny => self.tightens(rule, position, atom),
        }
    }

    fn tightens(&self, rule: &Rule, position: usize, atom: &Atom) -> bool {
        let Some(when) = rule.when.as_ref().filter(|when| when.chooses()) else {
            return true;
        };
        if let Some(commands) = &when.command {
            let view = self.views.get(position).and_then(Option::as_ref);
            // A program of which no name is known is what is unread, and decided as such.
            let unread =
                view.is_some_and(|view| view.names.is_empty()) && !self.reading.unread.is_empty();
            return !unread
                && view.is_some_and(|view| commands.could(view))
                && self.with_any(when, position);
        }
        match &atom.kind {
            AtomKind::Program(_) => false,
            // What an unknown tool does is not known.
            AtomKind::Use => {
                let known = known_tools::named(self.at.tool).is_some();
                !known
                    && when
                        .code
                        .as_ref()
                        .is_some_and(|list| has(list, CodeClass::Unknown))
            }
            _ => self.could_use(when, position, atom),
        }
    }

    /// Whether an atom could be one of the paths, hosts or classes of a rule.
    fn could_use(&self, when: &When, position: usize, atom: &Atom) -> bool {
        let in_list = |list: &Option<List<Path>>| {
            list.as_ref().is_some_and(|list| {
                let spot = self.spot(position);
                spot.is_some_and(|spot| list.could(spot, self.on))
            })
        };
        match &atom.kind {
            AtomKind::Read(_) => in_list(&when.read) || in_list(&when.path),
            AtomKind::Write(_) => in_list(&when.write) || in_list(&when.path),
            AtomKind::Host(host) => when.host.as_ref().is_some_and(|list| list.could(host)),
            AtomKind::Code(code) => when.code.as_ref().is_some_and(|list| has(list, code.class)),
            AtomKind::Program(_) | AtomKind::Use => false,
        }
    }

    /// A deny or require with a command and more holds where the program has some atom of each kind that it names.
    fn with_any(&self, when: &When, position: usize) -> bool {
        if !when.chooses_by_use() {
            return true;
        }
        // Nothing is known of what a command does that is only mentioned.
        if position >= self.reading.atoms.len() {
            return true;
        }
        let any = |kind: fn(&AtomKind) -> bool| {
            let mut uses = self.uses_of(position);
            uses.any(|(own, atom)| kind(&atom.kind) && self.could_use(when, own, atom))
        };
        let path = when.paths().next().is_none()
            || any(|kind| matches!(kind, AtomKind::Read(_) | AtomKind::Write(_)));
        let host = when.host.is_none() || any(|kind| matches!(kind, AtomKind::Host(_)));
        let code = when.code.is_none() || any(|kind| matches!(kind, AtomKind::Code(_)));
        path && host && code
    }

    fn allows(&self, at: usize, rule: &Rule, position: usize, atom: &Atom) -> bool {
        let Some(when) = rule.when.as_ref().filter(|when| when.chooses()) else {
            return self.knows_secrets(rule);
        };
        // A command that does nothing outside of the shell passes where some command may do something.
        if atom.kind == AtomKind::Use {
            return super::tool_names::runs_commands(self.at.tool)
                && self.reading.unread.is_empty()
                && self.knows_secrets(rule);
        }
        if when.command.is_some() {
            return match atom.kind {
                AtomKind::Program(_) => self.written(position, at).is_some(),
                _ => atom.program.is_some_and(|program| {
                    let written = self.written(program, at);
                    written.is_some_and(|written| {
                        self.with(when, position, atom) == Some(true)
                            || self.covers(program, position, atom, written)
                    })
                }),
            };
        }
        match &atom.kind {
            AtomKind::Program(program) => {
                self.knows_secrets(rule)
                    && when
                        .code
                        .as_ref()
                        .is_some_and(|list| self.is_code(position, program, list))
            }
            AtomKind::Code(_) => {
                self.knows_secrets(rule) && self.with(when, position, atom) == Some(true)
            }
            _ => self.with(when, position, atom) == Some(true),
        }
    }

    /// How an allow writes the words of a program that it means.
    fn written(&self, program: usize, at: usize) -> Option<&[Written]> {
        let means = self.means.get(program)?.iter();
        let mut meant = means.filter(|(rule, _)| *rule == at);
        meant.next().map(|(_, written)| written.as_slice())
    }

    /// Whether an atom is for certain one of the paths, hosts or classes of a rule; `None` where the rule does not
    /// speak about atoms of its kind.
    fn with(&self, when: &When, position: usize, atom: &Atom) -> Option<bool> {
        let in_lists = |lists: [&Option<List<Path>>; 2], place: &Place| {
            let mut lists = lists.into_iter().flatten().peekable();
            lists.peek()?;
            // Where a file has other names, one of them may be what nobody may write.
            let elsewhere =
                matches!(atom.kind, AtomKind::Write(_)) && place.other_names && !place.removes;
            let spot = self.spot(position);
            let certain = |list: &List<Path>| spot.is_some_and(|spot| list.certain(spot, self.on));
            Some(!elsewhere && lists.any(certain))
        };
        match &atom.kind {
            AtomKind::Read(place) => in_lists([&when.read, &when.path], place),
            AtomKind::Write(place) => in_lists([&when.write, &when.path], place),
            AtomKind::Host(host) => when.host.as_ref().map(|list| list.certain(host)),
            AtomKind::Code(code) => when.code.as_ref().map(|list| has(list, code.class)),
            AtomKind::Program(_) | AtomKind::Use => None,
        }
    }

    /// Whether a program is nothing but code of these classes: one that the table does not know or that lies where
    /// the session writes, or an interpreter that its words give the code.
    fn is_code(&self, position: usize, program: &Program, list: &List<CodeClass>) -> bool {
        // A usual name for what lies where the session writes is no honest way to run that.
        if program.found == Found::WritablePath && program.entry.is_some() {
            return false;
        }
        let mut any = false;
        let systems = matches!(program.found, Found::Path | Found::Shell);
        for (_, atom) in self.uses_of(position) {
            let AtomKind::Code(code) = &atom.kind else {
                continue;
            };
            let by_words = atom.source != Source::Itself || code.class == CodeClass::Inline;
            let is = program.entry.is_none() || !systems || by_words;
            if !is || !has(list, code.class) {
                return false;
            }
            any = true;
        }
        any
    }

    /// Whether an allow names a host by itself.
    pub(super) fn names_itself(&self, host: &Host) -> bool {
        let Some(name) = &host.name else { return false };
        self.layer.rules.iter().any(|rule| {
            let when = rule
                .when
                .as_ref()
                .filter(|_| rule.effect == Decision::Allow);
            let hosts = when.and_then(|when| when.host.as_ref());
            hosts.is_some_and(|list| {
                let mut exact = list.included.iter().filter_map(|own| own.exact());
                exact.any(|own| own == name)
            })
        })
    }

    /// An allow that would speak about an atom of code if commands were confined.
    pub(super) fn confined_would(&self, atom: &Atom) -> Option<&'a Rule> {
        let AtomKind::Code(code) = &atom.kind else {
            return None;
        };
        let mut rules = self.layer.rules.iter();
        rules.find(|rule| {
            let when = rule
                .when
                .as_ref()
                .filter(|_| rule.effect == Decision::Allow);
            when.is_some_and(|when| {
                when.confined == Some(true)
                    && !self.at.confined
                    && when.code.as_ref().is_some_and(|list| has(list, code.class))
            })
        })
    }
}

fn has(list: &List<CodeClass>, class: CodeClass) -> bool {
    list.has(|own| *own == class, |own| *own == class)
}
