//! `agp doctor --check slack` and `agp slack manifest`: whatever is set up wrong is found before a session, and
//! the step that mends it is said.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{session, slack, slack_world};

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};
use session::Start;
use slack::{APP_TOKEN, BOT_TOKEN, CHANNEL, Fault, SlackDouble};
use slack_world::{ALICE, BOB, Governed, deny};

fn governed() -> Governed {
    Governed::by(SlackDouble::start(), &[])
}

fn doctor(governed: &Governed) -> Start {
    governed.agp(&["doctor", "--check", "slack"])
}

fn config(governed: &Governed, slack: &Value) -> PathBuf {
    let file = governed.world.agp_home().join("config.json");
    fs::write(&file, json!({ "slack": slack }).to_string()).unwrap();
    file
}

#[test]
fn a_setup_that_holds_is_said_to_and_nothing_is_posted() {
    let governed = governed();
    doctor(&governed).run().succeeded().said(&[
        "app A0AGP in team T0TEAM",
        "1 of 2 approvers must approve",
        "channel C0APPROVALS",
        "socket opened",
    ]);
    assert!(governed.double.messages().is_empty());
    governed.double.wait("the Close frame", |double| {
        double.closed_by_agp(0).then_some(())
    });
}

#[test]
fn where_a_session_has_the_connection_nobody_takes_clicks_from_it() {
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let live = governed.play(&["echo one"], &[]).start();
    let no = deny(&governed.double, 0, ALICE);
    let ran = doctor(&governed).run().succeeded();
    ran.said(&[
        "app A0AGP in",
        "a running session of this home has the connection",
    ]);
    assert_eq!(governed.double.sockets(), 1);
    governed.double.click(&no);
    live.finish().succeeded();
}

/// One thing that is wrong in Slack, and what the doctor says of it: the problem, and its mend.
fn found(wrong: impl FnOnce(&SlackDouble), said: &[&str]) {
    let governed = governed();
    wrong(&governed.double);
    let ran = doctor(&governed).run().exited(1);
    for token in [BOT_TOKEN, APP_TOKEN] {
        assert!(!ran.out.contains(token) && !ran.err.contains(token));
    }
    ran.said(said);
    // The double hears of a closed connection a moment later.
    governed.double.wait("the end of every socket", |double| {
        (double.open_sockets() == 0).then_some(())
    });
}

fn code(method: &'static str, code: &'static str) -> impl FnOnce(&SlackDouble) {
    move |double| double.fault_always(method, Some(Fault::Code(code)))
}

#[test]
fn an_organisations_installation_is_found() {
    for identity in [
        json!({"is_enterprise_install": true}),
        json!({"team_id": "E0ORG"}),
    ] {
        found(
            |double| double.say_identity(identity),
            &["Enterprise Grid", "install the app in one workspace"],
        );
    }
}

#[test]
fn what_is_wrong_with_the_tokens_is_found() {
    let again = "reinstall the app";
    found(code("auth.test", "invalid_auth"), &["invalid_auth", again]);
    found(
        code("auth.test", "account_inactive"),
        &["account_inactive", again],
    );
    found(
        code("auth.test", "token_revoked"),
        &["token_revoked", again],
    );
    found(
        code("apps.connections.open", "token_expired"),
        &["token_expired", again],
    );
    found(
        code("apps.connections.open", "not_allowed_token_type"),
        &["not_allowed_token_type", "xapp- is AGP_SLACK_APP_TOKEN"],
    );
    found(
        |double| double.say_bot_of("A0OTHER"),
        &["another app than the app-level token", "of the same app"],
    );
}

#[test]
fn what_the_tokens_may_not_do_is_found() {
    found(
        |double| double.say_scopes("channels:read,users:read"),
        &["lacks the scope chat:write", "agp slack manifest"],
    );
    found(
        code("apps.connections.open", "missing_scope"),
        &["missing_scope", "agp slack manifest"],
    );
    // What cannot be seen for want of a scope is said, and is no failure.
    let governed = governed();
    for method in [
        "users.info",
        "conversations.info",
        "conversations.members",
        "bots.info",
    ] {
        governed
            .double
            .fault_always(method, Some(Fault::Code("missing_scope")));
    }
    doctor(&governed).run().succeeded().said(&[
        "not verified that they are people",
        "not verified that they are in the channel",
        "membership not verified",
        "not verified that the bot token belongs to this app",
    ]);
}

