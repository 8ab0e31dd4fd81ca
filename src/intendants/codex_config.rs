//! The configuration that a governed Codex gets: agp's own, and of the operator's the keys that say
//! which model answers.
//!
//! A configuration can start programs (hooks, MCP servers, `notify`, a provider's `auth`) and can
//! switch hooks off, so the operator's file is read for a list of keys and never copied.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toml::Table;

use crate::contracts::intendant::HarnessError;
use crate::contracts::{bounded_file, limits};

/// Keys of the operator's that are carried over.
pub(super) const CARRIED: [&str; 14] = [
    "model",
    "model_provider",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "model_supports_reasoning_summaries",
    "model_verbosity",
    "model_context_window",
    "model_auto_compact_token_limit",
    "openai_base_url",
    "chatgpt_base_url",
    "service_tier",
    "cli_auth_credentials_store",
    "forced_login_method",
    "forced_chatgpt_workspace_id",
];
/// The table of model providers, and what is carried of each: none of these names a program.
pub(super) const PROVIDERS: &str = "model_providers";
pub(super) const CARRIED_OF_A_PROVIDER: [&str; 14] = [
    "name",
    "base_url",
    "env_key",
    "env_key_instructions",
    "wire_api",
    "query_params",
    "http_headers",
    "env_http_headers",
    "request_max_retries",
    "stream_max_retries",
    "stream_idle_timeout_ms",
    "websocket_connect_timeout_ms",
    "requires_openai_auth",
    "supports_websockets",
];
/// Names git's repository, whatever the directory. Codex has one that is none.
pub(super) const GIT_DIR: &str = "GIT_DIR";
/// Features that are switched: those that keep the gate, and those that bring calls which no hook
/// sees or which the rollout does not show one by one (each measured on 0.169.0).
const FEATURES: [(&str, bool); 13] = [
    ("hooks", true),
    // With a terminal, `write_stdin` types into an allowed command and no hook is asked.
    ("unified_exec_tty", false),
    // Scripts of calls: their own calls stand under other ids, and some stand nowhere.
    ("code_mode_host", false),
    // They bring hooks, servers and tools of their own.
    ("plugins", false),
    ("apps", false),
    ("browser_use", false),
    ("computer_use", false),
    ("image_generation", false),
    ("memories", false),
    ("goals", false),
    ("sleep_tool", false),
    ("tool_suggest", false),
    ("skill_mcp_dependency_install", false),
];
/// What else is switched off where agp's tools are the only ones: every tool of Codex's own.
const OWN_TOOLS: [&str; 4] = ["shell_tool", "unified_exec", "multi_agent", "view_image"];
/// Of these what matters where agp's tools are the only ones.
pub(super) const VITAL_MEDIATED: [(&str, bool); 3] = [
    ("shell_tool", false),
    ("multi_agent", false),
    ("code_mode_host", false),
];
/// Of these what matters for the gate, as `codex features list` must confirm it.
pub(super) const VITAL: [(&str, bool); 3] = [
    ("hooks", true),
    ("unified_exec_tty", false),
    ("code_mode_host", false),
];

/// What was taken of the operator's configuration.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) table: Table,
    /// Names of what was left.
    pub(super) left: Vec<String>,
    /// Variables that a provider takes its credentials from.
    pub(super) variables: Vec<String>,
}

/// Reads the operator's configuration, if there is one.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn carried(home: &Path) -> Result<Carried, String> {
    let path = home.join("config.toml");
    if !path.exists() {
        return Ok(Carried::default());
    }
    let bytes = bounded_file::read(&path, limits::HARNESS_CONFIG_BYTES)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{}: not UTF-8", path.display()))?;
    // The parser's message quotes the line, which can hold a credential.
    let whole: Table = toml::from_str(&text)
        .map_err(|error| format!("{}: {}", path.display(), error.message()))?;
    Ok(pick(whole))
}

pub(super) fn pick(whole: Table) -> Carried {
    let mut carried = Carried::default();
    for (name, value) in whole {
        match value {
            toml::Value::Table(providers) if name == PROVIDERS => {
                let mut kept = Table::new();
                for (provider, value) in providers {
                    if let toml::Value::Table(value) = value {
                        let value = pick_provider(&provider, value, &mut carried);
                        kept.insert(provider, value.into());
                    }
                }
                carried.table.insert(name, kept.into());
            }
            value if CARRIED.contains(&name.as_str()) && !value.is_table() => {
                carried.table.insert(name, value);
            }
            _ => carried.left.push(name),
        }
    }
    carried
}

fn pick_provider(provider: &str, whole: Table, carried: &mut Carried) -> Table {
    let mut kept = Table::new();
    for (name, value) in whole {
        if !CARRIED_OF_A_PROVIDER.contains(&name.as_str()) {
            carried.left.push(format!("{PROVIDERS}.{provider}.{name}"));
            continue;
        }
        match (name.as_str(), &value) {
            ("env_key", toml::Value::String(variable)) => carried.variables.push(variable.clone()),
            ("env_http_headers", toml::Value::Table(headers)) => {
                let variables = headers.values().filter_map(toml::Value::as_str);
                carried.variables.extend(variables.map(str::to_owned));
            }
            _ => {}
        }
        kept.insert(name, value);
    }
    kept
}

