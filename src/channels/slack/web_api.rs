//! Slack's Web API: one call at a time, bounded in time and size, `ok: false` an error by its code.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use crate::contracts::{limits, strict_json};

use super::config::{ApiBase, Settings, Token};
use super::tls::Tls;

/// Without a `Retry-After` that can be read.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// What Slack asks for is believed up to here.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Codes after which no other attempt can do better: token, app or team are not what they must be.
const FINAL: &[&str] = &[
    "not_authed",
    "invalid_auth",
    "account_inactive",
    "user_removed_from_team",
    "team_disabled",
    "token_revoked",
    "token_expired",
    "not_allowed_token_type",
    "missing_scope",
    "no_permission",
    "org_login_required",
    "forbidden_team",
    "team_access_not_granted",
];

/// Codes after which Slack itself is at fault; another attempt may do better.
const PASSING: &[&str] = &[
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
];

/// Why a call did not do what it was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiError {
    /// Slack refused, with this code; for a missing scope with the one that it needs.
    Refused(String, Option<String>),
    /// Slack wants to be left alone for this long.
    RateLimited(Duration),
    /// Slack could not be reached: nothing was done.
    Unreachable(String),
    /// Slack failed, or its reply was lost: it may have been done all the same.
    Failed(String),
    /// No reply in time: whether it was done is not known.
    TimedOut,
}

impl ApiError {
    /// Whether no other attempt, of any call, can do better.
    #[must_use]
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused(code, _) if FINAL.contains(&code.as_str()))
    }

    /// Whether it is about this message alone: what Slack says of it now it says of it for good.
    #[must_use]
    pub(super) fn is_of_message(&self) -> bool {
        matches!(self, Self::Refused(..)) && !self.is_final()
    }

    /// Whether Slack may have done what was asked for, without saying so.
    #[must_use]
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::TimedOut)
    }

    /// The step that mends it.
    #[must_use]
    pub(super) fn mend(&self) -> &'static str {
        let Self::Refused(code, _) = self else {
            return "check whether this host can reach Slack";
        };
        match code.as_str() {
            "missing_scope" => "add the scope (see `agp slack manifest`) and reinstall the app",
            "not_in_channel" => "/invite the app in the channel",
            "channel_not_found" => "invite the app to the channel, and check AGP_SLACK_CHANNEL",
            "not_allowed_token_type" => {
                "xoxb- is AGP_SLACK_BOT_TOKEN, xapp- is AGP_SLACK_APP_TOKEN"
            }
            code if FINAL.contains(&code) => {
                "reinstall the app, and set its tokens (see docs/slack-setup.md)"
            }
            _ => "run `agp doctor --check slack`",
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code, None) => write!(f, "Slack error {code}"),
            Self::Refused(code, Some(needed)) => {
                write!(f, "Slack error {code}: it needs {needed}")
            }
            Self::RateLimited(pause) => {
                write!(f, "Slack's rate limit: wait {} s", pause.as_secs())
            }
            Self::Unreachable(why) | Self::Failed(why) => write!(f, "cannot reach Slack: {why}"),
            Self::TimedOut => write!(
                f,
                "Slack did not answer within {} s",
                limits::SLACK_PATIENCE.as_secs()
            ),
        }
    }
}

/// Whose token a call is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Bot,
    App,
}

/// Who the bot token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The workspace.
    pub(super) team: String,
    /// Whether the app is installed for a whole organisation, of which a workspace is a part.
    pub(super) org_wide: bool,
    /// agp's own user there.
    pub(super) user: String,
    /// What it is called as a bot, where Slack says so.
    pub(super) bot: Option<String>,
    /// What the token may do, where Slack says so.
    pub(super) scopes: Option<Vec<String>>,
}

/// A message as Slack took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Posted {
    /// Where.
    pub(super) channel: String,
    /// Its name in that channel.
    pub(super) ts: String,
}

/// A client. Each thread that calls has its own.
#[derive(Clone)]
pub(super) struct WebApi {
    agent: Agent,
    base: ApiBase,
    bot: Token,
    app: Token,
    /// One call takes at most this long.
    patience: Duration,
}

