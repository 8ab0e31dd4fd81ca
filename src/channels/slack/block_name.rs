//! What the block with a card's buttons is called: the home and the session that it is of, so that a click
//! says whose it is, and a random part.

use crate::contracts::ids::SessionId;

/// What a name begins with.
const PREFIX: &str = "agp.";

/// The parts of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlockName<'a> {
    /// The home, as [`super::Around::home`] says it.
    pub(super) home: &'a str,
    /// The session.
    pub(super) session: &'a str,
}

impl<'a> BlockName<'a> {
    /// The whole name. `random` has no dot, as `home` has none.
    pub(super) fn with(&self, random: &str) -> String {
        format!("{PREFIX}{}.{}.{random}", self.home, self.session)
    }

    /// Reads a name; `None` for any that agp did not give.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let (home, rest) = name.strip_prefix(PREFIX)?.split_once('.')?;
        let (session, random) = rest.rsplit_once('.')?;
        SessionId::new(session).ok()?;
        (!home.is_empty() && !random.is_empty()).then_some(Self { home, session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written_and_no_other_is() {
        for session in ["s-1", "s.with.dots"] {
            let name = BlockName {
                home: "0a1b",
                session,
            };
            assert_eq!(BlockName::parse(&name.with("ff")), Some(name));
        }
        let random = "0".repeat(32);
        for other in [
            "", "agp.", "agp.h.s", "agp..s.1", "agp.h..1", "agp.h.s.", &random,
        ] {
            assert_eq!(BlockName::parse(other), None, "{other}");
        }
    }
}
