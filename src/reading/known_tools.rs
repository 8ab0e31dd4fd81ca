//! The tools that harnesses have, as data: every name that a supported version ever had.
//!
//! Measured on Claude Code 2.1.330 and 2.1.332, and Codex 0.169.0 and 0.171.0; older names are those that both
//! still know.

use serde_json::{Map, Value};

/// Whose tool it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
}

/// When a harness offers it to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// Always.
    Always,
    /// Where it is named, a setting asks for it, or in a terminal.
    Sometimes,
    /// In older versions.
    Formerly,
}

/// What a tool does, as far as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Nothing outside the conversation: `@plan`.
    Plan,
    /// Changes files: `@edits`.
    Edits,
    /// Anything else.
    Other,
}

/// A tool of a harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownTool {
    /// As the harness names it.
    pub name: &'static str,
    /// Whose it is.
    pub maker: Maker,
    /// When it is offered.
    pub offered: Offered,
    /// What it does.
    pub does: Does,
}

const fn tool(name: &'static str, maker: Maker, offered: Offered, does: Does) -> KnownTool {
    KnownTool {
        name,
        maker,
        offered,
        does,
    }
}

/// All of them, by maker and name.
pub const KNOWN: &[KnownTool] = {
    use Does::{Edits, Other, Plan};
    use Maker::{Claude, Codex};
    use Offered::{Always, Formerly, Sometimes};
    &[
        tool("Agent", Claude, Always, Plan),
        tool("AgentOutputTool", Claude, Formerly, Plan),
        tool("Artifact", Claude, Sometimes, Other),
        tool("AskUserQuestion", Claude, Sometimes, Plan),
        tool("Bash", Claude, Always, Other),
        tool("BashOutput", Claude, Formerly, Plan),
        tool("ClaudeDesign", Claude, Sometimes, Other),
        tool("Config", Claude, Sometimes, Other),
        tool("CronCreate", Claude, Always, Other),
        tool("CronDelete", Claude, Always, Other),
        tool("CronList", Claude, Always, Plan),
        tool("Edit", Claude, Always, Edits),
        tool("EnterPlanMode", Claude, Sometimes, Plan),
        tool("EnterWorktree", Claude, Always, Other),
        tool("ExitPlanMode", Claude, Sometimes, Plan),
        tool("ExitWorktree", Claude, Always, Other),
        tool("Glob", Claude, Sometimes, Other),
        tool("Grep", Claude, Sometimes, Other),
        tool("KillBash", Claude, Formerly, Plan),
        tool("KillShell", Claude, Formerly, Plan),
        tool("LS", Claude, Formerly, Other),
        tool("LSP", Claude, Sometimes, Other),
        tool("ListAgents", Claude, Always, Plan),
        tool("ListMcpResources", Claude, Sometimes, Other),
        tool("ListMcpResourcesTool", Claude, Sometimes, Other),
        tool("Monitor", Claude, Always, Other),
        tool("MultiEdit", Claude, Formerly, Edits),
        tool("NotebookEdit", Claude, Always, Edits),
        tool("NotebookRead", Claude, Formerly, Other),
        tool("OfferChromeSetup", Claude, Sometimes, Other),
        tool("PowerShell", Claude, Sometimes, Other),
        tool("Projects", Claude, Sometimes, Other),
        tool("ProposeGoal", Claude, Sometimes, Plan),
        tool("ProposeSkills", Claude, Sometimes, Other),
        tool("PushNotification", Claude, Sometimes, Other),
        tool("REPL", Claude, Sometimes, Other),
        tool("Read", Claude, Always, Other),
        tool("ReadMcpResource", Claude, Sometimes, Other),
        tool("ReadMcpResourceDir", Claude, Sometimes, Other),
        tool("ReadMcpResourceDirTool", Claude, Sometimes, Other),
        tool("ReadMcpResourceTool", Claude, Sometimes, Other),
        tool("ReadNotifications", Claude, Sometimes, Other),
        tool("RefreshMcpTools", Claude, Sometimes, Other),
        tool("RemoteTrigger", Claude, Sometimes, Other),
        tool("ReportFindings", Claude, Always, Plan),
        tool("ScheduleWakeup", Claude, Always, Other),
        tool("SendFeedback", Claude, Sometimes, Other),
        tool("SendMessage", Claude, Always, Other),
        tool("SendUserFile", Claude, Sometimes, Other),
        tool("SendUserMessage", Claude, Sometimes, Plan),
        tool("ShowOnboardingRolePicker", Claude, Sometimes, Other),
        tool("Skill", Claude, Always, Plan),
        tool("SlashCommand", Claude, Formerly, Other),
        tool("Sleep", Claude, Sometimes, Plan),
        tool("StructuredOutput", Claude, Sometimes, Plan),
        tool("Task", Claude, Always, Plan),
        tool("TaskCreate", Claude, Sometimes, Plan),
        tool("TaskGet", Claude, Sometimes, Plan),
        tool("TaskList", Claude, Sometimes, Plan),
        tool("TaskOutput", Claude, Formerly, Plan),
        tool("TaskStop", Claude, Always, Plan),
        tool("TaskUpdate", Claude, Sometimes, Plan),
        tool("TeamCreate", Claude, Sometimes, Other),
        tool("TeamDelete", Claude, Sometimes, Other),
        tool("TodoRead", Claude, Formerly, Plan),
        tool("TodoWrite", Claude, Formerly, Plan),
        tool("ToolSearch", Claude, Always, Plan),
        tool("WebFetch", Claude, Always, Other),
        tool("WebSearch", Claude, Always, Other),
        tool("Workflow", Claude, Always, Other),
        tool("Write", Claude, Always, Edits),
        tool("exit_plan_mode", Claude, Formerly, Plan),
        tool("apply_patch", Codex, Always, Edits),
        tool("close_agent", Codex, Sometimes, Plan),
        tool("create_goal", Codex, Always, Plan),
        tool("exec_command", Codex, Always, Other),
        tool("followup_task", Codex, Sometimes, Plan),
        tool("get_goal", Codex, Always, Plan),
        tool("image_generation", Codex, Sometimes, Other),
        tool("interrupt_agent", Codex, Sometimes, Plan),
        tool("js_repl", Codex, Sometimes, Other),
        tool("list_agents", Codex, Sometimes, Plan),
        tool("list_mcp_resource_templates", Codex, Always, Other),
        tool("list_mcp_resources", Codex, Always, Other),
        tool("local_shell", Codex, Formerly, Other),
        tool("read_file", Codex, Formerly, Other),
        tool("read_mcp_resource", Codex, Always, Other),
        tool("request_permissions", Codex, Sometimes, Other),
        tool("request_plugin_install", Codex, Sometimes, Other),
        tool("request_user_input", Codex, Always, Plan),
        tool("resume_agent", Codex, Sometimes, Plan),
        tool("send_input", Codex, Sometimes, Plan),
        tool("send_message", Codex, Sometimes, Plan),
        tool("shell", Codex, Formerly, Other),
        tool("shell_command", Codex, Formerly, Other),
        tool("spawn_agent", Codex, Sometimes, Plan),
        tool("tool_search", Codex, Sometimes, Plan),
        tool("update_goal", Codex, Always, Plan),
        tool("update_plan", Codex, Always, Plan),
        tool("view_image", Codex, Always, Other),
        tool("wait_agent", Codex, Sometimes, Plan),
        tool("web_search", Codex, Sometimes, Other),
        tool("write_stdin", Codex, Always, Other),
    ]
};

