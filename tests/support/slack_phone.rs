//! A message of Slack's as a phone shows it: for stored renderings, so that a change of it is seen.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use serde_json::Value;

/// Columns of a phone held upright.
const COLUMNS: usize = 42;

/// The blocks, row by row.
pub(crate) fn rows(blocks: &Value) -> Vec<String> {
    let mut rows = Vec::new();
    for block in blocks.as_array().unwrap() {
        match block["type"].as_str().unwrap() {
            "header" => rows.extend(wrapped(&text(&block["text"]), "# ")),
            "actions" => {
                let buttons = block["elements"].as_array().unwrap();
                let buttons = buttons.iter().map(|button| text(&button["text"]));
                // A long one is cut by the phone.
                let label = |text: String| text.chars().take(COLUMNS - 4).collect::<String>();
                rows.extend(buttons.map(|text| format!("[ {} ]", label(text))));
            }
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                let texts: Vec<String> = elements.iter().map(text).collect();
                rows.extend(wrapped(&texts.join(" "), "  "));
            }
            "input" => {
                rows.extend(wrapped(&text(&block["label"]), ""));
                rows.push(format!("[{:40}]", ""));
                rows.extend(wrapped(&text(&block["hint"]), "  "));
            }
            _ => {
                if !block["text"].is_null() {
                    let said = text(&block["text"]);
                    let fenced = said
                        .strip_prefix("```\n")
                        .and_then(|said| said.strip_suffix("\n```"));
                    match fenced {
                        Some(lines) => {
                            rows.push("┌".into());
                            rows.extend(lines.split('\n').flat_map(|line| code(line, "  ")));
                            rows.push("└".into());
                        }
                        None => rows.extend(wrapped(&said, "")),
                    }
                }
                let none = Vec::new();
                let fields = block["fields"].as_array().unwrap_or(&none);
                rows.extend(fields.iter().flat_map(|field| {
                    let field = text(field);
                    let lines: Vec<&str> = field.split('\n').collect();
                    wrapped(&lines.join(": "), "")
                }));
            }
        }
    }
    rows
}

/// A text as it is shown: moments as one that does not change, people by their names, entities as what they stand for.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, markup)) = rest.split_once('<') {
        let (markup, after) = markup.split_once('>').unwrap();
        out.push_str(before);
        match markup.strip_prefix("@U0") {
            Some(name) => out.push_str(&format!("@{}", name.to_lowercase())),
            None if markup.starts_with("!date^") => out.push_str("today at 14:05"),
            None => out.push_str(&markup.replace('!', "@")),
        }
        rest = after;
    }
    out.push_str(rest);
    let out = out.replace("&lt;", "<").replace("&gt;", ">");
    out.replace("&amp;", "&")
}

fn text(object: &Value) -> String {
    let said = object["text"].as_str().unwrap();
    match object["type"] == "mrkdwn" {
        true => shown(said),
        false => said.to_owned(),
    }
}

/// Rows of a phone's width, wrapped between words.
fn wrapped(text: &str, before: &str) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match rows.last_mut() {
            Some(row) if row.chars().count() + word.chars().count() < COLUMNS => {
                row.push(' ');
                row.push_str(word);
            }
            _ => rows.extend(code(word, before)),
        }
    }
    rows
}

/// The same, wrapped at any character.
fn code(line: &str, before: &str) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    let width = COLUMNS - before.chars().count();
    chars
        .chunks(width)
        .map(|row| format!("{before}{}", row.iter().collect::<String>().trim_end()))
        .collect()
}
