//! `agp attend`: the questions of running sessions at another terminal.

use argh::FromArgs;

use crate::channels::attend::client::{self, AttendError, Parted, Running, Sessions};
use crate::channels::attend::socket::name_of;
use crate::channels::terminal::Terminal;
use crate::contracts::ids::SessionId;
use crate::report::failure::{Failure, Outcome, exit, try_say};
use crate::session::config::{self, Config};
use crate::session::home::Home;
use crate::session::lease;

/// Answer the questions of running sessions from this terminal.
#[derive(FromArgs)]
#[argh(subcommand, name = "attend")]
pub(super) struct Attend {
    /// the session (default: every running session of this home)
    #[argh(positional)]
    session: Option<String>,
    /// print what the sessions say as JSON lines, and answer nothing
    #[argh(switch)]
    json: bool,
}

pub(super) fn attend(home: &Home, command: &Attend) -> Outcome {
    home.check_own()?;
    let mut running = || {
        let sessions = lease::live_sessions(home).into_iter();
        sessions.map(|session| running(home, &session)).collect()
    };
    let sessions = match &command.session {
        Some(named) => Sessions::One(one(home, named)?),
        None => Sessions::All(&mut running),
    };
    let parted = if command.json {
        client::watch(sessions, &mut |message| try_say(message))
    } else {
        let terminal = Terminal::find();
        if terminal.unattended_because().is_some() {
            let problem = "agp attend needs a terminal";
            return Err(Failure::usage(
                problem,
                "run it in one, or add --json to watch only",
            ));
        }
        let bell = config::approval_bell(&Config::load(home)?);
        client::attend(sessions, &terminal, bell)
    };
    match parted.map_err(|error| failure(&error))? {
        Parted::Well => Ok(0),
        Parted::Lost => Ok(exit::REFUSED),
    }
}

fn running(home: &Home, session: &SessionId) -> Running {
    Running {
        session: session.to_string(),
        socket: home.sessions().join(name_of(session.as_str())),
    }
}

/// The session that was named.
fn one(home: &Home, named: &str) -> Result<Running, Failure> {
    let session = SessionId::new(named).ok();
    let live = session.filter(|session| lease::is_live(home, session));
    live.map(|session| running(home, &session)).ok_or_else(|| {
        let problem = format!("no session {named:?} is running");
        Failure::usage(problem, "run `agp sessions` to list the sessions")
    })
}

fn failure(error: &AttendError) -> Failure {
    let mend = match error {
        AttendError::NoSession => {
            "start one with `agp run --attend`; `agp sessions` lists those that were"
        }
        AttendError::Unreached(..) => {
            "it may be ending, or run without questions (AGP_AUTO_APPROVE); see `agp sessions`"
        }
        AttendError::Io(_) => "try again",
    };
    Failure::refused(error, mend)
}
