//! The versions before the pinned ones: a short session of each harness in each of its modes.

use std::path::PathBuf;

use super::codex::Governed;
use super::column::{Column, nothing_ran};
use super::session::{World, installed_older};
use super::{on_claude, on_codex};

const RULES: [(&str, &str); 2] = [("deny", "Bash"), ("allow", "Write")];

/// A denied command, then a file in a new directory.
fn short_session<C: Column>(column: &C) {
    let world = column.world();
    let model = C::model(vec![
        vec![C::bash("call_b", "touch ran-denied")],
        vec![column.write("call_w", "new/deep/written", "as decided\n")],
    ]);
    column.run(&model).run().succeeded();
    let written = world.get("new/deep/written");
    assert_eq!(written.as_deref(), Some("as decided\n"));
    assert!(C::was_refused(&model, "call_b"));
    column.each_decided(&["call_b", "call_w"]);
    nothing_ran(world);
    assert_eq!(C::violations(&model), Vec::<String>::new());
    world.verifies();
}

fn claude() -> Option<(World, PathBuf)> {
    let claude = installed_older("claude", "AGP_CLAUDE_OLDER_BIN")?;
    let world = World::new();
    world.policy(&RULES);
    Some((world, claude))
}

#[test]
fn claude_code_in_hook_mode() {
    if let Some((world, claude)) = claude() {
        short_session(&on_claude::Hook { world, claude });
    }
}

#[test]
fn claude_code_in_mediated_mode() {
    if let Some((world, claude)) = claude() {
        short_session(&on_claude::Agps(on_claude::Hook { world, claude }));
    }
}

#[test]
fn codex_in_mediated_mode() {
    if let Some(codex) = installed_older("codex", "AGP_CODEX_OLDER_BIN") {
        short_session(&on_codex::Agps(Governed::of(codex, &RULES)));
    }
}
