//! The hook that a harness runs before and after each of its tool calls.
//!
//! Whatever goes wrong here is a deny: exit code 2 with a reason on standard error, which every
//! harness version takes as "blocked". Only a verdict of the governor's can say otherwise.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::contracts::call::{Actor, LEADS_TO};
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::message::Message;
use crate::contracts::{limits, strict_json};
use crate::gateway::client::{self, Governor, Said};
use crate::journal;

use super::hook_error::{HookError, InputError};
use super::kept_apart::Seen;
use super::{call_context, unreadable_call};

/// Before the session, or before or after a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEvent {
    /// The harness starts: leave the mark that it calls its hooks.
    Start,
    /// The tool has not run: ask.
    Pre,
    /// The tool has run: report.
    Post,
}

/// Which governor to speak to, and how.
#[derive(Debug, Clone)]
pub struct HookConfig<'a> {
    /// Where the governor is, and how it is told from others.
    pub governor: &'a Governor,
    /// The session the harness was started for.
    pub session: &'a SessionId,
    /// Where the session's commands run unless they say otherwise, where that is known.
    pub directory: Option<&'a Path>,
    /// How long to wait for an answer.
    pub within: Duration,
}

/// The mark beside the gateway's socket that a harness leaves by calling its first hook: a file
/// that is not empty.
pub const MARK: &str = "hooked";

/// Exit code that harnesses take as "blocked, and here is why".
pub const BLOCKED: u8 = 2;

/// Runs one hook; gives its exit code.
pub fn run(
    event: HookEvent,
    link: &HookConfig<'_>,
    input: impl Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let said = match event {
        HookEvent::Start => mark(link).map(|()| Answer::silent()),
        HookEvent::Pre => decide(link, input).map(answer),
        HookEvent::Post => report(link, input).map(|()| Answer::silent()),
    };
    say(
        &said.unwrap_or_else(|error| Answer::blocked(&error.to_string())),
        out,
        err,
    )
}

/// Says it to the harness; gives the exit code.
fn say(answer: &Answer, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let sent = out
        .write_all(answer.stdout.as_bytes())
        .and_then(|()| out.flush())
        .and_then(|()| err.write_all(answer.stderr.as_bytes()));
    // An allow that did not arrive whole must not end in the code for "no objection".
    if sent.is_err() { BLOCKED } else { answer.code }
}

