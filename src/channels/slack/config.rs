//! What Slack is set up with, checked before anything is sent.

use std::collections::BTreeSet;
use std::fmt;

use ureq::http::Uri;
use zeroize::Zeroizing;

use crate::contracts::limits;
use crate::contracts::plural::count;

/// Where Slack's Web API is.
const API: &str = "https://slack.com/api";

/// Why Slack cannot be used, and the step that mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupError {
    /// What is wrong.
    pub problem: String,
    /// The step that mends it.
    pub mend: String,
}

impl SetupError {
    pub(super) fn new(problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            mend: mend.into(),
        }
    }
}

/// A token. Never shown; wiped when dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    fn checked(text: String, prefix: &str, name: &str) -> Result<Self, SetupError> {
        let text = Zeroizing::new(text);
        let fits = (prefix.len() + 1..=limits::SLACK_ID_BYTES).contains(&text.len())
            && text.starts_with(prefix)
            && text.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            return Ok(Self(text));
        }
        // Not even a part of it is shown.
        Err(SetupError::new(
            format!("{name} is not a token that starts with {prefix}"),
            "see docs/slack-setup.md for where to find each token",
        ))
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// What the operator gave, unchecked.
#[derive(Default)]
pub struct UncheckedConfig {
    /// `xoxb-…`.
    pub bot_token: Option<String>,
    /// `xapp-…`.
    pub app_token: Option<String>,
    /// The channel's id.
    pub channel: Option<String>,
    /// User ids that may approve.
    pub approvers: Vec<String>,
    /// How many different ones must.
    pub required: Option<u32>,
    /// Whose phones ring: `approvers`, `channel` or `none`.
    pub mention: Option<String>,
    /// Another base of the Web API.
    pub api: Option<String>,
}

/// Whose phones ring for a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mention {
    /// Those of the people who may approve it.
    #[default]
    Approvers,
    /// Those of everybody in the channel.
    Channel,
    /// Nobody's.
    None,
}

impl Mention {
    fn checked(given: Option<&str>) -> Result<Self, SetupError> {
        match given {
            None | Some("approvers") => Ok(Self::Approvers),
            Some("channel") => Ok(Self::Channel),
            Some("none") => Ok(Self::None),
            Some(_) => Err(SetupError::new(
                "slack.mention in config.json is not approvers, channel or none",
                "remove it: approvers is the default",
            )),
        }
    }

    /// Slack's markup that has these people's phones ring, as the first post of a request has it.
    pub(super) fn markup<'a>(self, approvers: impl Iterator<Item = &'a str>) -> String {
        match self {
            Self::None => String::new(),
            Self::Channel => "<!channel>".to_owned(),
            Self::Approvers => {
                let mut text = String::new();
                for user in approvers {
                    let mention = format!("<@{user}>");
                    if text.len() + mention.len() >= limits::SLACK_MENTION_CHARS {
                        break;
                    }
                    if !text.is_empty() {
                        text.push(' ');
                    }
                    text.push_str(&mention);
                }
                text
            }
        }
    }
}

/// How Slack is reached and who may approve there.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) bot_token: Token,
    pub(super) app_token: Token,
    /// The channel's id.
    pub channel: String,
    /// Who may approve.
    pub approvers: BTreeSet<String>,
    /// How many different people must.
    pub required: usize,
    /// Whose phones ring for a request.
    pub mention: Mention,
    pub(super) api: ApiBase,
}

