//! Which rules of many could speak about an atom, without a look at each.

use std::collections::{BTreeMap, HashMap};

use super::patterns::List;
use super::patterns::command::Command;
use super::patterns::path::{Base, Path};
use super::patterns::view::View;
use super::rules::Rule;
use super::tool_names::{OTHER_SHELLS, SHELL};
use crate::reading::atoms::{Host, PathText, Place, Set};
use crate::reading::known_tools;
use crate::reading::paths::{normal, within};
use crate::reading::surroundings::Surroundings;

/// Positions of rules.
type Rules = Vec<usize>;

/// Rules by what they are about.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// By the program's name, and what is no option behind it.
    programs: HashMap<String, Programs>,
    sets: HashMap<Set, Rules>,
    /// Lists of exclusions alone.
    any_program: Rules,
    /// By the one name that a path has at its end.
    names: HashMap<String, Rules>,
    /// By what a path begins with.
    prefixes: BTreeMap<(Base, String), Rules>,
    any_path: Rules,
    hosts: HashMap<String, Rules>,
    any_host: Rules,
    codes: Rules,
    tools: HashMap<String, Rules>,
    any_tool: Rules,
}

#[derive(Debug, Clone, Default)]
struct Programs {
    seconds: HashMap<String, Rules>,
    rest: Rules,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (at, rule) in rules.iter().enumerate() {
            index.add(at, rule);
        }
        index
    }

    fn add(&mut self, at: usize, rule: &Rule) {
        let when = rule.when.as_ref().filter(|when| when.chooses());
        let Some(when) = when else {
            let names = rule.tools.iter().flat_map(|list| {
                let names = list.included.iter();
                names.map(super::tool_names::ToolName::as_str)
            });
            let names: Vec<&str> = names.collect();
            let literal = |name: &&str| !name.contains('*') && !name.starts_with('@');
            match !names.is_empty() && names.iter().all(literal) {
                true => {
                    for name in names {
                        put(self.tools.entry(name.to_owned()).or_default(), at);
                    }
                }
                false => self.any_tool.push(at),
            }
            return;
        };
        if let Some(commands) = &when.command {
            self.add_commands(at, commands);
            // With a command, the rest says which of its programs.
            return;
        }
        for paths in when.paths() {
            self.add_paths(at, paths);
        }
        if let Some(hosts) = &when.host {
            match hosts.included.iter().all(|host| host.exact().is_some())
                && !hosts.included.is_empty()
            {
                true => {
                    for name in hosts.included.iter().filter_map(|host| host.exact()) {
                        put(self.hosts.entry(name.to_owned()).or_default(), at);
                    }
                }
                false => self.any_host.push(at),
            }
        }
        if when.code.is_some() {
            self.codes.push(at);
        }
    }

    fn add_commands(&mut self, at: usize, commands: &List<Command>) {
        if commands.included.is_empty() {
            self.any_program.push(at);
        }
        for command in &commands.included {
            if command.is_any() {
                put(&mut self.any_program, at);
            }
            if let Some(set) = command.set() {
                put(self.sets.entry(set).or_default(), at);
            }
            let Some((program, second)) = command.key() else {
                continue;
            };
            let programs = self.programs.entry(program.to_owned()).or_default();
            match second {
                Some(second) => put(programs.seconds.entry(second.to_owned()).or_default(), at),
                None => put(&mut programs.rest, at),
            }
        }
    }

    fn add_paths(&mut self, at: usize, paths: &List<Path>) {
        if paths.included.is_empty() {
            put(&mut self.any_path, at);
        }
        for path in &paths.included {
            if let Some(name) = path.name_alone() {
                put(self.names.entry(name.to_owned()).or_default(), at);
                continue;
            }
            let (base, prefix) = path.prefix();
            match base == Base::Root && prefix.is_empty() {
                true => put(&mut self.any_path, at),
                false => put(self.prefixes.entry((base, prefix)).or_default(), at),
            }
        }
    }

    /// Rules that choose no atoms.
    pub(super) fn of_tool(&self, tool: &str, into: &mut Rules) {
        into.extend(&self.any_tool);
        let plain = known_tools::plain(tool);
        let shell = OTHER_SHELLS.contains(&plain).then_some(SHELL);
        let names = [Some(tool), (plain != tool).then_some(plain), shell];
        for name in names.into_iter().flatten() {
            into.extend(self.tools.get(name).into_iter().flatten());
        }
    }

    /// Rules about this program.
    pub(super) fn of_program(&self, view: &View<'_>, into: &mut Rules) {
        into.extend(&self.any_program);
        for set in &view.program.sets {
            into.extend(self.sets.get(set).into_iter().flatten());
        }
        if view.names.is_empty() {
            for programs in self.programs.values() {
                programs.all(into);
            }
            return;
        }
        for name in &view.names {
            if let Some(programs) = self.programs.get(*name) {
                programs.of(view, into);
            }
        }
    }

    /// Rules about this path.
    pub(super) fn of_place(&self, place: &Place, around: &Surroundings, into: &mut Rules) {
        into.extend(&self.any_path);
        let written = match &place.path {
            PathText::Known(path) | PathText::Below(path) | PathText::Glob(path, _) => path,
            PathText::Anywhere => {
                into.extend(self.names.values().flatten());
                into.extend(self.prefixes.values().flatten());
                return;
            }
        };
        let open = place.tree || !matches!(place.path, PathText::Known(_));
        let mut paths = vec![normal(written)];
        paths.extend(place.real.as_deref().map(normal));
        paths.extend(place.matches.iter().map(|path| normal(path)));
        if open {
            into.extend(self.names.values().flatten());
        }
        for path in &paths {
            let name = path.rsplit('/').next().unwrap_or_default();
            into.extend(self.names.get(name).into_iter().flatten());
            self.of_path(path, open, around, into);
        }
    }

    fn of_path(&self, path: &str, open: bool, around: &Surroundings, into: &mut Rules) {
        let bases = [
            Base::Root,
            Base::Repository,
            Base::Home,
            Base::Temporary,
            Base::System,
        ];
        for base in bases {
            for directory in base.directories(around) {
                if open && within(directory, path) {
                    let all = self.prefixes.range((base, String::new())..);
                    let all = all.take_while(|((own, _), _)| *own == base);
                    into.extend(all.flat_map(|(_, rules)| rules));
                    continue;
                }
                if !within(path, directory) {
                    continue;
                }
                let rest = path.get(directory.trim_end_matches('/').len()..);
                let rest = rest.unwrap_or_default().trim_end_matches('/');
                let mut above = rest;
                loop {
                    let key = (base, above.to_owned());
                    into.extend(self.prefixes.get(&key).into_iter().flatten());
                    match above.rsplit_once('/') {
                        Some((next, _)) => above = next,
                        None => break,
                    }
                }
                if open {
                    let below = format!("{rest}/");
                    let range = self.prefixes.range((base, below.clone())..);
                    let range = range.take_while(|((own, prefix), _)| {
                        *own == base && prefix.starts_with(&below)
                    });
                    into.extend(range.flat_map(|(_, rules)| rules));
                }
            }
        }
    }

    /// Rules about this host.
    pub(super) fn of_host(&self, host: &Host, into: &mut Rules) {
        into.extend(&self.any_host);
        match &host.name {
            Some(name) => into.extend(self.hosts.get(name).into_iter().flatten()),
            None => into.extend(self.hosts.values().flatten()),
        }
    }

    /// Rules about code.
    pub(super) fn of_code(&self, into: &mut Rules) {
        into.extend(&self.codes);
    }
}

impl Programs {
    fn all(&self, into: &mut Rules) {
        into.extend(&self.rest);
        into.extend(self.seconds.values().flatten());
    }

    /// The words behind the program up to the first that is no option: what a rule wants there is one of them.
    fn of(&self, view: &View<'_>, into: &mut Rules) {
        into.extend(&self.rest);
        if self.seconds.is_empty() {
            return;
        }
        for item in &view.items {
            let Some(text) = item.text.filter(|_| !item.is_path()) else {
                // It could be any of them.
                into.extend(self.seconds.values().flatten());
                return;
            };
            into.extend(self.seconds.get(text).into_iter().flatten());
            if !item.is_option() {
                return;
            }
        }
        if view.program.open_ended {
            into.extend(self.seconds.values().flatten());
        }
    }
}

fn put(rules: &mut Rules, at: usize) {
    if rules.last() != Some(&at) {
        rules.push(at);
    }
}