#[test]
fn what_is_wrong_with_people_and_channel_is_found() {
    let user = |what: Value| move |double: &SlackDouble| double.say_user(BOB, what);
    let people = "list members of this workspace";
    found(
        user(Value::Null),
        &["U0BOB: Slack error user_not_found", people],
    );
    found(user(json!({"is_bot": true})), &["U0BOB is a bot", people]);
    found(
        user(json!({"deleted": true})),
        &["U0BOB is deactivated", people],
    );
    found(
        user(json!({"is_stranger": true})),
        &["U0BOB is of another workspace", people],
    );
    found(
        |double| double.say_members(&["U0AGPBOT", ALICE, "U0EVE"]),
        &["not in the channel: U0BOB", "/invite them"],
    );
    let channel = |what: Value| move |double: &SlackDouble| double.say_channel(what);
    found(
        channel(json!({"is_member": false})),
        &["the app is not in the channel", "/invite"],
    );
    found(
        channel(json!({"is_archived": true})),
        &["the channel is archived", "choose another"],
    );
    found(
        code("conversations.info", "channel_not_found"),
        &["channel_not_found", "invite the app to the channel"],
    );
}

#[test]
fn what_is_wrong_with_the_connection_is_found() {
    found(
        |double| double.say_connections(2),
        &["1 other connection to app A0AGP", "stop the other agp"],
    );
    let reach = "check whether this host can reach Slack";
    found(
        |double| double.fault_always("auth.test", Some(Fault::Status(502))),
        &["HTTP status 502", reach],
    );
    found(
        |double| double.fault_always("auth.test", Some(Fault::RateLimited(30))),
        &["rate limit: wait 30 s", reach],
    );
    found(
        |double| double.fault_always("auth.test", Some(Fault::Half)),
        &["cannot reach Slack", reach],
    );
}

#[test]
fn what_is_wrong_in_the_settings_is_found() {
    let governed = governed();
    let swapped = doctor(&governed)
        .env("AGP_SLACK_APP_TOKEN", BOT_TOKEN)
        .run();
    swapped
        .exited(1)
        .said(&["a token that starts with xapp-", "docs/slack-setup.md"]);
    let missing = doctor(&governed).without("AGP_SLACK_BOT_TOKEN").run();
    missing
        .exited(1)
        .said(&["the bot token is not set", "AGP_SLACK_BOT_TOKEN"]);
    let missing = doctor(&governed).without("AGP_SLACK_APP_TOKEN").run();
    missing
        .exited(1)
        .said(&["the app-level token is not set", "AGP_SLACK_APP_TOKEN"]);
    let named = doctor(&governed).env("AGP_SLACK_CHANNEL", "#general").run();
    named.exited(1).said(&["not a channel ID", "About"]);
    let elsewhere = doctor(&governed)
        .env("AGP_SLACK_API_URL", "http://slack.com/api")
        .run();
    elsewhere
        .exited(1)
        .said(&["must be an https or a loopback URL"]);

    config(&governed, &json!({"channel": CHANNEL}));
    doctor(&governed)
        .run()
        .exited(1)
        .said(&["nobody could approve", "\"approvers\""]);
    config(
        &governed,
        &json!({"channel": CHANNEL, "approvers": ["@alice"]}),
    );
    doctor(&governed)
        .run()
        .exited(1)
        .said(&["\"@alice\" is not a user ID"]);
    config(
        &governed,
        &json!({"channel": CHANNEL, "approvers": [ALICE, ALICE]}),
    );
    doctor(&governed)
        .run()
        .exited(1)
        .said(&["lists U0ALICE twice"]);
    config(
        &governed,
        &json!({"channel": CHANNEL, "approvers": [ALICE], "approvalsRequired": 2}),
    );
    doctor(&governed)
        .run()
        .exited(1)
        .said(&["is 2, but slack.approvers lists 1 approver"]);
    config(
        &governed,
        &json!({"channel": CHANNEL, "approvers": [slack::OWN_USER]}),
    );
    doctor(&governed).run().exited(1).said(&["agp's own bot"]);
}