impl Settings {
    /// Checks what was given.
    ///
    /// # Errors
    /// [`SetupError`] for the first thing that is missing or wrong.
    pub fn checked(given: UncheckedConfig) -> Result<Self, SetupError> {
        let missing = |what: &str, mend: &str| SetupError::new(format!("{what} is not set"), mend);
        let bot = given.bot_token.ok_or_else(|| {
            missing(
                "the bot token",
                "set AGP_SLACK_BOT_TOKEN (docs/slack-setup.md)",
            )
        })?;
        let app = given.app_token.ok_or_else(|| {
            missing(
                "the app-level token",
                "set AGP_SLACK_APP_TOKEN (docs/slack-setup.md)",
            )
        })?;
        let channel = given
            .channel
            .ok_or_else(|| missing("the channel", "set AGP_SLACK_CHANNEL to the channel ID"))?;
        if !is_id(&channel, &['C', 'G', 'D']) {
            return Err(SetupError::new(
                "the Slack channel is not a channel ID such as C0123456789",
                "find it in Slack: click the channel name, then About, at the bottom",
            ));
        }
        let approvers = approvers(given.approvers)?;
        let required = usize::try_from(given.required.unwrap_or(1)).unwrap_or(usize::MAX);
        if !(1..=approvers.len()).contains(&required) {
            return Err(SetupError::new(
                format!(
                    "slack.approvalsRequired is {required}, but slack.approvers lists {}",
                    count(approvers.len(), "approver")
                ),
                "set it between 1 and the number of approvers",
            ));
        }
        Ok(Self {
            bot_token: Token::checked(bot, "xoxb-", "the bot token")?,
            app_token: Token::checked(app, "xapp-", "the app-level token")?,
            channel,
            approvers,
            required,
            mention: Mention::checked(given.mention.as_deref())?,
            api: ApiBase::checked(given.api.as_deref().unwrap_or(API))?,
        })
    }
}

impl Settings {
    /// What must never be written down, by the names that may be.
    #[must_use]
    pub fn secrets(&self) -> [(&'static str, &str); 2] {
        [
            ("slack.botToken", self.bot_token.reveal()),
            ("slack.appToken", self.app_token.reveal()),
        ]
    }

    /// The Web API's address: whoever is there says who has approved.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api.url
    }

    /// Whether that is Slack's own.
    #[must_use]
    pub fn is_at_slack(&self) -> bool {
        self.api() == API
    }
}

fn approvers(given: Vec<String>) -> Result<BTreeSet<String>, SetupError> {
    let mend = "add to config.json: \"slack\": {\"approvers\": [\"U0123456789\"]}";
    if given.is_empty() {
        let problem = "slack.approvers is empty, so nobody could approve a call";
        return Err(SetupError::new(problem, mend));
    }
    if given.len() > limits::SLACK_APPROVERS {
        let problem = format!(
            "slack.approvers lists more than {}",
            count(limits::SLACK_APPROVERS, "approver")
        );
        return Err(SetupError::new(problem, mend));
    }
    let mut all = BTreeSet::new();
    for id in given {
        if !is_user(&id) {
            let problem = format!("slack.approvers: {id:?} is not a user ID (U… or W…)");
            return Err(SetupError::new(problem, mend));
        }
        if let Some(twice) = all.replace(id) {
            let problem = format!("slack.approvers lists {twice} twice");
            return Err(SetupError::new(problem, mend));
        }
    }
    Ok(all)
}

/// Whether a text has the shape of a person's id. A bot's own id begins with B.
pub(super) fn is_user(id: &str) -> bool {
    is_id(id, &['U', 'W']) && id != "USLACKBOT"
}

/// Whether a text has the shape of an id with one of these first letters.
pub(super) fn is_id(id: &str, first: &[char]) -> bool {
    id.len() <= 64
        && id.len() > 1
        && id.starts_with(first)
        && id
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The Web API's address: https, or a loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiBase {
    pub(super) url: String,
    /// Whether it is a loopback address without TLS: only then may a socket be so, too.
    pub(super) plain: bool,
}

impl ApiBase {
    fn checked(text: &str) -> Result<Self, SetupError> {
        let refused = || {
            SetupError::new(
                "AGP_SLACK_API_URL must be an https or a loopback URL",
                "unset it, or set AGP_SLACK_API_URL=https://HOST/api",
            )
        };
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let host = uri.host().unwrap_or_default();
        let bare = uri.query().is_none()
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'));
        let plain = match uri.scheme_str() {
            Some("https") if !host.is_empty() && bare => false,
            Some("http") if is_loopback(host) && bare => true,
            _ => return Err(refused()),
        };
        Ok(Self {
            url: text.trim_end_matches('/').to_owned(),
            plain,
        })
    }
}

