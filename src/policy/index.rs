//! Which rules of many could speak about an atom, without a look at each.

use std::collections::HashMap;

use super::path_index::Paths;
use super::patterns::List;
use super::patterns::command::Command;
use super::patterns::place::{Ground, Spot};
use super::patterns::view::View;
use super::rules::Rule;
use super::tool_names::{OTHER_SHELLS, SHELL};
use crate::reading::atoms::{Host, Set};
use crate::reading::known_tools;

/// Positions of rules.
pub(super) type Rules = Vec<usize>;

/// Rules by what they are about.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// By the program's name, and what is no option behind it.
    programs: HashMap<String, Programs>,
    sets: HashMap<Set, Rules>,
    /// Lists of exclusions alone.
    any_program: Rules,
    paths: Paths,
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
            self.paths.add(at, paths);
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
    pub(super) fn of_place(&self, spot: &Spot<'_>, on: Ground<'_>, into: &mut Rules) {
        self.paths.of(spot, on, into);
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

pub(super) fn put(rules: &mut Rules, at: usize) {
    if rules.last() != Some(&at) {
        rules.push(at);
    }
}
