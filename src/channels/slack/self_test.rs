//! Whether Slack is set up so that a session would hold: tokens, scopes, people, channel, socket.

use std::io;
use std::path::Path;

use serde_json::Value;

use crate::contracts::limits;
use crate::contracts::plural::count;

use super::app_lock::{AppLock, Standing};
use super::config::{Settings, SetupError};
use super::socket_mode::Dial;
use super::tls::Tls;
use super::web_api::{ApiError, Identity, WebApi};

/// What the bot token must be allowed.
const NEEDED: &[&str] = &["chat:write"];

/// Tries everything that can be tried without saying anything in the channel; gives what was found.
///
/// # Errors
/// [`SetupError`] for the first thing that does not hold.
pub fn examine(
    settings: &Settings,
    roots: Option<&Path>,
    sessions: &Path,
) -> Result<String, SetupError> {
    let tls = Tls::new(roots)?;
    let api = WebApi::new(settings, &tls);
    let failed = |error: ApiError| SetupError::new(error.to_string(), error.mend());
    let identity = api.auth_test().map_err(failed)?;
    one_workspace(&identity)?;
    scopes(&identity)?;
    let people = people(&api, settings, &identity)?;
    let member = membership(&api, settings)?;
    let present = presence(&api, settings)?;
    let dial = Dial {
        api,
        tls: tls.for_socket()?,
    };
    let api = dial.api.clone();
    let mut lock = lock(sessions, settings)?;
    let said = |app: &str, unseen: &str, socket: &str| {
        format!(
            "app {app}{unseen} in team {}, {} of {} must approve{people}{present}, channel {}{member}, {socket}",
            identity.team,
            settings.required,
            count(settings.approvers.len(), "approver"),
            settings.channel,
        )
    };
    // One more connection would get clicks of the sessions that run.
    if let Standing::StandsBy(proved) = lock.stand().map_err(|error| unlocked(&error))? {
        let apps = one_app(&api, &identity, &proved.app)?;
        let socket = "a running session of this home has the connection";
        return Ok(said(&proved.app, apps, socket));
    }
    let mut link = super::open_first(&dial)?;
    link.leave();
    let apps = one_app(&api, &identity, &link.app)?;
    let others = link.connections.saturating_sub(1);
    if others > 0 {
        return Err(SetupError::new(
            format!(
                "{} to app {}: some clicks go there",
                count(others, "other connection"),
                link.app
            ),
            "stop the other agp, or use one app per machine; a crashed one disappears within minutes",
        ));
    }
    Ok(said(&link.app, apps, "socket opened"))
}

/// The lock of the app's connection.
pub(super) fn lock(sessions: &Path, settings: &Settings) -> Result<AppLock, SetupError> {
    AppLock::open(sessions, settings).map_err(|error| unlocked(&error))
}

/// Why it cannot be taken.
pub(super) fn unlocked(error: &io::Error) -> SetupError {
    let problem = format!("the lock of Slack's connection: {error}");
    SetupError::new(problem, "run `agp doctor`")
}

/// Whether the app is installed in one workspace: with an organisation's token the people of any of its
/// workspaces would be of one team.
pub(super) fn one_workspace(identity: &Identity) -> Result<(), SetupError> {
    match identity.org_wide {
        false => Ok(()),
        true => Err(SetupError::new(
            "the app is installed for a whole Enterprise Grid organisation, not for one workspace",
            "remove that installation, and install the app in one workspace (see docs/slack-setup.md)",
        )),
    }
}

/// Whether the token may do what it must, as far as Slack says what it may.
pub(super) fn scopes(identity: &Identity) -> Result<(), SetupError> {
    let Some(scopes) = &identity.scopes else {
        return Ok(());
    };
    for needed in NEEDED {
        if !scopes.iter().any(|scope| scope == needed) {
            return Err(SetupError::new(
                format!("the bot token lacks the scope {needed}"),
                "add the scope (see `agp slack manifest`) and reinstall the app",
            ));
        }
    }
    Ok(())
}

