//! The configuration that a governed Codex gets: agp's own, and of the operator's the keys that say
//! which model answers.
//!
//! A configuration can start programs (hooks, MCP servers, `notify`, a provider's `auth`), so the
//! operator's file is read for a list of keys and never copied.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toml::Table;

use crate::contracts::intendant::{HarnessError, HarnessFault};
use crate::contracts::{bounded_file, limits};

use super::config_error::ConfigError;

/// Keys of the operator's that are carried over.
pub(crate) const CARRIED: [&str; 14] = [
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
pub(crate) const PROVIDERS: &str = "model_providers";
pub(crate) const CARRIED_OF_A_PROVIDER: [&str; 14] = [
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
pub(crate) const GIT_DIR: &str = "GIT_DIR";
/// Features that are switched off: Codex's own tools, what brings tools, servers or programs of its
/// own, and what brings calls that the rollout does not show one by one (each measured on 0.169.0).
const OFF: [&str; 16] = [
    "shell_tool",
    "unified_exec",
    "multi_agent",
    "view_image",
    // Scripts of calls: their own calls stand under other ids, and some stand nowhere.
    "code_mode_host",
    // They bring hooks, servers and tools of their own.
    "plugins",
    "apps",
    "browser_use",
    "computer_use",
    "image_generation",
    "memories",
    "goals",
    "sleep_tool",
    "tool_suggest",
    "skill_mcp_dependency_install",
    "hooks",
];
/// Of these what matters for the gate, as `codex features list` must confirm it.
const VITAL: [&str; 3] = ["shell_tool", "multi_agent", "code_mode_host"];

/// What was taken of the operator's configuration.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) table: Table,
    /// Names of what was left.
    pub(crate) left: Vec<String>,
    /// Variables that a provider takes its credentials from.
    pub(crate) variables: Vec<String>,
}

/// Reads the operator's configuration, if there is one.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn carried(home: &Path) -> Result<Carried, ConfigError> {
    let path = home.join("config.toml");
    if !path.exists() {
        return Ok(Carried::default());
    }
    let bytes = match bounded_file::read(&path, limits::HARNESS_CONFIG_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return Err(ConfigError::Io { path, error }),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(ConfigError::NotUtf8(path));
    };
    match toml::from_str(&text) {
        Ok(whole) => Ok(pick(whole)),
        // The parser's whole text quotes the line, which can hold a credential.
        Err(error) => Err(ConfigError::NotToml {
            path,
            problem: error.message().to_owned(),
        }),
    }
}

pub(crate) fn pick(whole: Table) -> Carried {
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
pub(crate) struct Config<'a> {
    /// The session's repository.
    pub(crate) repository: &'a Path,
    /// The catalogue of models, where there is one.
    pub(crate) catalogue: Option<PathBuf>,
    /// The server that offers agp's tools.
    pub(crate) server: Server,
}

/// agp's server of tools, as Codex starts it.
pub(crate) struct Server {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Seconds that a call may take.
    pub(crate) seconds: u64,
}

impl Config<'_> {
    /// The text of `config.toml`: what is carried, and above it what is agp's.
    ///
    /// # Errors
    /// What cannot be written as TOML.
    pub(crate) fn text(&self, carried: Table) -> Result<String, ConfigError> {
        let features: serde_json::Map<String, Value> = OFF
            .iter()
            .map(|name| ((*name).to_owned(), json!(false)))
            .collect();
        let repository = self.repository.to_str().ok_or(ConfigError::Repository)?;
        let mut settings = json!({
            "approval_policy": "never",
            "check_for_update_on_startup": false,
            // The repository's words are not the operator's: the same as for every harness.
            "project_doc_max_bytes": 0,
            "skills": {"include_instructions": false, "bundled": {"enabled": false}},
            "web_search": "disabled",
            "agents": {"enabled": false},
            "features": features,
            "history": {"persistence": "none"},
            "shell_environment_policy": {"exclude": [GIT_DIR]},
            // What is trusted may bring hooks and servers.
            "projects": {repository: {"trust_level": "untrusted"}},
            "mcp_servers": {"agp": {
                "command": self.server.program,
                "args": self.server.arguments,
                "startup_timeout_sec": SERVER_START,
                "tool_timeout_sec": self.server.seconds,
                // The policy decides; Codex's own question would be a second one.
                "default_tools_approval_mode": "approve",
            }},
        });
        if let (Some(settings), Some(catalogue)) = (settings.as_object_mut(), &self.catalogue) {
            settings.insert("model_catalog_json".into(), json!(catalogue));
        }
        let table = Table::try_from(settings).map_err(ConfigError::Unwritable)?;
        let mut all = carried;
        all.extend(table);
        toml::to_string(&all).map_err(ConfigError::Unwritable)
    }
}

/// Seconds that agp's server may take to start.
const SERVER_START: u64 = 30;

/// The same once more as arguments: they stand above every file.
pub(crate) fn overrides() -> Vec<String> {
    let settings = [
        "web_search=\"disabled\"",
        "approval_policy=\"never\"",
        "agents.enabled=false",
        "project_doc_max_bytes=0",
        "skills.include_instructions=false",
        "skills.bundled.enabled=false",
    ];
    let features = OFF.iter().map(|name| format!("features.{name}=false"));
    settings
        .map(str::to_owned)
        .into_iter()
        .chain(features)
        .collect()
}

