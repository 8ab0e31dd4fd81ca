//! Who may approve: people as rules and `config.json` name them.

use std::collections::BTreeMap;

use super::limits;

/// Somebody whom a rule lets approve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approver {
    /// A Slack user id: `U0ALICE`.
    Slack(String),
    /// An account of this machine: `alice`, written `user:alice`.
    Account(String),
}

/// Characters that an account's name can have besides letters and digits.
const ACCOUNT_SIGNS: &str = "._-@+\\$";

impl Approver {
    /// The person that a name stands for; `None` where it is neither a Slack user id nor `user:NAME`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(account) = name.strip_prefix("user:") {
            let letter = |c: char| c.is_alphanumeric() || ACCOUNT_SIGNS.contains(c);
            let plain = !account.is_empty() && account.chars().all(letter);
            return plain.then(|| Self::Account(account.to_owned()));
        }
        let id = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        let slack = name.len() > 1 && name.starts_with(['U', 'W']) && name.chars().all(id);
        slack.then(|| Self::Slack(name.to_owned()))
    }
}

/// Whether a group can have this name: letters, digits, `-` and `_`.
#[must_use]
pub fn is_group(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=limits::RULE_NAME_BYTES).contains(&name.len()) && name.chars().all(letter)
}

/// Whether a rule can name an approver so: a Slack user id, `user:NAME`, or a group with its `@`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    match name.strip_prefix('@') {
        Some(group) => is_group(group),
        None => Approver::parse(name).is_some(),
    }
}

/// One rule's list of who may approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproverList {
    /// As the rule writes it: `@leads`, `U0ALICE`, `user:alice`.
    pub names: Vec<String>,
    /// The people that these names stand for. A name that stands for nobody adds nobody.
    pub people: Vec<Approver>,
}

impl ApproverList {
    /// Whether somebody is in it.
    #[must_use]
    pub fn has(&self, person: &Approver) -> bool {
        self.people.contains(person)
    }
}

/// The groups of `config.json`, by their names without `@`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(pub BTreeMap<String, Vec<Approver>>);

impl Groups {
    /// The people that a rule's list names.
    #[must_use]
    pub fn list(&self, names: &[String]) -> ApproverList {
        let mut people: Vec<Approver> = Vec::new();
        for name in names {
            match name.strip_prefix('@') {
                Some(group) => people.extend(self.0.get(group).into_iter().flatten().cloned()),
                None => people.extend(Approver::parse(name)),
            }
        }
        people.sort_unstable();
        people.dedup();
        ApproverList {
            names: names.to_vec(),
            people,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_slack_user_or_an_account() {
        let slack = |id: &str| Some(Approver::Slack(id.to_owned()));
        let account = |name: &str| Some(Approver::Account(name.to_owned()));
        for (name, person) in [
            ("U0ALICE", slack("U0ALICE")),
            ("W1", slack("W1")),
            ("user:alice", account("alice")),
            ("user:a.b-c@corp", account("a.b-c@corp")),
            ("user:", None),
            ("user:a b", None),
            ("user:a/b", None),
            ("alice", None),
            ("U", None),
            ("u0alice", None),
            ("@leads", None),
        ] {
            assert_eq!(Approver::parse(name), person, "{name}");
        }
    }

    #[test]
    fn a_list_is_everybody_whom_its_names_stand_for() {
        let alice = Approver::Account("alice".into());
        let bob = Approver::Slack("U0BOB".into());
        let groups = Groups([("leads".to_owned(), vec![alice.clone(), bob.clone()])].into());
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            groups.list(&names).people
        };
        assert_eq!(of(&["@leads", "U0BOB"]), [bob.clone(), alice.clone()]);
        assert_eq!(of(&["user:alice"]), [alice]);
        assert_eq!(of(&["@others", "bob"]), []);
    }
}