/// How agp's own tools are named where a harness calls them.
const OWN: &str = "mcp__agp__";
/// The names of agp's own tools.
const OWN_NAMES: [&str; 7] = ["Bash", "Read", "Write", "Edit", "MultiEdit", "Glob", "Grep"];
/// What the name of a server's tool begins with.
const SERVER: &str = "mcp__";

/// A tool's name as rules know it: agp's own tools go by their bare names, however a harness calls them.
#[must_use]
pub fn plain(tool: &str) -> &str {
    let bare = tool.strip_prefix(OWN);
    bare.filter(|name| OWN_NAMES.contains(name)).unwrap_or(tool)
}

/// Server and name of an MCP tool.
#[must_use]
pub fn of_server(tool: &str) -> Option<(&str, &str)> {
    tool.strip_prefix(SERVER)?.split_once("__")
}

/// The tool of this name.
#[must_use]
pub fn named(tool: &str) -> Option<&'static KnownTool> {
    let tool = plain(tool);
    KNOWN.iter().find(|known| known.name == tool)
}

/// Whether a call is one of `@plan`: it touches nothing outside the conversation. What its arguments turn into
/// more is none.
#[must_use]
pub fn plans(tool: &str, args: &Map<String, Value>) -> bool {
    let plan = named(tool).is_some_and(|known| known.does == Does::Plan);
    plan && !match tool {
        // It runs git in the repository, or elsewhere.
        "Agent" | "Task" => args.get("isolation").is_some_and(|asked| !asked.is_null()),
        // `@FILE` takes a file into the conversation.
        "Skill" => args.values().any(|value| value.to_string().contains('@')),
        _ => false,
    }
}

