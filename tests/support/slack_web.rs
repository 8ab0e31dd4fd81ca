//! The Slack double's Web API: tokens, methods, and the limits of what may be said.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::blocks::{is_hidden, message_blocks, view, without_own};
use super::cards::{wrong_edit, wrong_post};
use super::http::header;
use super::{ACK, APP, APP_TOKEN, BOT, BOT_TOKEN, CHANNEL, OWN_USER, Posted, State, TEAM, Trigger};

fn refused(code: &str) -> Value {
    json!({"ok": false, "error": code})
}

pub(super) fn perform(
    method: &str,
    head: &str,
    body: &[u8],
    port: u16,
    state: &Mutex<State>,
    tls: bool,
) -> Value {
    let mut state = state.lock().unwrap();
    let wanted = if method == "apps.connections.open" {
        APP_TOKEN
    } else {
        BOT_TOKEN
    };
    match header(head, "authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        None => return refused("not_authed"),
        Some(token) if token == wanted => {}
        Some(token) if token == APP_TOKEN || token == BOT_TOKEN => {
            return refused("not_allowed_token_type");
        }
        Some(_) => return refused("invalid_auth"),
    }
    if !head.starts_with("POST ") {
        return refused("insecure_request");
    }
    let text = String::from_utf8(body.to_vec()).unwrap();
    let form: HashMap<&str, &str> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let json =
        header(head, "content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if json
        && !header(head, "content-type")
            .unwrap()
            .contains("charset=utf-8")
    {
        state.violations.push("missing_charset".into());
    }
    match method {
        "auth.test" => {
            let identity = json!({
                "ok": true, "team_id": TEAM, "user_id": OWN_USER, "bot_id": BOT, "url": "https://x",
                "is_enterprise_install": false,
            });
            with(identity, Some(&state.identity))
        }
        "apps.connections.open" => {
            let ticket = format!("ticket-{}", state.tickets.len());
            state.tickets.insert(ticket.clone(), false);
            let base = if tls {
                format!("wss://localhost:{port}")
            } else {
                format!("ws://127.0.0.1:{port}")
            };
            json!({"ok": true, "url": format!("{base}/link/?ticket={ticket}&app_id={APP}")})
        }
        "users.info" | "conversations.info" | "conversations.members" | "bots.info" if json => {
            refused("invalid_form_data")
        }
        "users.info" => {
            let user = form.get("user").copied().unwrap_or_default();
            match state.people.get(user) {
                Some(Value::Null) => refused("user_not_found"),
                said => {
                    json!({"ok": true, "user": with(json!({"id": user, "is_bot": false, "deleted": false}), said)})
                }
            }
        }
        "conversations.info" if form.get("channel") != Some(&CHANNEL) => {
            refused("channel_not_found")
        }
        "conversations.info" => {
            let channel = json!({"id": CHANNEL, "is_member": true, "is_archived": false});
            json!({"ok": true, "channel": with(channel, Some(&state.channel))})
        }
        "conversations.members" if form.get("channel") != Some(&CHANNEL) => {
            refused("channel_not_found")
        }
        // One on a page: whoever takes the first page for all is found out.
        "conversations.members" => {
            let at = form.get("cursor").map_or(Ok(0), |cursor| cursor.parse());
            let Ok(at) = at.map(|at: usize| at) else {
                return refused("invalid_cursor");
            };
            let members = state.members.clone().unwrap_or_else(|| {
                vec![
                    OWN_USER.to_owned(),
                    "U0ALICE".to_owned(),
                    "U0BOB".to_owned(),
                ]
            });
            let next = match at + 1 < members.len() {
                true => (at + 1).to_string(),
                false => String::new(),
            };
            json!({"ok": true, "members": members.get(at..=at).unwrap_or_default(),
                "response_metadata": {"next_cursor": next}})
        }
        "bots.info" if form.get("bot") != Some(&BOT) => refused("bot_not_found"),
        "bots.info" => {
            let app = state.bot_app.as_deref().unwrap_or(APP);
            json!({"ok": true, "bot": {"id": BOT, "app_id": app, "user_id": OWN_USER}})
        }
        "chat.postMessage" | "chat.update" | "chat.postEphemeral" | "views.open" => {
            let Ok(body) = serde_json::from_str(&text) else {
                return refused("invalid_json");
            };
            say(&mut state, method, body)
        }
        _ => refused("unknown_method"),
    }
}

/// One object, with what another says instead.
fn with(mut one: Value, other: Option<&Value>) -> Value {
    if let (Some(one), Some(other)) = (one.as_object_mut(), other.and_then(Value::as_object)) {
        one.extend(other.clone());
    }
    one
}

fn say(state: &mut State, method: &str, body: Value) -> Value {
    if method == "views.open" {
        let trigger = body["trigger_id"].as_str().unwrap_or_default();
        let used = state.triggers.get_mut(trigger);
        match used.map(|trigger| std::mem::replace(trigger, Trigger::Used)) {
            None => return refused("invalid_trigger_id"),
            Some(Trigger::Used) => return refused("exchanged_trigger_id"),
            Some(Trigger::Fresh(since)) if since.elapsed() > ACK => {
                return refused("expired_trigger_id");
            }
            Some(Trigger::Fresh(_)) => {}
        }
        let shown = &body["view"];
        if shown.to_string().len() > 250_000 {
            return refused("view_too_large");
        }
        if let Err(problem) = view(shown) {
            state.violations.push(problem);
            return refused("invalid_arguments");
        }
        state.views.push(shown.clone());
        return json!({"ok": true, "view": {"id": "V1"}});
    }
    if body["channel"] != CHANNEL {
        return refused("channel_not_found");
    }
    let body = if state.mentions_channel {
        let unmentioned = body.to_string().replace("<!channel>", "@channel");
        serde_json::from_str(&unmentioned).unwrap()
    } else {
        body
    };
    let text = body["text"].as_str().unwrap_or_default();
    if text.is_empty() {
        return refused("no_text");
    }
    let most = if method == "chat.update" {
        4000
    } else {
        40_000
    };
    if text.chars().count() > most {
        return refused("msg_too_long");
    }
    let text = without_own(text);
    if text.contains(['<', '>', '`']) || text.contains(is_hidden) || text.contains('\n') {
        let noted = format!("markup in the text outside blocks: {text}");
        state.violations.push(noted);
    }
    // Or Slack looks for names and links in it.
    if body["parse"] == "full" || body["link_names"] == true || body["unfurl_links"] == true {
        state.violations.push("a text that is parsed".into());
    }
    if !body["blocks"].is_null()
        && let Err(problem) = message_blocks(&body["blocks"])
    {
        state.violations.push(problem);
        return refused("invalid_blocks");
    }
    match method {
        "chat.postEphemeral" => {
            state.ephemerals.push(body);
            json!({"ok": true, "message_ts": "1.1"})
        }
        "chat.update" => {
            let mut messages = state.messages.iter();
            let found = messages.position(|posted| body["ts"] == posted.ts.as_str());
            let Some(at) = found else {
                return refused("message_not_found");
            };
            let wrong = wrong_edit(state, at, &body);
            state.violations.extend(wrong);
            state.messages[at].edits.push(body.clone());
            state.messages[at].edited = Some(Instant::now());
            json!({"ok": true, "channel": CHANNEL, "ts": body["ts"], "text": body["text"]})
        }
        _ => {
            let before = state.messages.last().map(|posted| posted.at);
            // A little sooner on the wire than on agp's clock.
            if !state.bursts && before.is_some_and(|at| at.elapsed() < Duration::from_millis(900)) {
                state.violations.push("two messages within a second".into());
            }
            let wrong = wrong_post(state, &body);
            state.violations.extend(wrong);
            let ts = format!("1700000000.{:06}", state.messages.len() + 1);
            state.messages.push(Posted {
                ts: ts.clone(),
                message: body,
                edits: Vec::new(),
                at: Instant::now(),
                edited: None,
            });
            json!({"ok": true, "channel": CHANNEL, "ts": ts, "message": {"ts": ts}})
        }
    }
}
