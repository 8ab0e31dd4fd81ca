//! Slack on the command line: its settings, the channel of a session, the manifest, the check.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use crate::channels::escape;
use crate::channels::slack::{
    self, About, Around, Rejection, Settings, SetupError, UncheckedConfig, self_test,
};
use crate::contracts::channel::Channel;
use crate::contracts::ids::{SessionId, Sha256};
use crate::contracts::{bounded_file, limits};
use crate::governor::Broken;
use crate::journal::Handle;
use crate::journal::redact;
use serde_json::{Value, json};

use super::config::{Config, first};
use super::context::SessionContext;
use super::home::Home;
use super::lease;
use crate::report::failure::{Failure, complain};

/// Characters of a warning.
const WARNING_CHARS: usize = 400;
/// Characters of a home's name on cards: no two homes of one app share them by chance.
const HOME_NAME_CHARS: usize = 16;

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        Self::refused(format!("slack: {}", error.problem), error.mend)
    }
}

/// Environment beats `config.json`. Approvers are named in the file alone: who may approve is not
/// for a shell's history to say.
pub(crate) fn settings(config: &Config) -> Result<Settings, Failure> {
    if env::var_os("AGP_AUTO_APPROVE").is_some_and(|value| value == "1") {
        let problem = "AGP_AUTO_APPROVE works only with the console, not with Slack";
        return Err(Failure::usage(problem, "unset AGP_AUTO_APPROVE"));
    }
    let file = config.slack.clone().unwrap_or_default();
    let given = UncheckedConfig {
        bot_token: first(None, "AGP_SLACK_BOT_TOKEN", file.bot_token),
        app_token: first(None, "AGP_SLACK_APP_TOKEN", file.app_token),
        channel: first(None, "AGP_SLACK_CHANNEL", file.channel),
        approvers: file.approvers,
        required: file.approvals_required,
        mention: file.mention,
        api: first(None, "AGP_SLACK_API_URL", None),
    };
    Ok(Settings::checked(given)?)
}

/// Whether anything of Slack's is set.
pub(crate) fn is_set_up(config: &Config) -> bool {
    config.slack.is_some() || env::var_os("AGP_SLACK_BOT_TOKEN").is_some()
}

/// Tries it all, for `agp doctor`.
pub(crate) fn examine(home: &Home, config: &Config) -> Result<String, Failure> {
    let (settings, roots) = (settings(config)?, roots());
    Ok(self_test::examine(
        &settings,
        roots.as_deref(),
        &home.sessions(),
    )?)
}

/// Says by whom else than Slack the approvals of a session could be given.
pub(crate) fn announce(settings: &Settings) {
    if !settings.is_at_slack() {
        complain(format_args!(
            "WARNING: AGP_SLACK_API_URL: approvals come from {}, not from Slack",
            escape::line(settings.api())
        ));
    }
    if roots().is_some() {
        complain(
            "WARNING: SSL_CERT_FILE: it replaces the built-in roots that verify Slack's TLS \
            certificate",
        );
    }
}

/// What the journal says of it.
pub(crate) fn described(settings: &Settings) -> [(&'static str, Value); 2] {
    let roots = roots().map_or("bundled", |_| "SSL_CERT_FILE");
    [
        ("slackApi", json!(settings.api())),
        ("slackRoots", json!(roots)),
    ]
}

fn roots() -> Option<PathBuf> {
    env::var_os("SSL_CERT_FILE")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// Connects to Slack for a session.
pub(crate) fn channel(
    settings: &Settings,
    context: &SessionContext<'_>,
) -> Result<Box<dyn Channel>, Failure> {
    let (home, terminal) = (context.home.clone(), Arc::clone(&context.terminal));
    let options = context.options;
    let around = Around {
        about: About {
            origin: context.origin(),
            sandbox: options.layout.tools_at().into(),
            egress: options.way_out.shown(options.layout),
        },
        home: name_of(context.home),
        sessions: home.sessions(),
        outbox: home.root().join("outbox.json"),
        roots: roots(),
        is_live: Box::new(move |session| {
            SessionId::new(session).is_ok_and(|session| lease::is_live(&home, &session))
        }),
        redact: redact::redact_tokens,
        rejected: recorder(
            context.session.clone(),
            context.journal.clone(),
            context.broken(),
        ),
        warn: Box::new(move |text| {
            terminal.tell(&format!(
                "agp: warning: {}",
                escape::line_max(text, WARNING_CHARS)
            ));
        }),
    };
    Ok(Box::new(slack::Slack::start(settings, around)?))
}

/// What a home is called where others may have cards of the same app: by its journal's key, or by where it is.
fn name_of(home: &Home) -> String {
    let key = bounded_file::read(&home.public_key(), limits::SMALL_FILE_BYTES);
    let unlike_others =
        key.unwrap_or_else(|_| home.real_root().into_os_string().into_encoded_bytes());
    let mut name = Sha256::of(&unlike_others).to_hex();
    name.truncate(HOME_NAME_CHARS);
    name
}

/// Journals rejected clicks. What cannot be recorded ends the session, as with any event.
fn recorder(
    session: SessionId,
    journal: Handle,
    broken: Box<dyn Fn(Broken) + Send + Sync>,
) -> Box<dyn Fn(&Rejection) + Send + Sync> {
    Box::new(move |rejection| {
        if let Err(error) = journal.append_one(rejection.draft(&session)) {
            broken(Broken(error.to_string()));
        }
    })
}
