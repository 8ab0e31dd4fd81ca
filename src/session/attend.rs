//! The socket for `agp attend`: where it lies, who may reach it, and the channel behind it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::channels::attend::socket::{SessionSocket, connect, name_of};
use crate::channels::attend::{Around, Attend, Attending, Rejection};
use crate::channels::escape;
use crate::channels::terminal::Terminal;
use crate::contracts::question::Question;
use crate::contracts::timestamp;
use crate::governor::{Broken, Governor};
use crate::journal::durable;
use crate::report::failure::{Failure, help_with};

use super::context::SessionContext;
use super::home::{Home, account_of};
use super::sandbox;

/// Where the sockets of a home's sessions lie: beside their leases, whose directory is the operator's alone.
pub(crate) fn sockets(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.sessions()).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    let is_socket = |path: &PathBuf| path.extension().is_some_and(|of| of == "attend");
    paths.filter(is_socket).collect()
}

/// Tries whether a sandbox keeps everything inside from such a socket, for `agp doctor`. `None` where this machine has no
/// sandbox to try.
///
/// # Errors
/// [`Failure`] when it is reached from inside, or not even from outside, or others can enter its directory.
pub(crate) fn tried(home: &Home) -> Result<Option<String>, Failure> {
    let directory = home.sessions();
    let named = |error: &io::Error| {
        let problem = format!("{}: {error}", directory.display());
        Failure::refused(problem, help_with(&directory, error, "run `agp init`"))
    };
    durable::private_dir(&directory).map_err(|error| named(&error))?;
    let mode = fs::metadata(&directory).map_err(|error| named(&error))?;
    if mode.permissions().mode() & 0o077 != 0 {
        let directory = directory.display();
        let problem = format!("other users can enter {directory}");
        return Err(Failure::refused(problem, format!("chmod 700 {directory}")));
    }
    let name = name_of(&format!("doctor-{}", std::process::id()));
    let socket = SessionSocket::bind(&directory, &name).map_err(|error| named(&error))?;
    connect(socket.path()).map_err(|error| named(&error))?;
    match sandbox::permitted(home) {
        Ok(_) => Ok(Some(format!("no sandbox reaches {}", directory.display()))),
        Err(failure) if failure.problem.contains(&name) => Err(failure),
        Err(_) => Ok(None),
    }
}

/// Listens for this session, unless everything is approved anyway. Nobody is answered yet.
pub(super) fn socket(context: &SessionContext<'_>) -> Result<Option<SessionSocket>, Failure> {
    if context.options.auto_approve {
        return Ok(None);
    }
    let directory = context.home.sessions();
    let name = name_of(context.session.as_str());
    let socket = SessionSocket::bind(&directory, &name).map_err(|error| {
        let path = directory.join(&name);
        let problem = format!("cannot listen at {}: {error}", path.display());
        Failure::refused(problem, help_with(&path, &error, "run `agp doctor`"))
    })?;
    Ok(Some(socket))
}

/// Answers those who attend from now on, and shows them what the terminal shows.
pub(super) fn start(
    context: &SessionContext<'_>,
    socket: SessionSocket,
) -> Result<(Attend, Attending), Failure> {
    let options = context.options;
    let slack = options.slack.is_some();
    let here = !slack && context.terminal.unattended_because().is_none();
    let elsewhere = match (here, slack) {
        (true, _) => vec!["its own terminal".to_owned()],
        (false, true) => vec!["Slack".to_owned()],
        (false, false) => Vec::new(),
    };
    let terminal = Arc::clone(&context.terminal);
    let or_slack = if slack { ", or Slack" } else { "" };
    let line = format!(
        "waiting for an answer: agp attend {}{or_slack}",
        context.session
    );
    let (started, attending) = Attend::start(
        socket,
        Around {
            origin: context.origin(),
            since: timestamp::rfc3339(SystemTime::now()),
            user: account_of(rustix::process::geteuid().as_raw()),
            waits: options.attend,
            required: options.slack.as_ref().map_or(1, |slack| slack.required),
            elsewhere,
            rejected: recorder(context),
            waiting: Box::new(move |question: &Question| {
                // At the console the question itself is seen.
                if !here {
                    let left = within(question.left());
                    terminal.tell_here(&format!("{line} (no answer within {left}: denied)"));
                }
            }),
        },
    )
    .map_err(|error| Failure::refused(error, "run `agp doctor --check confinement`"))?;
    context.terminal.mirror(started.lines());
    Ok((started, attending))
}

/// Whole minutes, or seconds where that is less than one.
fn within(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

/// Lets those who attend list the session's grants and take one back, which the terminal says.
pub(super) fn governs(attending: &Attending, governor: &Arc<Governor>, terminal: &Arc<Terminal>) {
    // The governor holds the channel, and this is its.
    let (lists, revokes) = (Arc::downgrade(governor), Arc::downgrade(governor));
    let terminal = Arc::clone(terminal);
    attending.governs(
        Box::new(move || {
            lists
                .upgrade()
                .map_or_else(Vec::new, |governor| governor.grants())
        }),
        Box::new(move |id, by, binding| {
            // One that cannot be recorded ends the session, by itself.
            let revoked = revokes.upgrade()?.revoke(id, by, binding).ok()?;
            if let Some(grant) = &revoked {
                let id = escape::line(&grant.id);
                terminal.tell(&format!("grant {id} revoked by {by}"));
            }
            revoked
        }),
    );
}

/// Journals rejected answers. What cannot be recorded ends the session, as with any event.
fn recorder(context: &SessionContext<'_>) -> Box<dyn Fn(&Rejection) + Send + Sync> {
    let (session, journal) = (context.session.clone(), context.journal.clone());
    let broken = context.broken();
    Box::new(move |rejection| {
        if let Err(error) = journal.append_one(rejection.draft(&session)) {
            broken(Broken(error.to_string()));
        }
    })
}
