//! Block Kit as the Slack double takes it: a field that it does not know, a length or a count beyond Slack's limits, a
//! name that is there twice, and anything of the agent's that is live or hidden is refused.

use std::collections::HashSet;

use serde_json::Value;

/// Why something is refused.
pub(super) type Wrong = String;
type Checked = Result<(), Wrong>;

/// Characters of a button's text, a label's, a title's.
const BUTTON: usize = 75;
const TITLE: usize = 24;

/// Blocks of a message.
pub(super) fn message_blocks(value: &Value) -> Checked {
    blocks(value, 50, false)
}

/// A modal.
pub(super) fn view(view: &Value) -> Checked {
    only(
        view,
        &["type", "title", "blocks"],
        &["submit", "close", "callback_id", "private_metadata"],
    )?;
    if view["type"] != "modal" {
        return Err("a view that is no modal".into());
    }
    plain(&view["title"], TITLE)?;
    for part in ["submit", "close"] {
        given(&view[part]).map_or(Ok(()), |text| plain(text, TITLE))?;
    }
    for (part, most) in [("callback_id", 255), ("private_metadata", 3000)] {
        given(&view[part]).map_or(Ok(()), |id| short(id, most))?;
    }
    // Slack shows no field without a button that sends it.
    let all = view["blocks"].as_array();
    let asks = all.is_some_and(|all| all.iter().any(|block| block["type"] == "input"));
    if asks && view["submit"].is_null() {
        return Err("an input without submit".into());
    }
    blocks(&view["blocks"], 100, true)
}

