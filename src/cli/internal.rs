//! The commands that are not for people: a harness's hook, the leash that holds a harness, the
//! confinement of what agp runs.
//! `agp-bridge` has only these; `agp` has them too.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde_json::Value;

use crate::contracts::ids::{InvalidId, SessionId};
use crate::contracts::{bounded_file, limits, strict_json};
use crate::gateway::client::Governor;
use crate::hook::{login_renewal, mcp_server, pre_post_tool};
use crate::jail::spec::RELAY_PORT;
use crate::jail::{
    command_shell, container_init, container_keeper, egress_relay, harness_git, keeper, leash,
};
use crate::jail::{container_probe, isolation_probe};
use crate::journal::key::{InvalidKey, PublicKey};
use crate::report::failure::{complain, exit};
use crate::tools;
use crate::tools::read_state::ReadState;

/// Runs one of these commands; `None` when the arguments ask for another.
#[must_use]
pub fn main(arguments: &[OsString]) -> Option<u8> {
    let (command, rest) = arguments.split_first()?;
    match command.to_str()? {
        "bridge" => Some(bridge(rest)),
        "mcp" => Some(mcp(rest)),
        "tool" => Some(tool(rest)),
        "leash" => Some(leash_command(rest)),
        "leashed" => Some(leashed(rest)),
        "confine" => Some(confine_command(rest)),
        "confined" => Some(confined(rest)),
        "enclosed" => Some(enclosed(rest)),
        "relay" => Some(relay_command(rest)),
        "relaying" => Some(relaying(rest)),
        "isolation" => Some(match rest {
            [ask] => isolation_probe::run(&ask.to_string_lossy(), &mut io::stdout()),
            _ => exit::USAGE,
        }),
        "inside" => Some(container_init::run()),
        "login" => Some(match rest {
            [order] => login_renewal::run(&order.to_string_lossy()),
            _ => exit::USAGE,
        }),
        "job" => Some(container_keeper::run()),
        "probe" => Some(match rest {
            [ask] => container_probe::run(&ask.to_string_lossy(), &mut io::stdout()),
            _ => exit::USAGE,
        }),
        _ => None,
    }
}

/// As shells say that a command cannot be run.
const NOT_RUN: u8 = 126;

/// Becomes a harness's shell or its git, where this program was started as one; else `None`.
#[must_use]
pub fn as_another() -> Option<u8> {
    let mut words = std::env::args_os();
    let name = words.next()?;
    let words = words.collect::<Vec<_>>();
    let (which, error) = if command_shell::is_asked_for(&name) {
        ("shell", command_shell::become_shell(&name, &words))
    } else if harness_git::is_asked_for(&name) {
        let Err(error) = harness_git::become_git(name, words);
        ("git", error)
    } else {
        return None;
    };
    complain(format_args!("agp: the harness's {which}: {error}"));
    Some(NOT_RUN)
}

const USAGE: &str = "usage: agp bridge --socket PATH [--session ID] [--harness claude-code] \
                     [--event start|pre|post] [--deadline SECONDS] [--directory DIR] \
                     [--answer-key BASE64] [--listener outside|anywhere]";

/// A hook's arguments. Whatever is wrong with them ends in the exit code that blocks the call.
fn bridge(arguments: &[OsString]) -> u8 {
    match parse(arguments) {
        Ok(Some(bridge)) => {
            let link = pre_post_tool::HookConfig {
                governor: &bridge.governor,
                session: &bridge.session,
                directory: bridge.directory.as_deref(),
                within: bridge.within,
            };
            alone();
            let (stdin, mut stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
            pre_post_tool::run(bridge.event, &link, stdin.lock(), &mut stdout, &mut stderr)
        }
        Ok(None) => {
            crate::report::failure::say(USAGE);
            0
        }
        Err(problem) => {
            complain(format_args!("agp: {problem}; {USAGE}"));
            pre_post_tool::BLOCKED
        }
    }
}

/// Keeps other processes of the same user from this one's memory and descriptors: what it says is the
/// gate's word. Where the kernel refuses that, the harness's confinement keeps its commands from it.
fn alone() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

const MCP_USAGE: &str = "usage: agp mcp --socket PATH [--session ID] [--deadline SECONDS] \
                         [--answer-key BASE64] [--listener outside|anywhere]";

/// The MCP server of mediated mode, with a hook's arguments.
fn mcp(arguments: &[OsString]) -> u8 {
    let options = match parse(arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            crate::report::failure::say(MCP_USAGE);
            return 0;
        }
        Err(problem) => {
            complain(format_args!("agp: {problem}; {MCP_USAGE}"));
            return exit::USAGE;
        }
    };
    let link = mcp_server::McpConfig {
        governor: options.governor,
        session: options.session,
        within: options.within,
    };
    alone();
    match mcp_server::serve(&link, io::stdin().lock(), io::stdout()) {
        Ok(()) => 0,
        Err(error) => {
            complain(format_args!("agp: the MCP server failed: {error}"));
            exit::REFUSED
        }
    }
}

