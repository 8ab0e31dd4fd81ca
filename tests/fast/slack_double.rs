//! The Slack double itself: it refuses what Slack refuses, and notes what Slack would let pass in silence.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::slack;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use slack::{APP_TOKEN, BOT_TOKEN, Button, CHANNEL, Click, Moment, SlackDouble};
use tungstenite::{Message, WebSocket};

const JSON: &str = "application/json; charset=utf-8";
const FORM: &str = "application/x-www-form-urlencoded";

/// One request as it stands; gives the head and the body of the answer.
fn request(double: &SlackDouble, line: &str, headers: &str, body: &str) -> (String, Value) {
    let address = double.url().replace("http://", "").replace("/api", "");
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let text =
        format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

fn call(double: &SlackDouble, method: &str, token: &str, kind: &str, body: &str) -> Value {
    let headers = format!("Authorization: Bearer {token}\r\nContent-Type: {kind}\r\n");
    request(double, &format!("POST /api/{method}"), &headers, body).1
}

fn post(double: &SlackDouble, method: &str, body: &Value) -> Value {
    call(double, method, BOT_TOKEN, JSON, &body.to_string())
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn section(text: &Value) -> Value {
    json!({"type": "section", "text": text})
}

fn button(action: &str) -> Value {
    json!({"type": "button", "action_id": action, "value": "v", "text": plain("Go")})
}

fn message(blocks: &Value) -> Value {
    json!({"channel": CHANNEL, "text": "agp", "blocks": blocks})
}

#[test]
fn the_wrong_token_the_wrong_way_or_none_gets_nothing() {
    let double = SlackDouble::start();
    let error = |token: &str, method: &str| call(&double, method, token, FORM, "")["error"].clone();
    assert_eq!(error(APP_TOKEN, "auth.test"), "not_allowed_token_type");
    assert_eq!(
        error(BOT_TOKEN, "apps.connections.open"),
        "not_allowed_token_type"
    );
    assert_eq!(error("xoxb-another", "auth.test"), "invalid_auth");
    assert_eq!(error(BOT_TOKEN, "chat.delete"), "unknown_method");
    let bare = request(&double, "POST /api/auth.test", "", "").1;
    assert_eq!(bare["error"], "not_authed");
    let headers = format!("Authorization: Bearer {BOT_TOKEN}\r\n");
    let get = request(&double, "GET /api/auth.test", &headers, "").1;
    assert_eq!(get["error"], "insecure_request");
    let json = call(&double, "users.info", BOT_TOKEN, JSON, "{}");
    assert_eq!(json["error"], "invalid_form_data");
    assert!(double.violations().is_empty());
    call(
        &double,
        "chat.postMessage",
        BOT_TOKEN,
        "application/json",
        "{}",
    );
    assert_eq!(double.violations(), ["missing_charset"]);
}

#[test]
fn what_is_over_slacks_limits_is_refused_and_noted() {
    let double = SlackDouble::start();
    let long = "x".repeat(3001);
    let wide = "\u{1f600}".repeat(1501);
    let field = |count: usize| json!({"type": "section", "fields": vec![plain("f"); count]});
    let actions = |buttons: Value| json!({"type": "actions", "block_id": "b", "elements": buttons});
    let mut many = button("x");
    many["text"] = plain(&"x".repeat(76));
    let over = [
        json!([]),
        json!(vec![section(&plain("x")); 51]),
        json!([section(&plain(""))]),
        json!([section(&plain(&long))]),
        json!([section(&plain(&wide))]),
        json!([{"type": "section"}]),
        json!([field(0)]),
        json!([field(11)]),
        json!([{"type": "section", "fields": [plain(&"x".repeat(2001))]}]),
        json!([{"type": "header", "text": plain(&"x".repeat(151))}]),
        json!([{"type": "header", "text": mrkdwn("x")}]),
        json!([{"type": "context", "elements": vec![mrkdwn("x"); 11]}]),
        json!([actions(json!([]))]),
        json!([actions(json!(vec![button("x"); 26]))]),
        json!([actions(json!([button("same"), button("same")]))]),
        json!([actions(json!([many]))]),
        json!([actions(json!([button("a")])), actions(json!([button("b")]))]),
        json!([{"type": "actions", "block_id": "x".repeat(256), "elements": [button("a")]}]),
        json!([{"type": "image"}]),
        json!([{"type": "divider", "text": plain("x")}]),
        json!([{"type": "section", "text": plain("x"), "accessory": button("a")}]),
        json!([{"type": "input", "label": plain("x"), "element": {"type": "plain_text_input", "action_id": "a"}}]),
        json!([actions(
            json!([{"type": "button", "action_id": "a", "text": plain("Go"), "value": "v", "url": "x"}])
        )]),
        json!([{}]),
    ];
    for blocks in &over {
        let reply = post(&double, "chat.postMessage", &message(blocks));
        assert_eq!(reply["error"], "invalid_blocks", "{blocks}");
        assert_eq!(double.violations().len(), 1, "{blocks}");
    }
    for (method, text) in [
        ("chat.update", "x".repeat(4001)),
        ("chat.postMessage", "x".repeat(40_001)),
    ] {
        let reply = post(&double, method, &json!({"channel": CHANNEL, "text": text}));
        assert_eq!(reply["error"], "msg_too_long");
    }
    let silent = post(
        &double,
        "chat.postMessage",
        &json!({"channel": CHANNEL, "text": ""}),
    );
    assert_eq!(silent["error"], "no_text");
    let lost = post(
        &double,
        "chat.postMessage",
        &json!({"channel": "C0OTHER", "text": "x"}),
    );
    assert_eq!(lost["error"], "channel_not_found");
    let none = post(
        &double,
        "chat.update",
        &json!({"channel": CHANNEL, "text": "x", "ts": "1.1"}),
    );
    assert_eq!(none["error"], "message_not_found");
    assert!(double.messages().is_empty());
}

#[test]
fn what_would_be_live_or_unseen_is_refused() {
    let double = SlackDouble::start();
    for bad in [
        mrkdwn("<!channel>"),
        mrkdwn("<https://x.example|safe>"),
        mrkdwn("<@U1|x> and <!here>"),
        mrkdwn("<!date^1^{time}|now>"),
        mrkdwn("```\n``` *out*\n```"),
        mrkdwn("a `b`"),
        mrkdwn("a < b"),
        plain("\u{202e}x"),
        plain("x\u{200b}"),
        json!({"type": "mrkdwn", "text": "https://x.example"}),
        json!({"type": "plain_text", "text": ":smile:", "emoji": true}),
    ] {
        let reply = post(
            &double,
            "chat.postMessage",
            &message(&json!([section(&bad)])),
        );
        assert_eq!(reply["error"], "invalid_blocks", "{bad}");
        assert_eq!(double.violations().len(), 1, "{bad}");
    }
    // agp's own markup passes.
    let fine = [
        mrkdwn("*Approved* by <@U0ALICE>"),
        mrkdwn("<!date^1700000000^{date_short_pretty} at {time_secs}|then>"),
        mrkdwn("```\n│ a &lt;b&gt;\n```"),
    ];
    let blocks: Vec<Value> = fine.iter().map(section).collect();
    assert_eq!(
        post(&double, "chat.postMessage", &message(&json!(blocks)))["ok"],
        true
    );
    // A text outside of blocks is read for markup.
    thread::sleep(Duration::from_secs(1));
    post(
        &double,
        "chat.postMessage",
        &json!({"channel": CHANNEL, "text": "<!here>"}),
    );
    assert_eq!(double.violations().len(), 1);
}

/// Blocks with a button of this nonce.
fn armed(nonce: &str) -> Value {
    let mut allow = button("allow");
    allow["value"] = json!(nonce);
    json!([section(&plain("x")), {"type": "actions", "block_id": "b", "elements": [allow]}])
}

#[test]
fn buttons_come_by_an_edit_once_and_their_nonce_is_nowhere_else() {
    let double = SlackDouble::start();
    double.allow_bursts();
    let (one, other) = ("1".repeat(32), "2".repeat(32));
    let card = |blocks: &Value| post(&double, "chat.postMessage", &message(blocks))["ts"].clone();
    let edit = |ts: &Value, blocks: &Value| {
        let body = json!({"channel": CHANNEL, "text": "x", "ts": ts, "blocks": blocks});
        post(&double, "chat.update", &body);
        double.violations()
    };
    let bare = json!([section(&plain("x"))]);
    let (first, second) = (card(&bare), card(&bare));
    assert!(double.armed().is_empty());
    // With its buttons, the same again, and without them: as it should be.
    assert!(edit(&first, &armed(&one)).is_empty());
    assert!(edit(&first, &armed(&one)).is_empty());
    assert_eq!(double.armed().len(), 1);
    assert!(edit(&first, &bare).is_empty());
    assert!(double.armed().is_empty() && double.cards().len() == 1);
    for (ts, blocks, minded) in [
        (&first, armed(&one), "got its buttons twice"),
        (&second, armed(&one), "in two messages"),
    ] {
        let violations = edit(ts, &blocks);
        assert!(violations[0].contains(minded), "{violations:?}");
    }
    card(&armed(&other));
    assert_eq!(
        double.violations(),
        ["a message was posted with its buttons"]
    );
    card(&json!([section(&plain(&one))]));
    assert!(double.violations()[0].contains("is in another message"));
}

#[test]
fn a_call_is_met_at_each_of_its_moments() {
    for (moment, done) in [
        (Moment::Asked, 0),
        (Moment::Doing, 1),
        (Moment::Done, 1),
        (Moment::Answered, 1),
    ] {
        let double = SlackDouble::start();
        let (said, heard) = std::sync::mpsc::channel();
        double.at("chat.postMessage", &["this one"], moment, move || {
            said.send(()).unwrap();
        });
        let say = |text: &str| json!({"channel": CHANNEL, "text": text}).to_string();
        let headers = format!("Authorization: Bearer {BOT_TOKEN}\r\nContent-Type: {JSON}\r\n");
        let mut stream =
            TcpStream::connect(double.url().replace("http://", "").replace("/api", "")).unwrap();
        let body = say("this one");
        let length = body.len();
        let text = format!(
            "POST /api/chat.postMessage HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        heard.recv().unwrap();
        let answered = matches!(moment, Moment::Doing | Moment::Answered);
        assert_eq!(
            answer.contains("\"ok\":true"),
            answered,
            "{moment:?}: {answer}"
        );
        assert_eq!(double.messages().len(), done, "{moment:?}");
    }
}

#[test]
fn messages_faster_than_one_a_second_are_noted() {
    let double = SlackDouble::start();
    let say = || {
        post(
            &double,
            "chat.postMessage",
            &json!({"channel": CHANNEL, "text": "x"}),
        )
    };
    say();
    thread::sleep(Duration::from_secs(1));
    say();
    assert!(double.violations().is_empty());
    say();
    assert_eq!(double.violations(), ["two messages within a second"]);
}

#[test]
fn a_modal_opens_once_for_a_click_and_only_soon_after_it() {
    let double = SlackDouble::start();
    let mut socket = connect(&double);
    let open = |trigger: &Value, view: Value| {
        post(
            &double,
            "views.open",
            &json!({"trigger_id": trigger, "view": view}),
        )["error"]
            .clone()
    };
    let view = || json!({"type": "modal", "title": plain("T"), "close": plain("C"), "blocks": [section(&plain("x"))]});
    let click = || {
        let click = a_click();
        double.click_on(0, &click);
        click.0["trigger_id"].clone()
    };
    assert_eq!(open(&json!("made-up"), view()), "invalid_trigger_id");
    let (first, late) = (click(), click());
    assert_eq!(open(&first, view()), Value::Null);
    assert_eq!(open(&first, view()), "exchanged_trigger_id");
    let with = |at: &str, what: Value| {
        let mut view = view();
        view[at] = what;
        view
    };
    let blocks = json!(vec![section(&plain(&"x".repeat(2990))); 90]);
    assert_eq!(open(&click(), with("blocks", blocks)), "view_too_large");
    assert_eq!(
        open(&click(), with("title", plain(&"x".repeat(25)))),
        "invalid_arguments"
    );
    assert_eq!(
        open(&click(), with("external_id", json!("x"))),
        "invalid_arguments"
    );
    let field = json!({"type": "plain_text_input", "action_id": "a"});
    let input = json!([{"type": "input", "label": plain("x"), "element": field}]);
    assert_eq!(open(&click(), with("blocks", input)), "invalid_arguments");
    assert_eq!(
        open(&click(), with("blocks", json!([]))),
        "invalid_arguments"
    );
    assert_eq!(double.violations().len(), 4);
    thread::sleep(Duration::from_millis(3100));
    assert_eq!(open(&late, view()), "expired_trigger_id");
    // Nobody has acknowledged the clicks.
    assert_eq!(double.views().len(), 1);
    assert_eq!(double.violations().len(), 7);
    for _ in 0..7 {
        double.acked(&acknowledge(&mut socket));
    }
    double.forget();
}

fn a_click() -> Click {
    let button = Button {
        ts: "1.1".into(),
        block: "b".into(),
        action: "allow".into(),
        value: "v".into(),
    };
    Click::of(&button, "U1")
}

fn connect(double: &SlackDouble) -> WebSocket<TcpStream> {
    let reply = call(double, "apps.connections.open", APP_TOKEN, FORM, "");
    let url = reply["url"].as_str().unwrap();
    let address = url.replace("ws://", "");
    let stream = TcpStream::connect(address.split('/').next().unwrap()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let (mut socket, _) = tungstenite::client(url, stream).unwrap();
    let hello: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(
        (&hello["type"], &hello["num_connections"]),
        (&json!("hello"), &json!(1))
    );
    socket
}

/// Reads up to an envelope, and acknowledges it.
fn acknowledge(socket: &mut WebSocket<TcpStream>) -> String {
    loop {
        let message = socket.read().unwrap();
        let Ok(envelope) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default())
        else {
            continue;
        };
        if let Some(id) = envelope["envelope_id"].as_str() {
            let ack = json!({ "envelope_id": id }).to_string();
            socket.send(Message::text(ack)).unwrap();
            return id.to_owned();
        }
    }
}

/// What is noted, once something is.
fn noted(double: &SlackDouble) -> Vec<String> {
    double.wait("a note", |double| {
        let all = double.violations();
        (!all.is_empty()).then_some(all)
    })
}

#[test]
fn acknowledgements_are_wanted_once_on_their_connection_and_bare() {
    let double = SlackDouble::start();
    let mut socket = connect(&double);
    let sent = double.click_on(0, &a_click());
    assert_eq!(acknowledge(&mut socket), sent);
    double.acked(&sent);
    assert!(double.violations().is_empty());
    let mut say = |text: &str| socket.send(Message::text(text)).unwrap();
    say(&json!({ "envelope_id": sent }).to_string());
    assert_eq!(noted(&double), [format!("a second ack for {sent}")]);
    say(&json!({ "envelope_id": "other" }).to_string());
    assert!(noted(&double)[0].contains("was not sent on this connection"));
    say("no JSON");
    assert!(noted(&double)[0].contains("no JSON"));
    let next = double.click_on(0, &a_click());
    say(&json!({ "envelope_id": next, "payload": {} }).to_string());
    assert!(noted(&double)[0].contains("a payload in the ack"));
}

#[test]
fn an_acknowledgement_that_is_missing_or_late_is_noted() {
    let double = SlackDouble::start();
    let mut socket = connect(&double);
    double.click_on(0, &a_click());
    assert!(double.violations().is_empty());
    thread::sleep(Duration::from_millis(3100));
    let missing = noted(&double);
    assert!(
        missing[0].contains("not acknowledged within 3 s"),
        "{missing:?}"
    );
    let id = acknowledge(&mut socket);
    double.acked(&id);
    assert_eq!(double.violations(), missing, "too late is as bad as never");
    double.forget();
}

#[test]
fn an_address_is_for_one_connection() {
    let double = SlackDouble::start();
    let reply = call(&double, "apps.connections.open", APP_TOKEN, FORM, "");
    let url = reply["url"].as_str().unwrap().to_owned();
    let address = url.replace("ws://", "");
    let address = address.split('/').next().unwrap();
    let (_first, _) = tungstenite::client(&url, TcpStream::connect(address).unwrap()).unwrap();
    assert!(tungstenite::client(&url, TcpStream::connect(address).unwrap()).is_err());
    assert!(noted(&double)[0].contains("was used twice"));
}

#[test]
fn a_message_that_slack_minds_fails_the_test_that_sent_it() {
    let failed = thread::spawn(|| {
        let double = SlackDouble::start();
        post(&double, "chat.postMessage", &message(&json!([])));
    });
    assert!(failed.join().is_err());
}
