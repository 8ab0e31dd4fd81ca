//! The table of fuzz targets: one for each parser of bytes that others wrote, with what must hold
//! whatever they are. `fuzz/` runs them for hours, the test below replays every seed.

use crate::{
    channels, contracts, disk, egress, gateway, hook, intendants, journal, policy, reading,
    sandbox, session, shell, tools, view,
};

/// A target's name, which is also its program's and its seeds' directory's, and its properties. They
/// panic where one does not hold.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, in the order of the modules.
pub const TARGETS: &[Target] = &[
    ("strict_json", contracts::fuzz::strict_json),
    ("surrogates", contracts::fuzz::surrogates),
    ("canonical_json", journal::fuzz::canonical_json),
    ("journal_line", journal::fuzz::line),
    ("journal_written", journal::fuzz::written),
    ("journal_file", journal::fuzz::file),
    ("journal_head", journal::fuzz::head),
    ("journal_ahead", journal::fuzz::ahead),
    ("key_file", journal::fuzz::key_file),
    ("redaction", journal::fuzz::redaction),
    ("secrets", journal::fuzz::secrets),
    ("policy", policy::fuzz::policy),
    ("tool_pattern", policy::fuzz::tool_pattern),
    ("permissions", policy::import::fuzz::permissions),
    ("program_words", reading::programs::fuzz::program_words),
    ("shell_command", shell::fuzz::shell_command),
    ("shell_reading", reading::walk::fuzz::walk),
    ("gateway_frame", gateway::fuzz::frame),
    ("gateway_answer", gateway::fuzz::answer),
    ("hook_claude", hook::fuzz::hook_claude),
    ("mcp_message", hook::fuzz::mcp_message),
    ("claude_stream", intendants::fuzz::claude_stream),
    ("stream_line", intendants::fuzz::stream_line),
    ("codex_stream", intendants::fuzz::codex_stream),
    ("codex_rollout", intendants::fuzz::codex_rollout),
    ("codex_config", intendants::fuzz::codex_config),
    ("probe_request", intendants::fuzz::probe_request),
    ("script_file", intendants::fuzz::script_file),
    ("terminal_text", channels::fuzz::terminal_text),
    ("call_view", view::fuzz::call_view),
    ("attend_line", channels::attend::fuzz::line),
    ("slack_text", channels::slack::fuzz::text),
    ("slack_frame", channels::slack::fuzz::frame),
    ("slack_click", channels::slack::fuzz::click),
    ("slack_reply", channels::slack::fuzz::reply),
    ("outbox_file", channels::slack::fuzz::outbox_file),
    ("apply_patch", reading::tools::fuzz::apply_patch),
    ("git_config", disk::fuzz::git_config),
    ("tool_arguments", tools::fuzz::arguments),
    ("tool_edit", tools::fuzz::edit),
    ("gitignore", tools::fuzz::gitignore),
    ("keeper_report", sandbox::fuzz::keeper_report),
    ("docker_reply", sandbox::docker::fuzz::reply),
    ("docker_streams", sandbox::docker::fuzz::streams),
    ("egress_connect", egress::fuzz::connect),
    ("egress_hello", egress::fuzz::hello),
    ("egress_hosts", egress::fuzz::hosts),
    ("secret_reference", sandbox::secrets::fuzz::reference),
    ("scrubbed_output", sandbox::secrets::fuzz::scrubbed),
    ("config_file", session::fuzz::config_file),
    ("lease_file", session::fuzz::lease_file),
];

/// Runs one target on one input.
///
/// # Panics
/// When there is no such target, or a property does not hold.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, holds) = target.unwrap_or_else(|| panic!("no target {name}"));
    holds(data);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn root(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    fn below(name: &str) -> Vec<PathBuf> {
        let directory = root("fuzz").join(name);
        let entries = fs::read_dir(&directory).unwrap_or_else(|why| panic!("{name}: {why}"));
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn names(paths: &[PathBuf]) -> BTreeSet<String> {
        let stems = paths.iter().map(|path| path.file_stem().unwrap());
        stems
            .map(|stem| stem.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_target_has_its_program_and_its_seeds() {
        let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).into()).collect();
        assert_eq!(targets.len(), TARGETS.len());
        assert_eq!(names(&below("targets")), targets);
        assert_eq!(names(&below("seeds")), targets);
        let page = fs::read_to_string(root("docs/fuzzing.md")).unwrap();
        let (_, table) = page.split_once("## What must hold").unwrap();
        let named = table.split('`').skip(1).step_by(2).map(str::to_owned);
        assert_eq!(named.collect::<BTreeSet<_>>(), targets);
    }

    /// Every input that ever broke something stands among the seeds, too.
    #[test]
    fn every_seed_holds() {
        for (name, holds) in TARGETS {
            let seeds = below(&format!("seeds/{name}"));
            assert!(seeds.len() >= 2, "{name} has no seeds");
            for seed in seeds {
                holds(&fs::read(&seed).unwrap());
            }
            holds(b"");
        }
    }
}
