//! Claude Code's login and configuration in a governed session: what a session has of them, how the login is
//! renewed, and what is left behind. The real Claude Code, against a service that takes a login back once it
//! was renewed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{governed, login_double, model, session};

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use governed::{bash, turns};
use login_double::{LoginDouble, access, login, put, refresh, store, stored};
use model::ModelDouble;
use serde_json::{Value, json};
use session::{Start, World, claude, wait_for};

/// A world whose operator has a login, and a policy that allows commands.
pub(super) fn world() -> Option<(World, PathBuf)> {
    let claude = claude()?;
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    Some((world, claude))
}

/// A governed session whose login is the service's.
pub(super) fn governed(
    world: &World,
    claude: &Path,
    service: &LoginDouble,
    model: &ModelDouble,
) -> Start {
    service.reached_by(world, governed::run(world, claude, model))
}

/// A `claude` of the operator's, without agp.
fn plain(world: &World, claude: &Path, service: &LoginDouble) -> Start {
    let start = world.agp(&["--print", "--setting-sources", "", "--", "go"]);
    let start = service.reached_by(world, start.program(claude));
    start
        .env("DISABLE_AUTOUPDATER", "1")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
}

pub(super) const WAIT: &str =
    "touch first; for i in $(seq 1200); do [ -e go ] && break; sleep 0.05; done";

#[test]
fn sessions_and_a_plain_claude_lose_no_renewal_of_each_other() {
    let Some((world, claude)) = world() else {
        return;
    };
    put(&world, &login(0, -10));
    let model = turns(Vec::new());
    let service = LoginDouble::before(&model);
    let start = || governed(&world, &claude, &service, &model);
    let all = [
        start().start(),
        start().arguments(&["--mode", "mediated"]).start(),
        plain(&world, &claude, &service).start(),
    ];
    for one in all {
        one.finish().succeeded();
    }
    assert_eq!((service.renewals(), service.refused()), (1, 0));
    let renewed = stored(&store(&world));
    assert_eq!(renewed["claudeAiOauth"]["refreshToken"], refresh(1));
    assert!(service.asked().iter().all(|login| *login == access(1)));
    assert_eq!(model.violations(), Vec::<String>::new());
}

#[test]
fn a_login_that_nears_its_end_is_renewed_while_a_session_goes_on() {
    let Some((world, claude)) = world() else {
        return;
    };
    put(&world, &login(0, 3600));
    let model = turns(vec![vec![bash("call_wait", WAIT)]]);
    let service = LoginDouble::before(&model);
    let live = governed(&world, &claude, &service, &model).start();
    wait_for("the first call", || world.get("first"));
    put(&world, &login(0, 60));
    wait_for("the renewal", || (service.renewals() == 1).then_some(()));
    wait_for("the new login", || {
        let found = stored(&store(&world));
        (found["claudeAiOauth"]["refreshToken"] == refresh(1)).then_some(())
    });
    shown(&world, 1);
    world.put("go", "");
    live.finish().succeeded();
    let asked = service.asked();
    assert_eq!(asked.first(), Some(&access(0)));
    assert_eq!(asked.last(), Some(&access(1)));
    assert_eq!(service.refused(), 0);
}

/// Waits until the session sees the login of this number.
fn shown(world: &World, number: usize) {
    let directory = world.lease().directory.join("harness-login");
    let own = fs::read_dir(directory).unwrap().flatten().next().unwrap();
    let path = own.path().join(".credentials.json");
    wait_for("the login in the session", || {
        let text = fs::read_to_string(&path).ok()?;
        text.contains(&access(number)).then_some(())
    });
}

#[test]
fn what_another_claude_has_renewed_a_session_takes_up() {
    let Some((world, claude)) = world() else {
        return;
    };
    put(&world, &login(0, 3600));
    let model = turns(vec![vec![bash("call_wait", WAIT)]]);
    let service = LoginDouble::before(&model);
    let live = governed(&world, &claude, &service, &model).start();
    wait_for("the first call", || world.get("first"));
    put(&world, &login(service.renew(), 3600));
    shown(&world, 1);
    world.put("go", "");
    live.finish().succeeded();
    assert_eq!(service.asked().last(), Some(&access(1)));
    assert_eq!((service.renewals(), service.refused()), (1, 0));
}

/// Everything below a directory: names, kinds, permissions and contents.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_dir() {
            let below = fs::read_dir(&path).unwrap().flatten();
            waiting.extend(below.map(|entry| entry.path()));
            Vec::new()
        } else if meta.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        found.insert(path, (meta.permissions().mode(), content));
    }
    found
}