impl WebApi {
    pub(super) fn new(settings: &Settings, tls: &Tls) -> Self {
        let config = Agent::config_builder()
            .tls_config(tls.for_http())
            .https_only(!settings.api.plain)
            // Tokens go where the operator said and nowhere else.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .max_response_header_size(64 << 10)
            .user_agent(concat!("agp/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.new_agent(),
            base: settings.api.clone(),
            bot: settings.bot_token.clone(),
            app: settings.app_token.clone(),
            patience: limits::SLACK_PATIENCE,
        }
    }

    /// The same, for calls that must be over within this time.
    pub(super) fn within(&self, time: Duration) -> Self {
        Self {
            patience: self.patience.min(time),
            ..self.clone()
        }
    }

    /// Whom the bot token speaks for.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(super) fn auth_test(&self) -> Result<Identity, ApiError> {
        let sent = self.request(As::Bot, "auth.test").send_form([("", ""); 0]);
        let (reply, scopes) = read_with_scopes(sent)?;
        let scopes = scopes.map(|all| {
            all.split(',')
                .map(|scope| scope.trim().to_owned())
                .collect()
        });
        let team = text(&reply, "/team_id")?;
        let org_wide = reply.get("is_enterprise_install") == Some(&Value::Bool(true));
        Ok(Identity {
            org_wide: org_wide || team.starts_with('E'),
            team,
            user: text(&reply, "/user_id")?,
            bot: text(&reply, "/bot_id").ok(),
            scopes,
        })
    }

    /// An address for one Socket Mode connection.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(super) fn open_connection(&self) -> Result<String, ApiError> {
        let reply = self.form(As::App, "apps.connections.open", &[])?;
        let url = reply.get("url").and_then(Value::as_str);
        url.map(str::to_owned)
            .ok_or_else(|| ApiError::Failed("its reply has no url".into()))
    }

    /// `chat.postMessage`.
    ///
    /// # Errors
    /// [`ApiError`]; after [`ApiError::TimedOut`] the message may stand there all the same.
    pub(super) fn post(&self, message: &Value) -> Result<Posted, ApiError> {
        let reply = self.json(As::Bot, "chat.postMessage", message)?;
        Ok(Posted {
            channel: text(&reply, "/channel")?,
            ts: text(&reply, "/ts")?,
        })
    }

    /// Any other method of the bot's that takes JSON.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(super) fn call(&self, method: &str, body: &Value) -> Result<Value, ApiError> {
        self.json(As::Bot, method, body)
    }

    /// A method of the bot's that takes a form only: those that read.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(super) fn read(&self, method: &str, fields: &[(&str, &str)]) -> Result<Value, ApiError> {
        self.form(As::Bot, method, fields)
    }

    /// Whether a socket without TLS may be opened: only where the Web API is on this machine.
    pub(super) fn is_plain(&self) -> bool {
        self.base.plain
    }

    fn json(&self, who: As, method: &str, body: &Value) -> Result<Value, ApiError> {
        let request = self.request(who, method);
        let sent = request
            .header("Content-Type", "application/json; charset=utf-8")
            .send(body.to_string());
        read(sent)
    }

    fn form(&self, who: As, method: &str, fields: &[(&str, &str)]) -> Result<Value, ApiError> {
        read(self.request(who, method).send_form(fields.iter().copied()))
    }

    fn request(&self, who: As, method: &str) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
        let token = match who {
            As::Bot => &self.bot,
            As::App => &self.app,
        };
        self.agent
            .post(format!("{}/{method}", self.base.url))
            .config()
            .timeout_global(Some(self.patience))
            .build()
            .header("Authorization", format!("Bearer {}", token.reveal()))
    }
}

fn read(sent: Result<Response<ureq::Body>, ureq::Error>) -> Result<Value, ApiError> {
    read_with_scopes(sent).map(|(reply, _)| reply)
}