/// A catalogue of models in which every call is one call: `tool_mode` `direct`, not scripts of
/// calls; and no tools of Codex's own, neither those that are still tried out nor patches.
///
/// # Errors
/// What is no catalogue.
pub(crate) fn direct(catalogue: &str) -> Result<String, ConfigError> {
    let mut whole: Value =
        serde_json::from_str(catalogue).map_err(ConfigError::CatalogueNotJson)?;
    let models = whole.get_mut("models").and_then(Value::as_array_mut);
    let none = ConfigError::Catalogue("Codex's catalogue lists no models");
    for model in models.ok_or(none)? {
        let model = model.as_object_mut();
        let wrong = ConfigError::Catalogue("a model in Codex's catalogue is not an object");
        let model = model.ok_or(wrong)?;
        model.insert("tool_mode".into(), json!("direct"));
        model.insert("experimental_supported_tools".into(), json!([]));
        model.insert("apply_patch_tool_type".into(), Value::Null);
        // Behind a search agp's tools would not be offered at once.
        model.insert("supports_search_tool".into(), json!(false));
    }
    Ok(whole.to_string())
}

/// A configuration that names a model service of agp's own, and the first model of a catalogue.
///
/// # Errors
/// What is no catalogue.
pub(crate) fn of_ones_own(base_url: &str, catalogue: &str) -> Result<Table, ConfigError> {
    let catalogue: Value =
        serde_json::from_str(catalogue).map_err(ConfigError::CatalogueNotJson)?;
    let model = catalogue.pointer("/models/0/slug").and_then(Value::as_str);
    let none = ConfigError::Catalogue("Codex's catalogue has no model");
    let settings = json!({
        "model": model.ok_or(none)?,
        "model_provider": "agp",
        PROVIDERS: {"agp": {
            "name": "agp", "base_url": base_url, "wire_api": "responses", "env_key": "OPENAI_API_KEY",
        }},
    });
    Table::try_from(settings).map_err(ConfigError::Unwritable)
}

/// Holds what this version says of its features against what the gate needs.
pub(crate) fn check_features(list: &str) -> Result<(), HarnessError> {
    for name in VITAL {
        let line = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&name));
        let kept =
            line.is_some_and(|words| words.last() == Some(&"false") && !words.contains(&"removed"));
        if !kept {
            return Err(HarnessFault::CodexManaged.of(format_args!(
                "this Codex does not keep its feature {name} disabled, so agp cannot gate it"
            )));
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
            server: Server {
                program: "/agp-bridge".into(),
                arguments: vec!["mcp".into()],
                seconds: 9,
            },
        };
        let text = config.text(picked.table).unwrap();
        assert!(!text.contains("evil"), "{text}");
        let read: Table = toml::from_str(&text).unwrap();
        assert_eq!(read["model"].as_str(), Some("m"));
        assert_eq!(read["web_search"].as_str(), Some("disabled"));
        assert_eq!(read["features"]["shell_tool"].as_bool(), Some(false));
        assert_eq!(
            read["projects"]["/r \"quoted\""]["trust_level"].as_str(),
            Some("untrusted")
        );
        let servers = read["mcp_servers"].as_table().unwrap();
        assert_eq!(servers["agp"]["command"].as_str(), Some("/agp-bridge"));
        assert_eq!((servers.len(), read.get("hooks")), (1, None));
    }

    #[test]
    fn a_catalogue_is_made_direct() {
        let made = direct(r#"{"models":[{"slug":"a","tool_mode":"code_mode_only"}]}"#).unwrap();
        assert!(made.contains(r#""tool_mode":"direct""#), "{made}");
        for other in ["", "{}", r#"{"models":[1]}"#] {
            assert!(direct(other).is_err(), "{other}");
        }
    }

    #[test]
    fn the_way_out_is_for_whose_text_does_not_fit() {
        let home = std::env::temp_dir().join(format!("agp-codex-config-{}", std::process::id()));
        std::fs::create_dir(&home).unwrap();
        std::fs::write(
            home.join("config.toml"),
            "model = \"a\"\nenv_key = s3cret\n",
        )
        .unwrap();
        let operators = carried(&home).unwrap_err();
        assert!(matches!(operators, ConfigError::NotToml { .. }));
        let operators = HarnessError::from(operators);
        assert!(operators.problem.contains("config.toml"), "{operators:?}");
        assert!(!operators.problem.contains("s3cret"), "{operators:?}");
        assert_eq!(operators.fault, HarnessFault::CodexConfig);
        std::fs::remove_dir_all(&home).unwrap();
        let of_codex = HarnessError::from(direct("{}").unwrap_err());
        assert_eq!(of_codex.fault, HarnessFault::CodexVersion);
    }

    #[test]
    fn a_feature_that_is_gone_or_stands_otherwise_is_found() {
        let list = "code_mode_host  stable  false\nshell_tool  stable  false\n\
            multi_agent  under development  false\n";
        assert!(check_features(list).is_ok());
        for (from, to) in [
            ("shell_tool  stable  false", "shell_tool  stable  true"),
            ("multi_agent", "multi_agents"),
            ("code_mode_host  stable", "code_mode_host  removed"),
        ] {
            assert!(check_features(&list.replace(from, to)).is_err(), "{to}");
        }
    }
}
