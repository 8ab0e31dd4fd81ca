//! The policy's answer to one tool call.

use serde::{Deserialize, Serialize};

/// What a rule, and so a policy, can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The call may run.
    Allow,
    /// The call may run when a human approves it in time.
    Require,
    /// The call must not run.
    Deny,
}

impl Decision {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Require => "require",
            Self::Deny => "deny",
        }
    }
}

/// A decision with its grounds.
#[must_use = "a verdict that nobody acts on is a call that nobody gated"]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verdict {
    /// What was decided.
    pub decision: Decision,
    /// Why, for people: shown to the agent, the approver and the auditor.
    pub reason: String,
    /// The rule that decided; `None` when none matched.
    pub rule_id: Option<String>,
    /// The deciding rule's tier, if it has one.
    pub tier: Option<String>,
}

impl Verdict {
    /// A deny that no rule gave: the gate itself refuses.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self {
            decision: Decision::Deny,
            reason: reason.into(),
            rule_id: None,
            tier: None,
        }
    }
}

/// A verdict that says deny, whatever it was made of. There is no other way to one than
/// [`Denial::of`] and [`Denial::refused`]:
///
/// ```compile_fail,E0423
/// use agp::contracts::verdict::{Decision, Denial, Verdict};
/// let allow = Verdict { decision: Decision::Allow, ..Verdict::refused("no") };
/// let denial = Denial(allow);
/// ```
#[must_use = "whoever asked waits for it"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial(Verdict);

impl Denial {
    /// The deny that a verdict is; `None` for one that allows. What a person was to be asked about
    /// and was not is a deny.
    #[must_use]
    pub fn of(verdict: Verdict) -> Option<Self> {
        match verdict.decision {
            Decision::Allow => None,
            Decision::Require | Decision::Deny => Some(Self(Verdict {
                decision: Decision::Deny,
                ..verdict
            })),
        }
    }

    /// A deny that no rule gave.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self(Verdict::refused(reason))
    }

    /// Why, for people.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The verdict, which says deny.
    pub fn into_verdict(self) -> Verdict {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_holds_no_allow() {
        let of = |decision| {
            Denial::of(Verdict {
                decision,
                ..Verdict::refused("because")
            })
        };
        assert_eq!(of(Decision::Allow), None);
        for decision in [Decision::Require, Decision::Deny] {
            let denial = of(decision).unwrap();
            assert_eq!(denial.reason(), "because");
            assert_eq!(denial.into_verdict().decision, Decision::Deny);
        }
        let denial = Denial::refused("no").into_verdict();
        assert_eq!(denial.decision, Decision::Deny);
    }
}
