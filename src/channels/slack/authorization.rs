//! Who may decide: app, team and person, whatever the request is.

use std::collections::BTreeSet;

use super::block_name::BlockName;
use super::config::is_user;
use super::envelope::Click;
use super::rejections::Reason;
use super::web_api::Posted;

/// Who may approve, and where: what every click is held against.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    pub(super) team: String,
    pub(super) own_user: String,
    pub(super) app: String,
    /// Where requests are posted.
    pub(super) channel: String,
    /// What this home is called in a card's block.
    pub(super) home: String,
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

/// A card that agp posted for a session of this home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnCard {
    pub(super) posted: Posted,
    /// The session that it names.
    pub(super) session: String,
}

impl Authority {
    /// Whether a click is on a card of this home's, by what its block says.
    pub(super) fn has_card(&self, click: &Click) -> bool {
        BlockName::parse(&click.block).is_some_and(|name| name.home == self.home)
    }

    /// The card that a click is on, where agp's own bot posted it, for this home, in this channel. Another
    /// home with the same app has cards of its own, which are not this one's to change.
    pub(super) fn own_card(&self, click: &Click) -> Option<OwnCard> {
        let name = BlockName::parse(&click.block)?;
        let is_own = click.app == self.app
            && click.author == self.own_user
            && click.channel == self.channel
            && name.home == self.home
            && !click.message.is_empty();
        is_own.then(|| OwnCard {
            posted: Posted {
                channel: click.channel.clone(),
                ts: click.message.clone(),
            },
            session: name.session.to_owned(),
        })
    }

    /// What holds whatever the request is. `listed`: a rule of the request lets this very person approve.
    pub(super) fn admit<'a>(&self, click: &'a Click, listed: bool) -> Result<Admitted<'a>, Reason> {
        if click.app != self.app {
            return Err(Reason::OtherApp);
        }
        if click.team != self.team {
            return Err(Reason::OtherTeam);
        }
        if click.is_bot || click.user == self.own_user || !is_user(&click.user) {
            return Err(Reason::Bot);
        }
        if !listed && !self.approvers.contains(&click.user) {
            return Err(Reason::Stranger);
        }
        Ok(Admitted(click))
    }
}