/// What the configuration is made of.
pub(super) struct Config<'a> {
    /// The session's repository.
    pub(super) repository: &'a Path,
    /// The catalogue of models, where there is one.
    pub(super) catalogue: Option<PathBuf>,
    /// The provider's own searches are allowed.
    pub(super) web_search: bool,
    /// The shell command of the hook for an event.
    pub(super) hook: &'a dyn Fn(&str) -> String,
    /// Seconds that a hook may take.
    pub(super) hook_seconds: u64,
    /// Where agp's tools are the only ones, the server that offers them; there are no hooks then.
    pub(super) server: Option<Server>,
}

/// agp's server of tools, as Codex starts it.
pub(super) struct Server {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// Seconds that a call may take.
    pub(super) seconds: u64,
}

impl Config<'_> {
    /// The text of `config.toml`: what is carried, and above it what is agp's.
    ///
    /// # Errors
    /// What cannot be written as TOML.
    pub(super) fn text(&self, carried: Table) -> Result<String, String> {
        let hook = |event: &str| {
            json!([{"matcher": ".*", "hooks": [{
                "type": "command",
                "command": (self.hook)(event),
                "timeout": self.hook_seconds,
            }]}])
        };
        let mediated = self.server.is_some();
        let features: serde_json::Map<String, Value> = features(mediated)
            .map(|(name, on)| (name.to_owned(), json!(on)))
            .collect();
        let repository = self
            .repository
            .to_str()
            .ok_or("the repository's path is not UTF-8")?;
        let mut own = json!({
            "approval_policy": "never",
            "check_for_update_on_startup": false,
            // The repository's words are not the operator's: the same as for every harness.
            "project_doc_max_bytes": 0,
            "skills": {"include_instructions": false, "bundled": {"enabled": false}},
            "web_search": if self.web_search { "live" } else { "disabled" },
            "agents": {"enabled": false},
            "features": features,
            "history": {"persistence": "none"},
            "shell_environment_policy": {"exclude": [GIT_DIR]},
            "hooks": {
                "SessionStart": hook("start"),
                "PreToolUse": hook("pre"),
                "PostToolUse": hook("post"),
            },
            // What is trusted may bring hooks and servers, and switch ours off.
            "projects": {repository: {"trust_level": "untrusted"}},
        });
        if let Some(own) = own.as_object_mut() {
            if let Some(catalogue) = &self.catalogue {
                own.insert("model_catalog_json".into(), json!(catalogue));
            }
            if let Some(server) = &self.server {
                own.remove("hooks");
                let agp = json!({
                    "command": server.program,
                    "args": server.arguments,
                    "startup_timeout_sec": SERVER_START,
                    "tool_timeout_sec": server.seconds,
                    // The policy decides; Codex's own question would be a second one.
                    "default_tools_approval_mode": "approve",
                });
                own.insert("mcp_servers".into(), json!({"agp": agp}));
            }
        }
        let own = Table::try_from(own).map_err(|error| error.to_string())?;
        let mut all = carried;
        all.extend(own);
        toml::to_string(&all).map_err(|error| error.to_string())
    }
}

/// Seconds that agp's server may take to start.
const SERVER_START: u64 = 30;

fn features(mediated: bool) -> impl Iterator<Item = (&'static str, bool)> {
    let off = OWN_TOOLS.iter().filter(move |_| mediated);
    FEATURES
        .into_iter()
        .filter(move |(name, _)| !mediated || *name != "hooks")
        .chain(off.map(|name| (*name, false)))
}

/// The same once more as arguments: they stand above every file.
pub(super) fn overrides(web_search: bool, mediated: bool) -> Vec<String> {
    let search = if web_search { "live" } else { "disabled" };
    let mut all = vec![
        format!("web_search=\"{search}\""),
        "approval_policy=\"never\"".to_owned(),
        "agents.enabled=false".to_owned(),
        "project_doc_max_bytes=0".to_owned(),
        "skills.include_instructions=false".to_owned(),
        "skills.bundled.enabled=false".to_owned(),
    ];
    all.extend(features(mediated).map(|(name, on)| format!("features.{name}={on}")));
    all
}

/// A catalogue of models in which every call is one call: `tool_mode` `direct`, not scripts of
/// calls, and no tools that are still tried out; where agp's tools are the only ones, no patches.
///
/// # Errors
/// What is no catalogue.
pub(super) fn direct(catalogue: &str, mediated: bool) -> Result<String, String> {
    let mut whole: Value = serde_json::from_str(catalogue)
        .map_err(|error| format!("Codex's catalogue of models: {error}"))?;
    let models = whole.get_mut("models").and_then(Value::as_array_mut);
    for model in models.ok_or("Codex's catalogue lists no models")? {
        let model = model.as_object_mut();
        let model = model.ok_or("a model of Codex's catalogue is no object")?;
        model.insert("tool_mode".into(), json!("direct"));
        model.insert("experimental_supported_tools".into(), json!([]));
        if mediated {
            model.insert("apply_patch_tool_type".into(), Value::Null);
            // Behind a search agp's tools would not be offered at once.
            model.insert("supports_search_tool".into(), json!(false));
        }
    }
    Ok(whole.to_string())
}