fn given(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

fn blocks(value: &Value, most: usize, modal: bool) -> Checked {
    let all = value.as_array().ok_or("blocks are no list")?;
    if !(1..=most).contains(&all.len()) {
        return Err(format!("{} blocks", all.len()));
    }
    let mut ids = HashSet::new();
    for block in all {
        if let Some(id) = given(&block["block_id"]) {
            short(id, 255)?;
            if !ids.insert(id.as_str()) {
                return Err(format!("the id {id} twice"));
            }
        }
        one(block, modal).map_err(|wrong| format!("{wrong} in {block}"))?;
    }
    Ok(())
}

fn one(block: &Value, modal: bool) -> Checked {
    match block["type"].as_str().unwrap_or_default() {
        "header" => {
            only(block, &["type", "text"], &["block_id"])?;
            plain(&block["text"], 150)
        }
        "divider" => only(block, &["type"], &["block_id"]),
        "section" => {
            only(block, &["type"], &["block_id", "text", "fields"])?;
            if block["text"].is_null() && block["fields"].is_null() {
                return Err("an empty section".into());
            }
            given(&block["text"]).map_or(Ok(()), |text| either(text, 3000))?;
            let fields = given(&block["fields"]);
            fields.map_or(Ok(()), |fields| {
                each(fields, 10, |field| either(field, 2000))
            })
        }
        "context" => {
            only(block, &["type", "elements"], &["block_id"])?;
            each(&block["elements"], 10, |text| either(text, 3000))
        }
        "actions" if !modal => {
            only(block, &["type", "elements"], &["block_id"])?;
            let mut actions = HashSet::new();
            each(&block["elements"], 25, |element| {
                if !actions.insert(element["action_id"].to_string()) {
                    return Err("an action twice".into());
                }
                button(element)
            })
        }
        "input" if modal => {
            only(
                block,
                &["type", "label", "element"],
                &["block_id", "hint", "optional"],
            )?;
            plain(&block["label"], 2000)?;
            given(&block["hint"]).map_or(Ok(()), |hint| plain(hint, 2000))?;
            let element = &block["element"];
            only(
                element,
                &["type", "action_id"],
                &["multiline", "max_length", "min_length"],
            )?;
            short(&element["action_id"], 255)?;
            let most = element["max_length"].as_u64();
            if element["type"] != "plain_text_input" || most.is_some_and(|most| most > 3000) {
                return Err("an element".into());
            }
            Ok(())
        }
        other => Err(format!("block {other}")),
    }
}

fn button(button: &Value) -> Checked {
    only(button, &["type", "action_id", "text", "value"], &["style"])?;
    short(&button["action_id"], 255)?;
    short(&button["value"], 2000)?;
    let style = button["style"].as_str();
    if button["type"] != "button"
        || style.is_some_and(|style| !["primary", "danger"].contains(&style))
    {
        return Err("a button".into());
    }
    plain(&button["text"], BUTTON)
}

/// Has these fields, may have those, and no other.
fn only(value: &Value, must: &[&str], may: &[&str]) -> Checked {
    let fields = value.as_object().ok_or("no object")?;
    let missing = must.iter().find(|name| !fields.contains_key(**name));
    let known = |name: &&String| must.contains(&name.as_str()) || may.contains(&name.as_str());
    match (missing, fields.keys().find(|name| !known(name))) {
        (Some(missing), _) => Err(format!("no field {missing}")),
        (None, Some(unknown)) => Err(format!("the field {unknown}")),
        (None, None) => Ok(()),
    }
}

fn each(value: &Value, most: usize, check: impl FnMut(&Value) -> Checked) -> Checked {
    match value.as_array() {
        Some(all) if (1..=most).contains(&all.len()) => all.iter().try_for_each(check),
        _ => Err("number of elements".into()),
    }
}

fn short(value: &Value, most: usize) -> Checked {
    match value.as_str() {
        Some(text) if (1..=most).contains(&text.len()) => Ok(()),
        _ => Err(format!("the name {value}")),
    }
}

fn plain(text: &Value, most: usize) -> Checked {
    match text["type"] == "plain_text" {
        true => either(text, most),
        false => Err("no plain_text where one must stand".into()),
    }
}

fn either(text: &Value, most: usize) -> Checked {
    let said = text["text"].as_str().unwrap_or_default();
    // As it counts them itself: a character beyond U+FFFF is two.
    let chars = said.encode_utf16().count();
    if !(1..=most).contains(&chars) {
        return Err(format!("{chars} characters"));
    }
    if said.contains(is_hidden) {
        return Err("a hidden character".into());
    }
    match text["type"].as_str() {
        Some("plain_text") => {
            only(text, &["type", "text", "emoji"], &[])?;
            match text["emoji"] == false {
                true => Ok(()),
                false => Err("emoji".into()),
            }
        }
        Some("mrkdwn") => {
            only(text, &["type", "text", "verbatim"], &[])?;
            if text["verbatim"] != true {
                return Err("mrkdwn without verbatim".into());
            }
            let rest = without_own(said);
            let fenced = rest
                .strip_prefix("```\n")
                .and_then(|rest| rest.strip_suffix("\n```"));
            match fenced.unwrap_or(&rest).contains(['<', '>', '`']) {
                true => Err("live markup".into()),
                false => Ok(()),
            }
        }
        other => Err(format!("text of type {other:?}")),
    }
}

pub(super) fn is_hidden(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A text without the markup that is agp's own.
pub(super) fn without_own(said: &str) -> String {
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
    rest
}

/// Mentions of people, and a moment; nothing else may be live.
fn is_agps_own(markup: &str) -> bool {
    let is_id = |id: &str| {
        id.bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let is_date = |date: &str| {
        let (seconds, rest) = date.split_once('^').unwrap_or_default();
        let (shape, instead) = rest.split_once('|').unwrap_or_default();
        seconds.parse::<u64>().is_ok()
            && [
                "{date_short_pretty} at {time_secs}",
                "{date_short_pretty} at {time}",
            ]
            .contains(&shape)
            && !instead.is_empty()
    };
    markup.strip_prefix("@U").is_some_and(is_id)
        || markup.strip_prefix("!date^").is_some_and(is_date)
}