/// Whether every approver is a person who is still there; in words what could not be seen.
pub(super) fn people(
    api: &WebApi,
    settings: &Settings,
    identity: &Identity,
) -> Result<&'static str, SetupError> {
    for user in &settings.approvers {
        if *user == identity.user {
            let problem = "slack.approvers lists agp's own bot";
            return Err(SetupError::new(problem, "list people only"));
        }
        let reply = match api.read("users.info", &[("user", user)]) {
            Ok(reply) => reply,
            Err(ApiError::Refused(code, _)) if code == "missing_scope" => {
                return Ok(" (not verified that they are people: no scope users:read)");
            }
            Err(ApiError::Refused(code, _)) => {
                return Err(SetupError::new(
                    format!("slack.approvers: {user}: Slack error {code}"),
                    "list members of this workspace",
                ));
            }
            Err(error) => return Err(SetupError::new(error.to_string(), error.mend())),
        };
        let is = |what: &str| reply.pointer(what) == Some(&Value::Bool(true));
        let wrong = [
            ("/user/is_bot", "a bot"),
            ("/user/deleted", "deactivated"),
            ("/user/is_stranger", "of another workspace"),
        ];
        if let Some((_, what)) = wrong.iter().find(|(at, _)| is(at)) {
            return Err(SetupError::new(
                format!("slack.approvers: {user} is {what}"),
                "list members of this workspace",
            ));
        }
    }
    Ok("")
}

/// Whether both tokens are of one app: what another one posts, its clicks go to. In words what could
/// not be seen.
pub(super) fn one_app(
    api: &WebApi,
    identity: &Identity,
    app: &str,
) -> Result<&'static str, SetupError> {
    let unseen = " (not verified that the bot token belongs to this app)";
    let Some(bot) = &identity.bot else {
        return Ok(unseen);
    };
    match api.read("bots.info", &[("bot", bot)]) {
        Ok(reply) => match reply.pointer("/bot/app_id").and_then(Value::as_str) {
            Some(of_bot) if of_bot == app => Ok(""),
            Some(_) => Err(SetupError::new(
                format!("the bot token belongs to another app than the app-level token ({app})"),
                "use both tokens of the same app (see docs/slack-setup.md)",
            )),
            None => Ok(unseen),
        },
        Err(ApiError::Refused(..)) => Ok(unseen),
        Err(error) => Err(SetupError::new(error.to_string(), error.mend())),
    }
}

fn membership(api: &WebApi, settings: &Settings) -> Result<&'static str, SetupError> {
    match api.read("conversations.info", &[("channel", &settings.channel)]) {
        Ok(reply) => {
            let is = |what: &str| reply.pointer(what) == Some(&Value::Bool(true));
            if is("/channel/is_archived") {
                return Err(SetupError::new(
                    "the channel is archived",
                    "choose another channel",
                ));
            }
            if is("/channel/is_member") || is("/channel/is_im") {
                return Ok("");
            }
            let problem = "the app is not in the channel";
            Err(SetupError::new(problem, "/invite the app in the channel"))
        }
        Err(ApiError::Refused(code, _)) if code == "missing_scope" => {
            Ok(" (membership not verified: no scope channels:read or groups:read)")
        }
        Err(error) => Err(SetupError::new(error.to_string(), error.mend())),
    }
}

/// Whether every approver is in the channel: nobody else sees a request, and no phone rings. In words what could not be
/// seen.
fn presence(api: &WebApi, settings: &Settings) -> Result<&'static str, SetupError> {
    const UNSEEN: &str =
        " (not verified that they are in the channel: no scope channels:read or groups:read)";
    let limit = limits::SLACK_PAGE.to_string();
    let mut absent = settings.approvers.clone();
    let mut cursor = String::new();
    for _ in 0..limits::SLACK_PAGES {
        let mut fields = vec![("channel", settings.channel.as_str()), ("limit", &limit)];
        if !cursor.is_empty() {
            fields.push(("cursor", &cursor));
        }
        let reply = match api.read("conversations.members", &fields) {
            Ok(reply) => reply,
            Err(ApiError::Refused(code, _)) if code == "missing_scope" => return Ok(UNSEEN),
            Err(error) => return Err(SetupError::new(error.to_string(), error.mend())),
        };
        let members = reply.get("members").and_then(Value::as_array);
        for member in members.into_iter().flatten().filter_map(Value::as_str) {
            absent.remove(member);
        }
        if absent.is_empty() {
            return Ok("");
        }
        let next = reply.pointer("/response_metadata/next_cursor");
        cursor = next.and_then(Value::as_str).unwrap_or_default().to_owned();
        if cursor.is_empty() {
            let names: Vec<String> = absent.into_iter().collect();
            return Err(SetupError::new(
                format!(
                    "slack.approvers not in the channel: {}. They see no request there",
                    names.join(", ")
                ),
                "/invite them in the channel, or remove them from slack.approvers",
            ));
        }
    }
    Ok(" (not verified that they are in the channel: it has too many members)")
}