/// One tool, run where this process stands: in the session's sandbox.
fn tool(arguments: &[OsString]) -> u8 {
    let [name] = arguments else {
        complain("usage: agp tool NAME, with its arguments as JSON on standard input");
        return exit::USAGE;
    };
    let text = bounded_file::read_from(io::stdin().lock(), limits::FRAME_BYTES as u64);
    let args = match text.map(|text| strict_json::from_slice(&text)) {
        Ok(Ok(Value::Object(args))) => args,
        _ => {
            complain("agp: the tool's arguments are not a JSON object");
            return exit::USAGE;
        }
    };
    let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    // In a sandbox it is the session's own.
    let seen = ReadState::in_directory(&std::env::temp_dir());
    let answer = tools::run(&name.to_string_lossy(), args, &directory, &seen);
    let mut out = io::stdout().lock();
    let said = out
        .write_all(answer.text.as_bytes())
        .and_then(|()| out.flush());
    u8::from(!answer.ok || said.is_err())
}

struct Bridge {
    governor: Governor,
    session: SessionId,
    event: pre_post_tool::HookEvent,
    directory: Option<PathBuf>,
    within: Duration,
}

/// Why the arguments of a gateway's client are not taken.
#[derive(Debug)]
enum ArgumentError {
    /// This option stands without a value.
    NoValue(OsString),
    /// This option does not take this value.
    NotAccepted(OsString, OsString),
    /// The session's ID is none.
    Session(InvalidId),
    /// The key is none.
    AnswerKey(InvalidKey),
    /// The deadline is no number.
    Deadline,
    /// Nothing names the session.
    NoSession,
    /// Nothing names the socket.
    NoSocket,
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(name) => write!(f, "{} needs a value", name.display()),
            Self::NotAccepted(name, value) => {
                write!(f, "{} does not accept {}", name.display(), value.display())
            }
            Self::Session(error) => write!(f, "--session: {error}"),
            Self::AnswerKey(error) => write!(f, "--answer-key: {error}"),
            Self::Deadline => f.write_str("--deadline takes a number of seconds"),
            Self::NoSession => {
                f.write_str("--session is missing, and the socket's directory does not name one")
            }
            Self::NoSocket => f.write_str("--socket is missing"),
        }
    }
}

fn parse(arguments: &[OsString]) -> Result<Option<Bridge>, ArgumentError> {
    let (mut socket, mut session, mut event) = (None, None, pre_post_tool::HookEvent::Pre);
    let (mut key, mut outside) = (None, false);
    let mut directory = None;
    let mut within = limits::APPROVAL_DEADLINE + limits::BRIDGE_GRACE;
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        if name == "--help" || name == "help" {
            return Ok(None);
        }
        let value = rest
            .next()
            .ok_or_else(|| ArgumentError::NoValue(name.clone()))?;
        let text = value.to_str();
        match (name.to_str(), text) {
            (Some("--socket"), _) => socket = Some(PathBuf::from(value)),
            (Some("--session"), Some(text)) => {
                session = Some(SessionId::new(text).map_err(ArgumentError::Session)?);
            }
            // The one that has hooks.
            (Some("--harness"), Some("claude-code")) => {}
            (Some("--event"), Some("start")) => event = pre_post_tool::HookEvent::Start,
            (Some("--event"), Some("pre")) => event = pre_post_tool::HookEvent::Pre,
            (Some("--event"), Some("post")) => event = pre_post_tool::HookEvent::Post,
            (Some("--answer-key"), Some(text)) => {
                let read = PublicKey::from_spki_base64(text);
                key = Some(read.map_err(ArgumentError::AnswerKey)?);
            }
            (Some("--listener"), Some("outside")) => outside = true,
            (Some("--listener"), Some("anywhere")) => outside = false,
            (Some("--directory"), _) => directory = Some(PathBuf::from(value)),
            (Some("--deadline"), Some(text)) => {
                let seconds = text.parse().map_err(|_| ArgumentError::Deadline)?;
                within = Duration::from_secs(seconds);
            }
            _ => {
                return Err(ArgumentError::NotAccepted(name.clone(), value.clone()));
            }
        }
    }
    match (socket, session) {
        (Some(socket), session) => {
            let session = session.or_else(|| session_of(&socket));
            let session = session.ok_or(ArgumentError::NoSession)?;
            let governor = Governor {
                socket,
                key,
                outside,
            };
            Ok(Some(Bridge {
                governor,
                session,
                event,
                directory,
                within,
            }))
        }
        (None, _) => Err(ArgumentError::NoSocket),
    }
}

