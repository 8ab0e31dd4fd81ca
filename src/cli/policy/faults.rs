//! Every fault of a policy: each is found as the first one of a text without the parts that hold those before it.

use serde_json::Value;

use super::places::{Place, places};
use super::warnings::Finding;
use crate::policy::{LayerError, Policy, PolicyError};

/// Faults that are said; whoever has more mends these first.
const FAULTS: usize = 50;

/// A part of a policy that can be left out: a member, or an item of a list in it.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// From its first byte to the one behind its last.
    at: (usize, usize),
    /// The whole of the object or list that it stands in, without its brackets.
    within: (usize, usize),
}

/// Why a text is no policy, by `load`; nothing where it is one.
pub(super) fn faults(
    text: &str,
    load: impl Fn(&[u8]) -> Result<Policy, PolicyError>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut parts = parts(text);
    let mut wholes: Vec<(usize, usize)> = parts.iter().map(|part| part.within).collect();
    // The outer one first: it brings back what it holds.
    wholes.sort_unstable();
    wholes.dedup();
    let mut rest = text.to_owned();
    while findings.len() < FAULTS {
        let Err(error) = load(rest.as_bytes()) else {
            break;
        };
        let finding = fault(&rest, &error);
        // What is left may lack what was left out.
        let left_out = rest != text;
        let place = finding.place.and_then(|place| offset(text, place));
        let Some(at) = place.and_then(|place| smallest(&parts, place)) else {
            if !left_out {
                findings.push(finding);
            }
            break;
        };
        findings.push(finding);
        let gone = parts.remove(at);
        // What stands in it is gone, too.
        parts.retain(|part| !(part.at.0 >= gone.at.0 && part.at.1 <= gone.at.1));
        rest = without(text, &wholes, &parts);
    }
    findings
}

/// Why a policy does not load, with where.
fn fault(text: &str, error: &PolicyError) -> Finding {
    let (place, message) = match error {
        PolicyError::Text {
            line,
            column,
            problem,
        } => (Some((*line, *column)), problem.clone()),
        PolicyError::Layer(error) => (place_of(text, error), error.to_string()),
        other => (None, other.to_string()),
    };
    Finding {
        error: true,
        kind: "error",
        place,
        rule: None,
        message,
    }
}

/// Where what does not fit stands: an id of `drop`, a rule by its id, or `base` itself.
fn place_of(text: &str, error: &LayerError) -> Option<Place> {
    let document: Value = serde_json::from_str(text).ok()?;
    let places = places(text);
    let item = |list: &str, is: &dyn Fn(&Value) -> bool| {
        let at = document.get(list)?.as_array()?.iter().position(is)?;
        places.get(&format!("/{list}/{at}")).copied()
    };
    match error {
        LayerError::UnknownDrop { rule, .. } => item("drop", &|id| id == rule),
        LayerError::Taken { rule, .. } | LayerError::Loosens(rule) => {
            item("rules", &|own| own.get("id").is_some_and(|id| id == rule))
        }
        LayerError::UnknownBase(_) | LayerError::Over(..) => places.get("/base").copied(),
        LayerError::MoreThanRules | LayerError::NotAFile => None,
    }
}

/// The byte at a place; the last one of its line where the place is behind it.
fn offset(text: &str, (line, column): Place) -> Option<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum();
    Some(start + column.saturating_sub(1))
}

/// The smallest part at a byte.
fn smallest(parts: &[Part], place: usize) -> Option<usize> {
    let holds = |part: &Part| part.at.0 <= place && place <= part.at.1;
    let size = |part: &Part| part.at.1 - part.at.0;
    let holding = parts.iter().enumerate().filter(|(_, part)| holds(part));
    holding.min_by_key(|(_, part)| size(part)).map(|(at, _)| at)
}

/// An object or a list that is read.
#[derive(Default)]
struct Open {
    /// Its bracket.
    at: usize,
    /// Where the part began that is read now.
    began: Option<usize>,
    parts: Vec<(usize, usize)>,
}

/// The members of the whole, and the items of lists among them. None where the text is no JSON.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return parts;
    }
    let mut open: Vec<Open> = Vec::new();
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if byte.is_ascii_whitespace() || byte == b':' {
            continue;
        }
        if let Some(open) = open.last_mut() {
            match (byte, open.began) {
                (b',' | b']' | b'}', Some(began)) => {
                    open.parts.push((began, at));
                    open.began = None;
                }
                (b',' | b']' | b'}', None) | (_, Some(_)) => {}
                (_, None) => open.began = Some(at),
            }
        }
        match byte {
            b'"' => {
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            b'{' | b'[' => open.push(Open {
                at,
                ..Open::default()
            }),
            b'}' | b']' => {
                if let Some(closed) = open.pop()
                    && (open.is_empty() || open.len() == 1 && byte == b']')
                {
                    let within = (closed.at + 1, at);
                    parts.extend(closed.parts.into_iter().map(|at| Part { at, within }));
                }
            }
            _ => {}
        }
    }
    parts
}

/// The text with these parts alone; every byte that stays is where it was.
fn without(text: &str, wholes: &[(usize, usize)], parts: &[Part]) -> String {
    let blank = |byte: u8| match byte {
        b'\n' => b'\n',
        _ => b' ',
    };
    let mut bytes: Vec<u8> = text.bytes().collect();
    for within in wholes {
        let held = parts.iter().filter(|part| part.within == *within);
        let mut held: Vec<(usize, usize)> = held.map(|part| part.at).collect();
        held.sort_unstable();
        for byte in bytes.get_mut(within.0..within.1).into_iter().flatten() {
            *byte = blank(*byte);
        }
        for (number, (start, end)) in held.iter().enumerate() {
            let from = text.as_bytes().get(*start..*end).unwrap_or_default();
            if let Some(to) = bytes.get_mut(*start..*end) {
                to.copy_from_slice(from);
            }
            if number + 1 < held.len()
                && let Some(comma) = bytes.get_mut(*end)
            {
                *comma = b',';
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}