/// What a hook says to its harness.
struct Answer {
    code: u8,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn silent() -> Self {
        Self {
            code: 0,
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    fn blocked(reason: &str) -> Self {
        Self {
            code: BLOCKED,
            stdout: String::new(),
            stderr: format!("agp: {reason}\n"),
        }
    }
}

/// An allow is said in JSON, or the harness's own permission layer decides.
fn answer(said: Said) -> Answer {
    let reason = match said {
        Said::Allow(reason) => reason,
        Said::Deny(reason) => return Answer::blocked(&reason),
    };
    let said = serde_json::json!({"hookSpecificOutput": {
        "hookEventName": "PreToolUse",
        "permissionDecision": "allow",
        "permissionDecisionReason": reason,
    }});
    Answer {
        stdout: said.to_string(),
        ..Answer::silent()
    }
}

/// Whether the mark is there. A confined harness finds the file empty, to write to.
#[must_use]
pub fn marked(mark: &Path) -> bool {
    std::fs::metadata(mark).is_ok_and(|meta| meta.len() > 0)
}

fn mark(link: &HookConfig<'_>) -> Result<(), HookError> {
    let path = link.governor.socket.with_file_name(MARK);
    std::fs::write(&path, "hooked\n").map_err(|error| HookError::Mark { path, error })
}

fn decide(link: &HookConfig<'_>, input: impl Read) -> Result<Said, HookError> {
    let request = question(link, input)?;
    let said = client::ask(link.governor, &request, link.within);
    let said = said.map_err(HookError::Ask)?;
    match request {
        // Links may have changed while somebody thought about it.
        Message::ToolCallRequest { tool, args, .. }
            if matches!(said, Said::Allow(_)) && seen(link).kept_apart(&tool, &args).is_some() =>
        {
            Err(HookError::Turned)
        }
        _ => Ok(said),
    }
}

fn seen(link: &HookConfig<'_>) -> Seen {
    Seen::from_here(&link.governor.socket, link.directory)
}

/// What the hook's input asks.
pub(crate) fn question(link: &HookConfig<'_>, input: impl Read) -> Result<Message, InputError> {
    let bytes = whole(input)?;
    let mut fields = match read(&bytes) {
        Ok(fields) => fields,
        // On record all the same, where it can be said which call it is.
        Err(problem) => return unreadable(link, &bytes).ok_or(problem),
    };
    let id = tool_use_id(&fields)?;
    let tool = take_text(&mut fields, "tool_name")?;
    let mut args = take_args(&mut fields)?;
    call_context::add(&mut args, &fields, &tool, link.directory)?;
    if let Some(path) = seen(link).kept_apart(&tool, &args) {
        args.insert(LEADS_TO.into(), path.into());
    }
    Ok(Message::ToolCallRequest {
        id,
        session_id: link.session.clone(),
        tool,
        args,
        actor: Actor::ClaudeProcess,
    })
}

fn report(link: &HookConfig<'_>, input: impl Read) -> Result<(), HookError> {
    let mut fields = read(&whole(input)?)?;
    let id = tool_use_id(&fields)?;
    let tool = take_text(&mut fields, "tool_name")?;
    let args_sha256 = journal::args_sha256(&take_args(&mut fields)?);
    // A failed tool comes with an error instead of a response.
    let (ok, said) = match (fields.remove("error"), fields.remove("tool_response")) {
        (Some(error), _) => (false, error),
        (None, Some(response)) => (true, response),
        (None, None) => (true, Value::Null),
    };
    let mut output = match said {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let output_bytes = output.len() as u64;
    output.truncate(output.floor_char_boundary(limits::REPORT_OUTPUT_BYTES));
    let session_id = link.session.clone();
    let message = Message::ToolCallReport {
        id,
        session_id,
        tool,
        args_sha256,
        ok,
        output,
        output_bytes,
    };
    client::report(link.governor, &message, link.within).map_err(HookError::Ask)
}

/// What is said of a call whose input cannot be read: nothing where that does not say which call it is.
fn unreadable(link: &HookConfig<'_>, input: &[u8]) -> Option<Message> {
    let members = unreadable_call::members(input)?;
    let text = |name: &str| unreadable_call::text(unreadable_call::member(&members, name)?);
    let id = MessageId::known_as(&text("tool_use_id")?)?;
    let args = unreadable_call::member(&members, "tool_input")?;
    Some(unreadable_call::message(
        id,
        link.session,
        text("tool_name")?,
        args,
    ))
}

fn whole(input: impl Read) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    input
        .take(limits::HOOK_INPUT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(InputError::Io)?;
    if bytes.len() > limits::HOOK_INPUT_BYTES {
        return Err(InputError::TooLong);
    }
    Ok(bytes)
}

fn read(bytes: &[u8]) -> Result<Map<String, Value>, InputError> {
    match strict_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(InputError::NotAnObject),
        Err(error) => Err(InputError::Json(error)),
    }
}

fn tool_use_id(fields: &Map<String, Value>) -> Result<MessageId, InputError> {
    let id = fields
        .get("tool_use_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    MessageId::known_as(id).ok_or(InputError::Lacks("tool_use_id"))
}

/// The call's arguments, the same before and after the tool has run: what stands beside them need not be.
fn take_args(fields: &mut Map<String, Value>) -> Result<Map<String, Value>, InputError> {
    match fields.remove("tool_input") {
        Some(Value::Object(args)) => Ok(args),
        _ => Err(InputError::Lacks("tool_input object")),
    }
}

fn take_text(fields: &mut Map<String, Value>, name: &'static str) -> Result<String, InputError> {
    match fields.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(InputError::Lacks(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::call::Unreadable;

    fn run_pre(input: &[u8]) -> (u8, String, String) {
        let session = SessionId::new("s1").unwrap();
        let link = HookConfig {
            governor: &Governor::at(Path::new("/nonexistent/gate.sock")),
            session: &session,
            directory: None,
            within: Duration::from_secs(1),
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(HookEvent::Pre, &link, input, &mut out, &mut err);
        (
            code,
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }

    #[test]
    fn whatever_is_wrong_with_the_input_is_a_deny_with_a_reason() {
        let whole = br#"{"tool_use_id":"t1","tool_name":"Bash","tool_input":{"command":"x"}}"#;
        let inputs: &[&[u8]] = &[
            b"",
            b"[]",
            b"{}",
            whole,
            br#"{"tool_use_id":"t1","tool_name":"Bash","tool_input":"x"}"#,
            br#"{"tool_use_id":"","tool_name":"Bash","tool_input":{}}"#,
            br#"{"tool_use_id":"t1","tool_name":"Read","tool_name":"Bash","tool_input":{}}"#,
            b"{\"tool_use_id\":\"t1\",\"tool_name\":\"\xff\",\"tool_input\":{}}",
        ];
        for input in inputs {
            let (code, out, err) = run_pre(input);
            let text = String::from_utf8_lossy(input);
            assert_eq!((code, out.as_str()), (BLOCKED, ""), "{text}");
            assert!(err.len() > "agp: \n".len(), "{text}");
        }
    }

    /// Takes so many bytes, then fails; or takes all, and fails to pass them on.
    struct Pipe {
        room: usize,
        flushes: bool,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            match taken {
                0 => Err(std::io::ErrorKind::BrokenPipe.into()),
                taken => Ok(taken),
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            match self.flushes {
                true => Ok(()),
                false => Err(std::io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    #[test]
    fn an_allow_that_did_not_arrive_whole_is_a_deny() {
        let allow = answer(Said::Allow("yes".into()));
        let whole = allow.stdout.len();
        let exits = |room, flushes| {
            let mut out = Pipe { room, flushes };
            say(&allow, &mut out, &mut Vec::new())
        };
        assert_eq!(exits(whole, true), 0);
        for room in 0..whole {
            assert_eq!(exits(room, true), BLOCKED, "{room} of {whole} bytes");
        }
        assert_eq!(exits(whole, false), BLOCKED, "not passed on");
    }

    #[test]
    fn a_call_that_cannot_be_read_is_told_of_by_its_id() {
        let session = SessionId::new("s1").unwrap();
        let link = HookConfig {
            governor: &Governor::at(Path::new("/nonexistent/gate.sock")),
            session: &session,
            directory: None,
            within: Duration::from_secs(1),
        };
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(130), "]".repeat(130));
        for (args, expected) in [
            (deep.as_str(), Unreadable::TooDeep),
            (r#"{"a":"\ud800"}"#, Unreadable::NotUnicode),
            (r#"{"a":1,"a":2}"#, Unreadable::Ambiguous),
        ] {
            let input =
                format!(r#"{{"tool_name":"Bash","tool_input":{args},"tool_use_id":"a|b/c@d"}}"#);
            let Ok(Message::ToolCallUnreadable {
                id,
                tool,
                args_sha256,
                args_bytes,
                why,
                ..
            }) = question(&link, input.as_bytes())
            else {
                panic!("{args}");
            };
            assert_eq!((id.as_str(), tool.as_str()), ("a|b/c@d", "Bash"));
            assert_eq!(
                args_sha256,
                crate::contracts::ids::Sha256::of(args.as_bytes())
            );
            assert_eq!((args_bytes, why), (args.len() as u64, expected));
        }
    }

    #[test]
    fn a_link_that_changes_while_the_call_is_decided_is_seen() {
        let root = std::env::temp_dir().join(format!("agp-changes-{}", std::process::id()));
        std::fs::create_dir_all(root.join("run")).unwrap();
        let socket = root.join("run/gate.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let session = SessionId::new("s1").unwrap();
        let link = HookConfig {
            governor: &Governor::at(&socket),
            session: &session,
            directory: Some(&root),
            within: Duration::from_secs(60),
        };
        let input = serde_json::json!({
            "tool_use_id": "t1", "tool_name": "Read", "cwd": root,
            "tool_input": {"file_path": root.join("x")},
        });
        let allow = concat!(
            r#"{"kind":"policy_verdict","id":"t1","sessionId":"s1","#,
            r#""verdict":{"decision":"allow","reason":"r","ruleId":null,"tier":null}}"#,
            "\n"
        );
        for (target, expected) in [("y", 0), ("run/settings.json", BLOCKED)] {
            let code = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut question = String::new();
                    let mut reader = std::io::BufReader::new(&stream);
                    std::io::BufRead::read_line(&mut reader, &mut question).unwrap();
                    assert!(!question.contains(LEADS_TO), "{question}");
                    let _ = std::fs::remove_file(root.join("x"));
                    std::os::unix::fs::symlink(target, root.join("x")).unwrap();
                    stream.write_all(allow.as_bytes()).unwrap();
                });
                let (mut out, mut err) = (Vec::new(), Vec::new());
                let text = input.to_string();
                run(HookEvent::Pre, &link, text.as_bytes(), &mut out, &mut err)
            });
            assert_eq!(code, expected, "{target}");
            let _ = std::fs::remove_file(root.join("x"));
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn only_an_allow_exits_0() {
        assert_eq!(answer(Said::Deny("no".into())).code, BLOCKED);
        let said = answer(Said::Allow("yes".into()));
        assert_eq!(said.code, 0);
        assert!(said.stdout.contains(r#""permissionDecision":"allow""#));
    }

    #[test]
    fn more_than_any_harness_says_is_not_read() {
        let long = "x".repeat(limits::HOOK_INPUT_BYTES);
        let input = format!(
            r#"{{"tool_use_id":"t1","tool_name":"Bash","tool_input":{{"command":"{long}"}}}}"#
        );
        let (code, out, err) = run_pre(input.as_bytes());
        assert_eq!((code, out.as_str()), (BLOCKED, ""));
        assert!(err.contains("is longer than"), "{err}");
    }
}
