//! Which hosts a harness must reach to do anything: its model's, and those that renew its login.

use std::fmt;
use std::path::Path;

use toml::Table;

use super::codex::config_error::ConfigError;
use super::codex::config_toml;
use super::codex::discovery::operators_home;
use super::environment::variable;

/// Where Claude Code finds its model, and where its login is renewed.
const CLAUDE: [&str; 2] = ["api.anthropic.com:443", "platform.claude.com:443"];
/// With one of these it asks a cloud's own service, whose hosts depend on the account.
const CLAUDE_ELSEWHERE: [&str; 3] = [
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
];
/// Where Codex finds its model, with a key or with a login, and where that is renewed.
const CODEX: [&str; 3] = [
    "api.openai.com:443",
    "chatgpt.com:443",
    "auth.openai.com:443",
];

/// Why it cannot be said which hosts a harness must reach. Both are the operator's to correct.
#[derive(Debug)]
pub enum ModelHostError {
    /// The variable or key of this name is no https URL.
    NotTls(String),
    /// The configuration that names the model cannot be read.
    Config(ConfigError),
}

impl fmt::Display for ModelHostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls(name) => write!(
                f,
                "{name} is not an https URL; --egress allowlist permits only TLS"
            ),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ModelHostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotTls(_) => None,
            Self::Config(error) => Some(error),
        }
    }
}

/// Hosts that Claude Code must reach, as this environment has it; none where it cannot be said.
///
/// # Errors
/// When its model cannot be reached by TLS.
pub fn of_claude_code() -> Result<Vec<String>, ModelHostError> {
    claude_code_by(&|name| variable(name))
}

fn claude_code_by(
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, ModelHostError> {
    if CLAUDE_ELSEWHERE.iter().any(|name| variable(name).is_some()) {
        return Ok(Vec::new());
    }
    match variable("ANTHROPIC_BASE_URL") {
        Some(url) => host_of("ANTHROPIC_BASE_URL", &url).map(|host| vec![host]),
        None => Ok(CLAUDE.map(str::to_owned).into()),
    }
}

/// Hosts that Codex must reach, as this environment and the operator's configuration have it.
///
/// # Errors
/// When its model cannot be reached by TLS, or the configuration cannot be read.
pub fn of_codex() -> Result<Vec<String>, ModelHostError> {
    let carried = match operators_home() {
        Some(home) => {
            let carried = config_toml::carried(Path::new(&home));
            carried.map_err(ModelHostError::Config)?.table
        }
        None => Table::new(),
    };
    codex_by(&carried, variable("OPENAI_BASE_URL"))
}

fn codex_by(config: &Table, variable: Option<String>) -> Result<Vec<String>, ModelHostError> {
    let text = |name: &str| config.get(name).and_then(toml::Value::as_str);
    let provider = text("model_provider").unwrap_or("openai");
    let chosen = config
        .get("model_providers")
        .and_then(|providers| providers.get(provider));
    if let Some(chosen) = chosen {
        let name = format!("model_providers.{provider}.base_url");
        let url = chosen.get("base_url").and_then(toml::Value::as_str);
        // Without one it is the ordinary service.
        if let Some(url) = url {
            return host_of(&name, url).map(|host| vec![host]);
        }
    } else if provider != "openai" {
        return Ok(Vec::new());
    }
    let mut hosts = Vec::new();
    for (name, url) in [
        (
            "openai_base_url",
            text("openai_base_url").map(str::to_owned),
        ),
        (
            "chatgpt_base_url",
            text("chatgpt_base_url").map(str::to_owned),
        ),
        ("OPENAI_BASE_URL", variable),
    ] {
        if let Some(url) = url {
            hosts.push(host_of(name, &url)?);
        }
    }
    if hosts.is_empty() {
        hosts = CODEX.map(str::to_owned).into();
    }
    Ok(hosts)
}

/// `HOST:PORT` of an https URL.
fn host_of(name: &str, url: &str) -> Result<String, ModelHostError> {
    let Some(rest) = url.strip_prefix("https://") else {
        return Err(ModelHostError::NotTls(name.to_owned()));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What stands before an @ is a login, and not shown.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(before, _)| !before.contains(':') || before.ends_with(']'));
    Ok(if has_port {
        host.to_owned()
    } else {
        format!("{host}:443")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_where_its_variable_says() {
        let by = |set: &[(&str, &str)]| {
            claude_code_by(&|name| {
                let pair = set.iter().find(|(known, _)| *known == name);
                pair.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(by(&[]).unwrap(), CLAUDE);
        for (url, host) in [
            ("https://gateway.test", "gateway.test:443"),
            ("https://u:p@gateway.test:8443/v1?x", "gateway.test:8443"),
            ("https://[::1]/", "[::1]:443"),
            ("https://[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(by(&[("ANTHROPIC_BASE_URL", url)]).unwrap(), [host]);
        }
        let plain = by(&[("ANTHROPIC_BASE_URL", "http://127.0.0.1:8080")]);
        assert!(matches!(plain, Err(ModelHostError::NotTls(name)) if name == "ANTHROPIC_BASE_URL"));
        assert_eq!(by(&[("CLAUDE_CODE_USE_BEDROCK", "1")]).unwrap(), [""; 0]);
    }

    #[test]
    fn codex_asks_where_its_configuration_says() {
        let by = |text: &str| codex_by(&toml::from_str(text).unwrap(), None);
        assert_eq!(by("").unwrap(), CODEX);
        let config =
            "model_provider = \"p\"\n[model_providers.p]\nbase_url = \"https://m.test/v1\"";
        assert_eq!(by(config).unwrap(), ["m.test:443"]);
        assert_eq!(
            by("openai_base_url = \"https://a.test\"").unwrap(),
            ["a.test:443"]
        );
        assert_eq!(by("model_provider = \"bedrock\"").unwrap(), [""; 0]);
        assert!(by("openai_base_url = \"http://a.test\"").is_err());
    }
}
