//! What of a policy the sandbox and the egress proxy hold, too: rules whose meaning needs no reading of commands.

use super::Policy;
use super::conditions::When;
use super::layer::Layer;
use super::patterns::List;
use super::patterns::path::Path;
use super::rules::Rule;
use super::tool_names::ToolName;
use crate::contracts::verdict::Decision;
use crate::reading::atoms::Host;
use crate::reading::surroundings::Surroundings;

/// A path that a deny is about, whatever a call is read into.
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
    /// The denies that always hold, with what they say of paths.
    fn standing_denies(&self) -> impl Iterator<Item = (&Rule, &When)> {
        let rules = self.layers.iter().flat_map(|layer| &layer.rules);
        rules.filter_map(|rule| {
            let when = rule.when.as_ref()?;
            let conditional = rule.actor.is_some()
                || rule.secrets.is_some()
                || when.command.is_some()
                || !when.args.is_empty()
                || when.directory.is_some()
                || when.branch.is_some()
                || when.confined.is_some()
                || rule
                    .tools
                    .as_ref()
                    .is_some_and(|list| list.included.iter().all(ToolName::is_servers));
            (rule.effect == Decision::Deny && !conditional).then_some((rule, when))
        })
    }

    /// Whether the sandbox has anything to hold of this policy's paths.
    #[must_use]
    pub fn withholds(&self) -> bool {
        let mut denies = self.standing_denies();
        denies.any(|(_, when)| when.paths().next().is_some())
    }

    /// The paths without wildcards of denies that always hold. A read-only mount cannot leave anything out, so a
    /// deny of writes counts only where it has no exclusion.
    #[must_use]
    pub fn withheld(&self, around: &Surroundings) -> Vec<Withheld> {
        let mut withheld = Vec::new();
        for (rule, when) in self.standing_denies() {
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

    /// The rules that always deny to read what lies at `path`, which is absolute and normal: of a directory
    /// (`whole`) all that could lie below it, else the file alone.
    #[must_use]
    pub fn hidden_at(&self, path: &str, whole: bool, around: &Surroundings) -> Vec<&str> {
        let hides = |list: &List<Path>| {
            // A list of exclusions alone begins with everything: no mount can leave them out.
            !list.included.is_empty()
                && match whole {
                    true => list.has(
                        |own| own.matches_all_below(path, around),
                        |own| own.could_below(path, around),
                    ),
                    false => list.has(
                        |own| own.matches(path, around),
                        |own| own.matches(path, around),
                    ),
                }
        };
        let denies = self.standing_denies();
        let hiding =
            denies.filter(|(_, when)| [&when.read, &when.path].into_iter().flatten().any(hides));
        hiding.map(|(rule, _)| rule.id.as_str()).collect()
    }

    /// What rules with nothing but hosts say of a connection to `host`, whose path nobody knows, with the rule; a layer's
    /// `otherwise` has none. `None`: no rule speaks. A rule about a part of a host does not.
    #[must_use]
    pub fn egress(&self, host: &Host) -> Option<(Decision, Option<&str>)> {
        let host = Host {
            path: None,
            ..host.clone()
        };
        let of_layer = |layer| {
            let layer: &Layer = layer;
            let rules = layer.rules.iter().filter(|rule| about_hosts(rule, &host));
            let strictest = rules.max_by_key(|rule| super::engine::strictness(rule.effect));
            let otherwise = (layer.otherwise, None);
            let says = strictest.map(|rule| (rule.effect, Some(rule.id.as_str())));
            (says.is_some(), says.unwrap_or(otherwise))
        };
        let says: Vec<_> = self.layers.iter().map(of_layer).collect();
        let speaks = says.iter().any(|(speaks, _)| *speaks);
        let strictest = says.into_iter().map(|(_, says)| says);
        let strictest = strictest.max_by_key(|(decision, _)| super::engine::strictness(*decision));
        strictest.filter(|_| speaks)
    }
}

/// Whether a rule speaks about every connection to `host`, whatever asks for it and for what.
fn about_hosts(rule: &Rule, host: &Host) -> bool {
    let Some(when) = rule.when.as_ref() else {
        return false;
    };
    let alone = when.command.is_none()
        && when.paths().next().is_none()
        && when.code.is_none()
        && when.args.is_empty()
        && when.directory.is_none()
        && when.branch.is_none()
        && when.confined.is_none()
        && rule.actor.is_none();
    let some_tools = rule.tools.as_ref().is_some_and(|list| match rule.effect {
        Decision::Allow => true,
        Decision::Require | Decision::Deny => list.included.iter().all(ToolName::is_servers),
    });
    let passing = rule.effect == Decision::Allow && rule.until.is_some();
    let list = when.host.as_ref();
    alone && !some_tools && !passing && list.is_some_and(|list| list.certain(host))
}
