//! The named sets, with what is in them, for people.

use super::patterns::command::SETS;
use crate::reading::known_tools::{Does, KNOWN};
use crate::reading::programs;
use crate::reading::registries::REGISTRIES;

/// The names of all sets: of commands, of tools, of hosts.
pub const SET_NAMES: [&str; 8] = [
    "@reads",
    "@files",
    "@git-local",
    "@build",
    "@plan",
    "@edits",
    "@registries",
    "@loopback",
];

/// What is in a set, in alphabetical order; `None`: there is no such set.
#[must_use]
pub fn set_members(name: &str) -> Option<Vec<String>> {
    let tools = |does: Does| {
        let those = KNOWN.iter().filter(move |tool| tool.does == does);
        those.map(|tool| tool.name.to_owned()).collect()
    };
    let mut members: Vec<String> = match name {
        "@plan" => tools(Does::Plan),
        "@edits" => tools(Does::Edits),
        "@registries" => REGISTRIES
            .iter()
            .flat_map(|(_, hosts)| *hosts)
            .map(|host| (*host).to_owned())
            .collect(),
        "@loopback" => ["127.0.0.0/8", "::1", "localhost"]
            .map(str::to_owned)
            .to_vec(),
        _ => {
            let (_, set) = SETS.iter().find(|(own, _)| *own == name)?;
            programs::members(*set)
        }
    };
    members.sort_unstable();
    members.dedup();
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_members() {
        for name in SET_NAMES {
            let members = set_members(name);
            assert!(members.is_some_and(|all| !all.is_empty()), "{name}");
        }
        for (name, _) in SETS {
            assert!(SET_NAMES.contains(&name), "{name}");
        }
        assert_eq!(set_members("@none"), None);
    }
}