/// The session that a socket's directory is named for.
fn session_of(socket: &Path) -> Option<SessionId> {
    let directory = socket.parent()?.file_name()?.to_str()?;
    SessionId::new(directory.strip_prefix("agp-")?).ok()
}

fn leash_command(arguments: &[OsString]) -> u8 {
    let (spec, command) = match arguments {
        [dashes, command @ ..] if dashes == "--" && !command.is_empty() => (None, command),
        [flag, spec, dashes, command @ ..]
            if flag == "--spec" && dashes == "--" && !command.is_empty() =>
        {
            (Some(spec.to_string_lossy()), command)
        }
        _ => {
            complain("usage: agp leash [--spec JSON] -- COMMAND [ARGUMENT]...");
            return exit::USAGE;
        }
    };
    leash::hold(spec.as_deref(), command).unwrap_or_else(|error| {
        complain(format_args!("agp: the process-tree guard failed: {error}"));
        exit::USAGE
    })
}

fn leashed(arguments: &[OsString]) -> u8 {
    let error = match arguments.split_first() {
        Some((parent, command)) => leash::become_leashed(&parent.to_string_lossy(), command),
        None => io::Error::new(io::ErrorKind::InvalidInput, "no command"),
    };
    complain(format_args!("agp: the process-tree guard failed: {error}"));
    127
}

const RELAY_USAGE: &str =
    "usage: agp-bridge relay --socket PATH [--port PORT] [-- COMMAND [ARGUMENT]...]";

/// The inner end of the way out of a sandbox, alone or beside a command.
fn relay_command(arguments: &[OsString]) -> u8 {
    let dashes = arguments.iter().position(|word| word == "--");
    let (options, command) = match dashes {
        Some(at) => (
            arguments.get(..at).unwrap_or_default(),
            arguments.get(at + 1..).unwrap_or_default(),
        ),
        None => (arguments, &[][..]),
    };
    let (mut socket, mut port) = (None, Some(RELAY_PORT));
    let mut rest = options.iter();
    while let Some(name) = rest.next() {
        match (name.to_str(), rest.next()) {
            (Some("--socket"), Some(value)) => socket = Some(PathBuf::from(value)),
            (Some("--port"), Some(value)) => {
                port = value.to_str().and_then(|value| value.parse().ok());
            }
            _ => port = None,
        }
    }
    let (Some(socket), Some(port)) = (socket, port) else {
        complain(RELAY_USAGE);
        return exit::USAGE;
    };
    if dashes.is_some() && command.is_empty() {
        complain(RELAY_USAGE);
        return exit::USAGE;
    }
    let error = egress_relay::Alone { socket, port }.run(command);
    complain(format_args!("agp: the egress relay failed: {error}"));
    127
}

fn relaying(arguments: &[OsString]) -> u8 {
    match arguments {
        [parent, socket] => {
            // Nobody reads what it says; its end is the end of the connections.
            let ended = egress_relay::inherited(&parent.to_string_lossy(), Path::new(socket));
            u8::from(ended.is_err())
        }
        _ => exit::USAGE,
    }
}

fn confine_command(arguments: &[OsString]) -> u8 {
    match arguments {
        [flag, spec] if flag == "--spec" => keeper::keep(&spec.to_string_lossy()),
        _ => {
            complain("usage: agp confine --spec JSON, with a job on standard input");
            exit::USAGE
        }
    }
}

/// The harness, confined. Its standard error is the session's: what went wrong is said there.
fn enclosed(arguments: &[OsString]) -> u8 {
    let done = match arguments {
        [leash, spec, command @ ..] => {
            keeper::enclosed(&leash.to_string_lossy(), &spec.to_string_lossy(), command)
        }
        _ => return exit::USAGE,
    };
    done.unwrap_or_else(|error| {
        complain(format_args!("agp: cannot confine the harness: {error}"));
        127
    })
}

fn confined(arguments: &[OsString]) -> u8 {
    match arguments {
        [keeper, spec] => keeper::confined(&keeper.to_string_lossy(), &spec.to_string_lossy()),
        _ => exit::USAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_its_sockets_directory() {
        let of = |path: &str| session_of(Path::new(path)).map(|session| session.to_string());
        assert_eq!(of("/run/agp-s-12/gate.sock"), Some("s-12".into()));
        for none in [
            "/run/agp/gate.sock",
            "gate.sock",
            "/run/agp-/gate.sock",
            "/agp-a b/gate.sock",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