/// The known tool that a name was probably meant for: the same in another case, or one letter away.
#[must_use]
pub fn near(tool: &str) -> Option<&'static str> {
    if named(tool).is_some() {
        return None;
    }
    let names = || KNOWN.iter().map(|known| known.name);
    names()
        .find(|name| name.eq_ignore_ascii_case(tool))
        .or_else(|| names().find(|name| name.len() > 3 && one_away(name, tool)))
}

/// Whether one letter less, more, or other, or two letters changed about, makes one text of the other.
pub(crate) fn one_away(a: &str, b: &str) -> bool {
    let alike = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let (Some(a), Some(b)) = (a.get(alike..), b.get(alike..)) else {
        return false;
    };
    let behind = |text: &str, by: usize| text.get(by..).map(str::to_owned);
    let swapped = match (a.as_bytes(), b.as_bytes()) {
        ([a1, a2, a @ ..], [b1, b2, b @ ..]) => a1 == b2 && a2 == b1 && a == b,
        _ => false,
    };
    swapped
        || (!a.is_empty() && behind(a, 1).as_deref() == Some(b))
        || (!b.is_empty() && behind(b, 1).as_deref() == Some(a))
        || (!a.is_empty()
            && !b.is_empty()
            && behind(a, 1) == behind(b, 1)
            && behind(a, 1).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_tool_is_listed_twice_and_all_stand_in_order() {
        let mut sorted: Vec<(bool, &str)> = Vec::new();
        for known in KNOWN {
            sorted.push((known.maker == Maker::Codex, known.name));
        }
        assert!(sorted.is_sorted_by(|a, b| a < b));
        for name in OWN_NAMES {
            assert!(named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_near_miss_of_a_known_name_is_found() {
        for (tool, meant) in [
            ("bash", Some("Bash")),
            ("BASH", Some("Bash")),
            ("Bahs", Some("Bash")),
            ("WebFetsh", Some("WebFetch")),
            ("Web_Fetch", Some("WebFetch")),
            ("Reed", Some("Read")),
            ("Reads", Some("Read")),
            ("multiedit", Some("MultiEdit")),
            ("applypatch", Some("apply_patch")),
            ("Bash", None),
            ("Deploy", None),
            ("LSX", None),
            ("Väh", None),
            ("mcp__fs__read", None),
            ("", None),
        ] {
            assert_eq!(near(tool), meant, "{tool}");
        }
    }

    #[test]
    fn agp_s_own_tools_go_by_their_bare_names() {
        assert_eq!(plain("mcp__agp__Bash"), "Bash");
        assert_eq!(plain("mcp__agp__Deploy"), "mcp__agp__Deploy");
        assert_eq!(plain("mcp__fs__Bash"), "mcp__fs__Bash");
        assert_eq!(of_server("mcp__fs__write_file"), Some(("fs", "write_file")));
        assert_eq!(of_server("mcp__fs"), None);
        assert_eq!(of_server("Bash"), None);
    }

    #[test]
    fn what_touches_nothing_outside_the_conversation_is_plan() {
        let plans = |tool: &str, args: Value| plans(tool, args.as_object().unwrap());
        for (tool, args, expected) in [
            ("TodoWrite", json!({"todos": []}), true),
            ("ExitPlanMode", json!({}), true),
            ("update_plan", json!({}), true),
            ("Agent", json!({"prompt": "x"}), true),
            (
                "Agent",
                json!({"prompt": "x", "isolation": "worktree"}),
                false,
            ),
            ("Task", json!({"isolation": "remote"}), false),
            ("Skill", json!({"skill": "x"}), true),
            (
                "Skill",
                json!({"skill": "x", "args": "@/etc/passwd"}),
                false,
            ),
            ("Bash", json!({"command": "ls"}), false),
            ("SendMessage", json!({}), false),
            ("Unknown", json!({}), false),
            ("mcp__agp__Read", json!({}), false),
        ] {
            assert_eq!(plans(tool, args.clone()), expected, "{tool} {args}");
        }
    }
}