#[test]
fn tokens_in_a_file_that_others_can_read_are_refused() {
    let governed = governed();
    let file = config(
        &governed,
        &json!({
            "channel": CHANNEL, "approvers": [ALICE], "botToken": BOT_TOKEN, "appToken": APP_TOKEN,
        }),
    );
    let from_file = || {
        let doctor = doctor(&governed).without("AGP_SLACK_BOT_TOKEN");
        doctor.without("AGP_SLACK_APP_TOKEN").run()
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    from_file()
        .exited(1)
        .said(&["other users can read", "chmod 600"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    from_file().succeeded().said(&["socket opened"]);
}

#[test]
fn slack_takes_no_automatic_yes() {
    let governed = governed();
    let auto = governed
        .play(&["x"], &[])
        .env("AGP_AUTO_APPROVE", "1")
        .run();
    auto.exited(2).complained(&["works only with the console"]);
}

/// The names and bounds that Slack documents for a manifest, of what agp uses.
#[test]
fn the_manifest_is_one_that_slack_takes() {
    let governed = governed();
    let ran = governed.agp(&["slack", "manifest"]).run().succeeded();
    let manifest: Value = serde_json::from_str(&ran.out).unwrap();
    let keys = |at: &str| -> Vec<&str> {
        let object = manifest.pointer(at).unwrap().as_object().unwrap();
        object.keys().map(String::as_str).collect()
    };
    let text = |at: &str| manifest.pointer(at).unwrap().as_str().unwrap();
    assert_eq!(
        keys(""),
        [
            "display_information",
            "features",
            "oauth_config",
            "settings"
        ]
    );
    assert_eq!(
        keys("/display_information"),
        ["background_color", "description", "name"]
    );
    assert!((1..=35).contains(&text("/display_information/name").chars().count()));
    assert!((1..=140).contains(&text("/display_information/description").chars().count()));
    let color = text("/display_information/background_color")
        .strip_prefix('#')
        .unwrap();
    assert!(matches!(color.len(), 3 | 6) && color.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(keys("/features"), ["bot_user"]);
    assert_eq!(
        keys("/features/bot_user"),
        ["always_online", "display_name"]
    );
    assert!((1..=80).contains(&text("/features/bot_user/display_name").chars().count()));
    assert_eq!(keys("/oauth_config"), ["scopes"]);
    assert_eq!(keys("/oauth_config/scopes"), ["bot"]);
    let expected = json!({
        "interactivity": {"is_enabled": true},
        "org_deploy_enabled": false, "socket_mode_enabled": true, "token_rotation_enabled": false,
    });
    assert_eq!(manifest["settings"], expected);
    // The document invites the app by the name that the manifest gives it.
    let invited = format!("/invite @{}", text("/features/bot_user/display_name"));
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/slack-setup.md");
    assert!(fs::read_to_string(document).unwrap().contains(&invited));
}

/// What connects here was led here by somebody else than the operator.
fn elsewhere() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

#[test]
fn tokens_go_to_no_proxy_and_where_no_redirect_leads() {
    let (nobody, address) = elsewhere();
    let governed = governed();
    let mut start = doctor(&governed);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        start = start.env(name, &address);
        start = start.env(&name.to_lowercase(), &address);
    }
    start.run().succeeded();
    assert!(
        nobody.accept().is_err(),
        "a proxy of the environment's was asked"
    );

    // A Slack that sends its clients away.
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api", api.local_addr().unwrap());
    let location = format!("{address}/api/auth.test");
    let sending = thread::spawn(move || {
        let (mut stream, _) = api.accept().unwrap();
        let mut asked = [0; 4096];
        let got = stream.read(&mut asked).unwrap();
        assert!(String::from_utf8_lossy(&asked[..got]).contains("auth.test"));
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let ran = doctor(&governed).env("AGP_SLACK_API_URL", &url).run();
    ran.exited(1).said(&["HTTP status 307"]);
    sending.join().unwrap();
    assert!(nobody.accept().is_err(), "a redirect was followed");
}

#[test]
fn a_slack_that_is_not_asked_stands_in_nobodys_way() {
    let governed = governed();
    governed
        .double
        .fault_always("auth.test", Some(Fault::Code("token_revoked")));
    let all = || governed.agp(&["doctor"]);
    // What the configuration does not need is marked so, whatever is wrong with it.
    let console = all().env("AGP_CHANNEL", "console").run().succeeded();
    console.said(&["slack        not needed", "token_revoked"]);
    all()
        .run()
        .exited(1)
        .said(&["slack        FAILED", "token_revoked"]);
    let named = doctor(&governed).env("AGP_CHANNEL", "console").run();
    named.exited(1).said(&["FAILED", "token_revoked"]);
}