/// What a command tries to leave for whoever comes later, in each place that it can think of.
const HOSTILE: &str = r#"
for dir in "$HOME/.claude" "$CLAUDE_CONFIG_DIR" "$CLAUDE_SECURESTORAGE_CONFIG_DIR" "$PLACE/.claude" /run/agp/harness-home; do
  mkdir -p "$dir/commands" "$dir/agents" "$dir/skills/x" "$dir/hooks" "$dir/plugins" "$dir/rules"
  echo '{"hooks":{"SessionStart":[{"hooks":[{"type":"command","command":"touch /tmp/planted"}]}]}}' \
    | tee "$dir/settings.json" "$dir/settings.local.json" "$dir/hooks/hooks.json"
  for name in CLAUDE.md commands/go.md agents/go.md skills/x/SKILL.md plugins/installed_plugins.json rules/x.md
  do echo planted > "$dir/$name"; done
  echo '{"claudeAiOauth":{"accessToken":"FORGED","refreshToken":"FORGED","expiresAt":1,"scopes":[]}}' \
    > "$dir/.credentials.json"
  mv "$dir" "$dir.moved"; ln -sfn /etc "$dir"
  echo '{"mcpServers":{"x":{"command":"touch","args":["/tmp/planted"]}}}' \
    | tee "$dir/.claude.json" "$dir.json"
