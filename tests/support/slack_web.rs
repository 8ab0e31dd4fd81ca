//! The Slack double's Web API: tokens, methods, and the limits of what may be said.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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
            json!({"ok": true, "team_id": TEAM, "user_id": OWN_USER, "bot_id": BOT, "url": "https://x"})
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
        "users.info" | "conversations.info" | "bots.info" if json => refused("invalid_form_data"),
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
        let view = &body["view"];
        if view.to_string().len() > 250_000 {
            return refused("view_too_large");
        }
        let wrong = |part: &str| wrong_text(&view[part], 24, true);
        if view["type"] != "modal" || wrong("title").is_some() || wrong("close").is_some() {
            return refused("invalid_arguments");
        }
        if let Some(problem) = wrong_blocks(&view["blocks"], 100) {
            state.violations.push(problem);
            return refused("invalid_arguments");
        }
        state.views.push(view.clone());
        return json!({"ok": true, "view": {"id": "V1"}});
    }
    if body["channel"] != CHANNEL {
        return refused("channel_not_found");
    }
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
    if text.contains(['<', '>', '`']) || text.contains("http") {
        state
            .violations
            .push(format!("markup in the text outside blocks: {text}"));
    }
    if !body["blocks"].is_null()
        && let Some(problem) = wrong_blocks(&body["blocks"], 50)
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
            let found = state
                .messages
                .iter_mut()
                .find(|posted| body["ts"] == posted.ts.as_str());
            let Some(posted) = found else {
                return refused("message_not_found");
            };
            posted.edits.push(body.clone());
            json!({"ok": true, "channel": CHANNEL, "ts": body["ts"], "text": body["text"]})
        }
        _ => {
            let before = state.messages.last().map(|posted| posted.at);
            // A little sooner on the wire than on agp's clock.
            if before.is_some_and(|at| at.elapsed() < Duration::from_millis(900)) {
                state.violations.push("two messages within a second".into());
            }
            let ts = format!("1700000000.{:06}", state.messages.len() + 1);
            state.messages.push(Posted {
                ts: ts.clone(),
                message: body,
                edits: Vec::new(),
                at: Instant::now(),
            });
            json!({"ok": true, "channel": CHANNEL, "ts": ts, "message": {"ts": ts}})
        }
    }
}

/// The limits of Block Kit, and that nothing of the agent's is live in any text.
fn wrong_blocks(blocks: &Value, most: usize) -> Option<String> {
    let Some(blocks) = blocks.as_array() else {
        return Some("blocks are no list".into());
    };
    if blocks.is_empty() || blocks.len() > most {
        return Some(format!("{} blocks", blocks.len()));
    }
    let mut ids = HashSet::new();
    for block in blocks {
        let id = block["block_id"].as_str();
        if id.is_some_and(|id| id.len() > 255 || !ids.insert(id)) {
            return Some(format!("the block id in {block}"));
        }
        let wrong = match block["type"].as_str().unwrap_or_default() {
            "header" => wrong_text(&block["text"], 150, true),
            "section" => {
                let fields = block["fields"].as_array();
                let fields_wrong = fields.and_then(|fields| {
                    if fields.is_empty() || fields.len() > 10 {
                        return Some("number of fields".to_owned());
                    }
                    fields
                        .iter()
                        .find_map(|field| wrong_text(field, 2000, true))
                });
                let text = (!block["text"].is_null())
                    .then(|| wrong_text(&block["text"], 3000, false))
                    .flatten();
                if block["text"].is_null() && fields.is_none() {
                    Some("an empty section".to_owned())
                } else {
                    fields_wrong.or(text)
                }
            }
            "context" => match block["elements"].as_array() {
                Some(texts) if (1..=10).contains(&texts.len()) => {
                    texts.iter().find_map(|text| wrong_text(text, 3000, false))
                }
                _ => Some("number of elements".to_owned()),
            },
            "actions" => {
                let none = Vec::new();
                let elements = block["elements"].as_array().unwrap_or(&none);
                if elements.is_empty() || elements.len() > 25 {
                    return Some("number of buttons".into());
                }
                let mut actions = HashSet::new();
                elements.iter().find_map(|button| {
                    let value = button["value"].as_str().unwrap_or_default();
                    let action = button["action_id"].as_str().unwrap_or_default();
                    if !(1..=2000).contains(&value.len())
                        || !(1..=255).contains(&action.len())
                        || !actions.insert(action)
                    {
                        return Some("a button".to_owned());
                    }
                    wrong_text(&button["text"], 75, true)
                })
            }
            other => Some(format!("block {other}")),
        };
        if let Some(wrong) = wrong {
            return Some(format!("{wrong} in {block}"));
        }
    }
    None
}

fn wrong_text(text: &Value, most: usize, plain: bool) -> Option<String> {
    let said = text["text"].as_str().unwrap_or_default();
    // As it counts them itself: a character beyond U+FFFF is two.
    let chars = said.encode_utf16().count();
    if !(1..=most).contains(&chars) {
        return Some(format!("{chars} characters"));
    }
    let hidden = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if said.contains(hidden) {
        return Some("a hidden character".into());
    }
    match text["type"].as_str() {
        Some("plain_text") if text["emoji"] == true => Some("emoji".into()),
        Some("plain_text") => None,
        Some("mrkdwn") if plain => Some("mrkdwn where plain_text must stand".into()),
        Some("mrkdwn") => {
            if text["verbatim"] != true {
                return Some("mrkdwn without verbatim".into());
            }
            let mut rest = said.to_owned();
            while let Some(at) = rest.find('<') {
                let Some(end) = rest[at..].find('>').map(|end| at + end) else {
                    break;
                };
                if !is_agps_own(&rest[at + 1..end]) {
                    break;
                }
                rest.replace_range(at..=end, "");
            }
            let fenced = rest
                .strip_prefix("```\n")
                .and_then(|rest| rest.strip_suffix("\n```"));
            if fenced.unwrap_or(&rest).contains(['<', '>', '`']) {
                return Some("live markup".into());
            }
            None
        }
        other => Some(format!("text of type {other:?}")),
    }
}

/// Mentions of people, and the date of a deadline; nothing else may be live.
fn is_agps_own(markup: &str) -> bool {
    let is_id = |id: &str| {
        id.bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let is_date = |date: &str| {
        let (seconds, rest) = date.split_once('^').unwrap_or_default();
        let (shape, instead) = rest.split_once('|').unwrap_or_default();
        seconds.parse::<u64>().is_ok()
            && shape == "{date_short_pretty} at {time_secs}"
            && !instead.is_empty()
    };
    markup.strip_prefix("@U").is_some_and(is_id)
        || markup.strip_prefix("!date^").is_some_and(is_date)
}
