//! What of a policy the sandbox and the egress proxy hold, too: rules whose meaning needs no reading of commands.

use super::Policy;
use super::patterns::path::Path;
use crate::contracts::verdict::Decision;
use crate::reading::atoms::Host;
use crate::reading::surroundings::Surroundings;

/// A path that a deny names by all of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// The rule.
    pub rule: String,
    /// Absolute.
    pub path: String,
    /// Reading is denied: it is hidden. Otherwise it can be read and not written.
    pub hidden: bool,
}

impl Policy {
    /// The literal paths of denies that always hold: masks and read-only mounts.
    #[must_use]
    pub fn withheld(&self, around: &Surroundings) -> Vec<Withheld> {
        let mut withheld = Vec::new();
        for rule in self.layers.iter().flat_map(|layer| &layer.rules) {
            let Some(when) = rule.when.as_ref() else {
                continue;
            };
            let conditional = rule.actor.is_some()
                || rule.secrets.is_some()
                || when.command.is_some()
                || !when.args.is_empty()
                || when.directory.is_some()
                || when.branch.is_some()
                || when.confined.is_some()
                || rule.tools.as_ref().is_some_and(|list| {
                    list.included
                        .iter()
                        .all(super::tool_names::ToolName::is_servers)
                });
            if rule.effect != Decision::Deny || conditional {
                continue;
            }
            let lists = [(&when.read, true), (&when.path, true), (&when.write, false)];
            for (list, hidden) in lists {
                let Some(list) = list.as_ref().filter(|list| list.excluded.is_empty()) else {
                    continue;
                };
                let literal = |path: &Path| path.literal(around);
                withheld.extend(list.included.iter().filter_map(literal).map(|(path, _)| {
                    Withheld {
                        rule: rule.id.clone(),
                        path,
                        hidden,
                    }
                }));
            }
        }
        withheld
    }

    /// What rules with nothing but hosts say of a connection to `host`, with the rule; `None`: none speaks.
    #[must_use]
    pub fn egress(&self, host: &Host) -> Option<(Decision, &str)> {
        let mut said: Option<(Decision, &str)> = None;
        for rule in self.layers.iter().flat_map(|layer| &layer.rules) {
            let Some(when) = rule.when.as_ref() else {
                continue;
            };
            let Some(list) = &when.host else { continue };
            let alone = when.command.is_none()
                && when.paths().next().is_none()
                && when.code.is_none()
                && when.args.is_empty()
                && when.directory.is_none()
                && when.branch.is_none()
                && rule.actor.is_none()
                && rule.tools.is_none();
            let speaks = match rule.effect {
                Decision::Allow => rule.until.is_none() && list.certain(host),
                Decision::Require | Decision::Deny => list.could(host),
            };
            let stricter = |(said, _): (Decision, &str)| {
                super::engine::strictness(rule.effect) > super::engine::strictness(said)
            };
            if alone && speaks && said.is_none_or(stricter) {
                said = Some((rule.effect, &rule.id));
            }
        }
        said
    }
}