impl ApiBase {
    /// The port, where the address names one.
    pub(super) fn port(&self) -> Option<u16> {
        let uri: Option<Uri> = self.url.parse().ok();
        uri.map(|uri| uri.port_u16().unwrap_or(if self.plain { 80 } else { 443 }))
    }
}

/// By its number, or the one name that the machine itself resolves.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> UncheckedConfig {
        UncheckedConfig {
            bot_token: Some("xoxb-1".into()),
            app_token: Some("xapp-1".into()),
            channel: Some("C1".into()),
            approvers: vec!["U1".into(), "W2".into()],
            required: Some(2),
            mention: None,
            api: None,
        }
    }

    #[test]
    fn mentions_are_of_those_who_may_approve_and_no_longer_than_fits() {
        let markup = |mention: Option<&str>, users: &[&str]| {
            Mention::checked(mention)
                .unwrap()
                .markup(users.iter().copied())
        };
        assert_eq!(markup(None, &["U1", "W2"]), "<@U1> <@W2>");
        assert_eq!(markup(Some("channel"), &["U1"]), "<!channel>");
        assert_eq!(markup(Some("none"), &["U1"]), "");
        let everybody = vec!["U0123456789"; limits::SLACK_APPROVERS];
        let all = markup(Some("approvers"), &everybody);
        assert_eq!(all.matches("<@").count(), limits::SLACK_APPROVERS);
        let long = "U".repeat(64);
        let some = markup(None, &vec![long.as_str(); limits::SLACK_APPROVERS]);
        assert!(some.len() <= limits::SLACK_MENTION_CHARS && some.ends_with('>'));
        assert!(Mention::checked(Some("here")).is_err());
    }

    #[test]
    fn settings_are_refused_before_anything_is_sent() {
        assert!(Settings::checked(given()).is_ok());
        let wrong: [fn(&mut UncheckedConfig); 11] = [
            |given| given.mention = Some("here".into()),
            |given| given.approvers.clear(),
            |given| given.approvers = vec!["U1".into(), "U1".into()],
            |given| given.approvers = vec!["B1".into(), "U2".into()],
            |given| given.approvers = vec!["USLACKBOT".into(), "U2".into()],
            |given| given.required = Some(3),
            |given| given.required = Some(0),
            |given| given.bot_token = Some("xapp-1".into()),
            |given| given.app_token = Some("xoxb-1".into()),
            |given| given.channel = Some("#general".into()),
            |given| given.channel = None,
        ];
        for (number, wrong) in wrong.iter().enumerate() {
            let mut given = given();
            wrong(&mut given);
            assert!(Settings::checked(given).is_err(), "{number}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let settings = Settings::checked(given()).unwrap();
        assert!(!format!("{settings:?}").contains("xoxb"));
        let mut wrong = given();
        wrong.bot_token = Some("xoxp-very-secret".into());
        let error = Settings::checked(wrong).unwrap_err();
        assert!(!format!("{error:?}").contains("very-secret"));
    }

    #[test]
    fn the_api_is_at_https_or_on_this_machine() {
        for good in [
            "https://slack.com/api",
            "https://10.0.0.1:8443/api/",
            "http://127.0.0.1:9/api",
            "http://[::1]:9",
            "http://localhost:80/api",
        ] {
            assert!(ApiBase::checked(good).is_ok(), "{good}");
        }
        for bad in [
            "http://slack.com/api",
            "http://127.0.0.1.evil.example/api",
            "http://127.0.0.1@evil.example/api",
            "https://user@slack.com/api",
            "ws://127.0.0.1/",
            "slack.com",
            "https://slack.com/api?x=1",
            "",
        ] {
            assert!(ApiBase::checked(bad).is_err(), "{bad}");
        }
    }
}