/// The reply, and the scopes that Slack says the token has.
pub(super) fn read_with_scopes(
    sent: Result<Response<ureq::Body>, ureq::Error>,
) -> Result<(Value, Option<String>), ApiError> {
    let mut response = sent.map_err(failed)?;
    let scopes = response.headers().get("x-oauth-scopes");
    let scopes = scopes
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let status = response.status().as_u16();
    if status == 429 {
        let header = response.headers().get("retry-after");
        let delay = header
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map_or(RETRY_AFTER, Duration::from_secs);
        return Err(ApiError::RateLimited(
            delay.clamp(limits::SLACK_PACE, RETRY_AFTER_MAX),
        ));
    }
    if status != 200 {
        return Err(ApiError::Failed(format!("HTTP status {status}")));
    }
    let limit = u64::try_from(limits::SLACK_REPLY_BYTES).unwrap_or(u64::MAX);
    let body = response
        .body_mut()
        .with_config()
        .limit(limit)
        .read_to_vec()
        .map_err(failed)?;
    let reply = strict_json::from_slice(&body)
        .map_err(|error| ApiError::Failed(format!("its reply is not JSON: {error}")))?;
    if reply.get("ok") == Some(&Value::Bool(true)) {
        return Ok((reply, scopes));
    }
    let code = reply.get("error").and_then(Value::as_str);
    let code = code
        .filter(|code| is_code(code))
        .unwrap_or("an unreadable error");
    Err(match code {
        "ratelimited" | "rate_limited" => ApiError::RateLimited(RETRY_AFTER),
        code if PASSING.contains(&code) => ApiError::Failed(code.to_owned()),
        code => {
            let needed = reply.get("needed").and_then(Value::as_str);
            let needed = needed.filter(|scope| is_code(scope)).map(str::to_owned);
            ApiError::Refused(code.to_owned(), needed)
        }
    })
}

/// A code is shown to people; anything else that a reply holds is not.
pub(super) fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.' | b','))
}

/// Whether there was no connection, so that nothing was sent.
fn is_before_sending(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
        ),
        _ => false,
    }
}

fn failed(error: ureq::Error) -> ApiError {
    match error {
        ureq::Error::Timeout(_) => ApiError::TimedOut,
        error if is_before_sending(&error) => ApiError::Unreachable(error.to_string()),
        error => ApiError::Failed(error.to_string()),
    }
}

fn text(reply: &Value, at: &str) -> Result<String, ApiError> {
    let text = reply.pointer(at).and_then(Value::as_str);
    text.filter(|text| (1..=limits::SLACK_ID_BYTES).contains(&text.len()))
        .map(str::to_owned)
        .ok_or_else(|| ApiError::Failed(format!("its reply has no {at}")))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::super::config::UncheckedConfig;
    use super::*;

    fn api(port: u16) -> WebApi {
        let settings = Settings::checked(UncheckedConfig {
            bot_token: Some("xoxb-1".into()),
            app_token: Some("xapp-1".into()),
            channel: Some("C0123456789".into()),
            approvers: vec!["U0123456789".into()],
            required: None,
            api: Some(format!("http://127.0.0.1:{port}/api")),
            ..UncheckedConfig::default()
        });
        WebApi::new(&settings.unwrap(), &Tls::new(None).unwrap())
    }

    /// What was never sent may be sent again as often as one likes; of what was sent nobody knows.
    #[test]
    fn what_was_not_sent_is_not_lost_and_what_was_not_answered_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = thread::scope(|scope| {
            let api = api(port);
            scope.spawn(move || drop(listener.accept()));
            api.post(&Value::Null).unwrap_err()
        });
        assert!(silent.is_lost(), "{silent:?}");
        let refused = api(port).post(&Value::Null).unwrap_err();
        assert!(matches!(refused, ApiError::Unreachable(_)), "{refused:?}");
        assert!(!refused.is_lost());
        for (error, lost, of_message) in [
            (ApiError::TimedOut, true, false),
            (ApiError::Failed("internal_error".into()), true, false),
            (ApiError::RateLimited(Duration::ZERO), false, false),
            (
                ApiError::Refused("message_not_found".into(), None),
                false,
                true,
            ),
            // Another token may do better.
            (
                ApiError::Refused("token_revoked".into(), None),
                false,
                false,
            ),
        ] {
            assert_eq!(
                (error.is_lost(), error.is_of_message()),
                (lost, of_message),
                "{error}"
            );
        }
    }
}
