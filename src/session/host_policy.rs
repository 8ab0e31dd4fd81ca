//! What a session's policy says of each connection that the egress proxies are asked for.

use std::sync::Arc;

use crate::contracts::verdict::Decision;
use crate::egress::{Allowlist, Host, HostPolicy, Ruled};
use crate::governor::Governor;
use crate::policy::Policy;
use crate::reading::atoms;

/// What decides about a connection.
pub(crate) struct HostRules {
    pub(crate) policy: Policy,
    pub(crate) governor: Arc<Governor>,
    /// The harness's own hosts, without which it does nothing: no rule of the policy is about them.
    pub(crate) model: Allowlist,
    /// Nobody listed the hosts: those that the policy allows are open, and those of calls that were allowed.
    pub(crate) opens: bool,
}

impl HostRules {
    /// As the proxy asks for it.
    pub(crate) fn shared(self) -> Arc<HostPolicy> {
        Arc::new(move |host, port| self.of(host, port))
    }

    fn of(&self, host: &Host, port: u16) -> Ruled {
        if self.model.allows(host, port) {
            return Ruled::Listed;
        }
        let name = host.to_string();
        let says = self.policy.egress(&atoms::Host {
            name: Some(name.clone()),
            scheme: Some("https".to_owned()),
            port: Some(port),
            path: None,
        });
        // Whoever was asked about a host said so in a call that names it.
        let reached = || self.governor.reached(&name);
        match says {
            Some((Decision::Deny, _)) => Ruled::Refused,
            Some((Decision::Require, _)) if !reached() => Ruled::Refused,
            Some((Decision::Allow, _)) if self.opens => Ruled::Open,
            None | Some((Decision::Require, _)) if self.opens && reached() => Ruled::Open,
            _ => Ruled::Listed,
        }
    }
}
