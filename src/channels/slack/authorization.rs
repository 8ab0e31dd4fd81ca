//! Who may decide: app, team and person, whatever the request is.

use std::collections::BTreeSet;

use super::config::is_user;
use super::envelope::Click;
use super::rejections::Reason;

/// Who may approve, and where: what every click is held against.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    pub(super) team: String,
    pub(super) own_user: String,
    pub(super) app: String,
    pub(super) approvers: BTreeSet<String>,
    pub(super) required: usize,
}

/// A click of somebody who may decide. Only [`Authority::admit`] makes one, and only of one is a vote
/// made.
pub(super) struct Admitted<'a>(&'a Click);

impl Admitted<'_> {
    pub(super) fn click(&self) -> &Click {
        self.0
    }
}

impl Authority {
    /// What holds whatever the request is.
    pub(super) fn admit<'a>(&self, click: &'a Click) -> Result<Admitted<'a>, Reason> {
        if click.app != self.app {
            return Err(Reason::OtherApp);
        }
        if click.team != self.team {
            return Err(Reason::OtherTeam);
        }
        if click.is_bot || click.user == self.own_user || !is_user(&click.user) {
            return Err(Reason::Bot);
        }
        if !self.approvers.contains(&click.user) {
            return Err(Reason::Stranger);
        }
        Ok(Admitted(click))
    }
}
