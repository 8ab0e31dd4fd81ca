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