done
cat "$CLAUDE_SECURESTORAGE_CONFIG_DIR/.credentials.json" /proc/*/environ 2>/dev/null | tr '\0' '\n' > seen
[ -d /run/agp/harness-login ] && touch login-there
echo x > /run/agp/harness-login/mark && touch login-changed
true"#;

fn hostile(mode: &str, prepare: impl Fn(&World)) {
    let Some((world, claude)) = world() else {
        return;
    };
    let home = world.root().join("home");
    put(&world, &login(0, 3600));
    prepare(&world);
    let before = tree(&home);
    // In a script, of which no policy reads what it would do.
    world.put(
        "hostile.sh",
        &HOSTILE.replace("$PLACE", home.to_str().unwrap()),
    );
    let command = "sh hostile.sh";
    let calls = match mode {
        "hook" => vec![vec![bash("call_hostile", command)]],
        _ => vec![vec![governed::mediated::bash("call_hostile", command)]],
    };
    let model = turns(calls);
    let service = LoginDouble::before(&model);
    governed(&world, &claude, &service, &model)
        .arguments(&["--mode", mode])
        .run()
        .succeeded();
    let after = tree(&home);
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    assert!(before == after, "a file of the home has changed");
    assert!(!Path::new("/tmp/planted").exists());
    assert_eq!(service.refused(), 0);
    let kinds = world.kinds_of("call_hostile");
    let ran = ["gate.allow", "tool_call.executed"].map(str::to_owned);
    assert!(ran.iter().any(|ran| kinds.contains(ran)), "{kinds:?}");
    assert!(service.asked().iter().all(|login| *login == access(0)));
    // What would renew it is nowhere to be found inside.
    let seen = world.get("seen").unwrap_or_default();
    assert!(!seen.contains(&refresh(0)), "{seen}");
    let own = ["login-there", "login-changed"].map(|name| world.get(name).is_some());
    assert_eq!(own, [mode == "hook", false], "the session's own login");
    let directory = world.event("session.started");
    assert!(!directory.to_string().contains("CANARY"), "{directory}");
}

fn furnished(world: &World) {
    let home = world.root().join("home");
    let own = home.join(".claude");
    fs::create_dir_all(own.join("agents")).unwrap();
    fs::write(own.join("settings.json"), "{\"model\":\"x\"}").unwrap();
    fs::write(own.join("agents/mine.md"), "mine").unwrap();
    fs::write(home.join(".claude.json"), "{\"numStartups\":7}").unwrap();
}

#[test]
fn nothing_that_a_command_writes_is_left_for_a_later_claude() {
    hostile("hook", furnished);
}

#[test]
fn nothing_is_left_where_the_operator_had_nothing_either() {
    hostile("hook", |_| ());
}

#[test]
fn nothing_is_left_in_mediated_mode() {
    hostile("mediated", furnished);
}

#[test]
fn a_key_of_the_console_is_carried_too_and_a_login_that_is_a_link() {
    let Some((world, claude)) = world() else {
        return;
    };
    let home = world.root().join("home");
    let state = json!({"primaryApiKey": access(0), "mcpServers": {"x": {"command": "false"}}});
    fs::write(home.join(".claude.json"), state.to_string()).unwrap();
    let model = turns(Vec::new());
    model_takes_keys(&world, &claude, &model);

    let elsewhere = world.root().join("elsewhere.json");
    fs::write(&elsewhere, login(0, 3600).to_string()).unwrap();
    fs::create_dir_all(home.join(".claude")).unwrap();
    symlink(&elsewhere, store(&world)).unwrap();
    let service = LoginDouble::before(&model);
    governed(&world, &claude, &service, &model)
        .run()
        .succeeded();
    assert_eq!(service.asked().last(), Some(&access(0)));
    assert!(fs::symlink_metadata(store(&world)).unwrap().is_symlink());
}

fn model_takes_keys(world: &World, claude: &Path, model: &ModelDouble) {
    let start = governed::run(world, claude, model).without("ANTHROPIC_API_KEY");
    start.run().succeeded();
    assert_eq!(model.requests(), 1);
}

#[test]
fn a_login_that_is_none_is_not_carried() {
    let Some((world, claude)) = world() else {
        return;
    };
    let model = turns(Vec::new());
    let service = LoginDouble::before(&model);
    for text in [Value::Null, json!({"claudeAiOauth": {"accessToken": 7}})] {
        put(&world, &text);
        let ran = governed(&world, &claude, &service, &model).run().exited(4);
        ran.said(&["Not logged in"]);
    }
    assert_eq!(service.asked(), Vec::<String>::new());
}

/// A stand-in for Claude Code: `auth` is what it does when it is asked to renew the login, `session` when it is governed.
fn stand_in(world: &World, auth: &str, session: &str) -> Start {
    world.stand_in(&format!(
        "[ \"$1\" = --version ] && exec echo 2.1.332\n\
         if [ \"$1 $2\" = 'auth status' ]; then\n{auth}\nexit\nfi\n{session}\n"
    ))
}

#[test]
fn what_renews_the_login_reaches_the_login_and_nothing_else() {
    let world = World::new();
    put(&world, &login(0, -10));
    fs::write(world.root().join("home/.netrc"), "secret").unwrap();
    let auth = format!(
        "exec >\"$CLAUDE_SECURESTORAGE_CONFIG_DIR/said\" 2>&1\n\
         cat {agp}/signing/journal-ed25519.key {home}/.netrc /etc/shadow && echo READ\n\
         ls {agp} {repo} && echo LISTED\n\
         (touch {agp}/x || touch {repo}/x || touch {home}/x || touch /tmp/agp-login-x) && echo WROTE\n\
         mkdir {home}/.claude.lock && rmdir {home}/.claude.lock && echo LOCKED\n\
         echo x >\"$CLAUDE_CONFIG_DIR/x\" && echo OWN\n\
         [ -z \"$AGP_SECRET_X\" ] && echo DONE",
        agp = world.agp_home().display(),
        home = world.root().join("home").display(),
        repo = world.repo().display(),
    );
    let start = stand_in(&world, &auth, "exit 0").env("AGP_SECRET_X", "correct-horse-battery");
    start.run();
    let said = fs::read_to_string(store(&world).with_file_name("said")).unwrap();
    for word in ["READ", "LISTED", "WROTE"] {
        assert!(!said.contains(&format!("{word}\n")), "{said}");
    }
    for word in ["LOCKED", "OWN", "DONE"] {
        assert!(said.contains(&format!("{word}\n")), "{said}");
    }
}

#[test]
fn a_renewal_that_is_under_way_is_not_cut_off_with_the_session() {
    let world = World::new();
    put(&world, &login(0, 3600));
    let own = store(&world).with_file_name("");
    let auth = format!(
        "touch {own}/begun; while [ ! -e {own}/go ]; do sleep 0.05; done; touch {own}/finished",
        own = own.display()
    );
    let session = "touch started; while [ ! -e end ]; do sleep 0.05; done";
    let live = stand_in(&world, &auth, session).start();
    wait_for("the session", || world.get("started"));
    put(&world, &login(0, 60));
    let there = |name: &'static str| {
        let path = own.join(name);
        move || path.exists().then_some(())
    };
    wait_for("the renewal", there("begun"));
    world.put("end", "");
    live.finish();
    assert!(!own.join("finished").exists());
    fs::write(own.join("go"), "").unwrap();
    wait_for("the end of the renewal", there("finished"));
}