/// A configuration that names a model service of agp's own, and the first model of a catalogue.
///
/// # Errors
/// What is no catalogue.
pub(super) fn of_ones_own(base_url: &str, catalogue: &str) -> Result<Table, String> {
    let catalogue: Value = serde_json::from_str(catalogue).map_err(|error| error.to_string())?;
    let model = catalogue.pointer("/models/0/slug").and_then(Value::as_str);
    let own = json!({
        "model": model.ok_or("Codex's catalogue names no model")?,
        "model_provider": "agp",
        PROVIDERS: {"agp": {
            "name": "agp", "base_url": base_url, "wire_api": "responses", "env_key": "OPENAI_API_KEY",
        }},
    });
    Table::try_from(own).map_err(|error| error.to_string())
}

/// Holds what this version says of its features against what the gate needs.
pub(super) fn check_features(vital: [(&str, bool); 3], list: &str) -> Result<(), HarnessError> {
    for (name, wanted) in vital {
        let line = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&name));
        let kept = line.is_some_and(|words| {
            words.last() == Some(&wanted.to_string().as_str()) && !words.contains(&"removed")
        });
        if !kept {
            return Err(HarnessError {
                problem: format!(
                    "this Codex does not keep its feature {name} {}: it could not be gated",
                    if wanted { "on" } else { "off" }
                ),
                mend: "see what /etc/codex sets, or install the version that agp was tried with"
                    .into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_keys_are_carried_and_the_rest_is_named() {
        let theirs = r#"
            model = "m"
            model_provider = "p"
            notify = ["/bin/evil"]
            sandbox_mode = "danger-full-access"
            web_search = "live"
            [features]
            hooks = false
            [[hooks.PreToolUse]]
            matcher = ".*"
            [mcp_servers.evil]
            command = "/bin/evil"
            [projects."/"]
            trust_level = "trusted"
            [model_providers.p]
            base_url = "http://127.0.0.1:1/v1"
            env_key = "MY_KEY"
            env_http_headers = { x = "MY_HEADER" }
            auth = { command = "/bin/evil" }
        "#;
        let picked = pick(toml::from_str(theirs).unwrap());
        let mut left = picked.left.clone();
        left.sort();
        let named = [
            "features",
            "hooks",
            "mcp_servers",
            "model_providers.p.auth",
            "notify",
            "projects",
            "sandbox_mode",
            "web_search",
        ];
        assert_eq!(left, named);
        assert_eq!(picked.variables, ["MY_HEADER", "MY_KEY"]);
        let config = Config {
            repository: Path::new("/r \"quoted\""),
            catalogue: None,
            web_search: false,
            hook: &|event| format!("hook '{event}'"),
            hook_seconds: 9,
            server: None,
        };
        let text = config.text(picked.table).unwrap();
        assert!(!text.contains("evil"), "{text}");
        let read: Table = toml::from_str(&text).unwrap();
        assert_eq!(read["model"].as_str(), Some("m"));
        assert_eq!(read["web_search"].as_str(), Some("disabled"));
        assert_eq!(read["features"]["unified_exec_tty"].as_bool(), Some(false));
        assert_eq!(
            read["projects"]["/r \"quoted\""]["trust_level"].as_str(),
            Some("untrusted")
        );
        assert_eq!(
            read["hooks"]["PreToolUse"][0]["hooks"][0]["command"].as_str(),
            Some("hook 'pre'")
        );
    }

    #[test]
    fn a_catalogue_is_made_direct() {
        let made = direct(
            r#"{"models":[{"slug":"a","tool_mode":"code_mode_only"}]}"#,
            false,
        )
        .unwrap();
        assert!(made.contains(r#""tool_mode":"direct""#), "{made}");
        for other in ["", "{}", r#"{"models":[1]}"#] {
            assert!(direct(other, false).is_err(), "{other}");
        }
    }

    #[test]
    fn a_feature_that_is_gone_or_stands_otherwise_is_found() {
        let list = "code_mode_host  stable  false\nhooks  stable  true\n\
            unified_exec_tty  under development  false\n";
        assert!(check_features(VITAL, list).is_ok());
        for (from, to) in [
            ("hooks  stable  true", "hooks  stable  false"),
            ("unified_exec_tty", "unified_exec_pty"),
            ("code_mode_host  stable", "code_mode_host  removed"),
        ] {
            assert!(
                check_features(VITAL, &list.replace(from, to)).is_err(),
                "{to}"
            );
        }
    }
}
