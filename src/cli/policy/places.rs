//! Where the values of a JSON text stand. The text is one that a strict reader has taken.

use std::collections::HashMap;

/// Line and column, both from 1; the column in bytes.
pub(super) type Place = (usize, usize);

/// Values deeper than this have no place: `/rules/0/when/command/0` lies five deep.
const DEPTH: usize = 6;

enum Level {
    /// With the position of the next item.
    Array(usize),
    /// With the name of the value that comes next.
    Object(Option<String>),
}

/// The place of each value by its JSON pointer.
pub(super) fn places(text: &str) -> HashMap<String, Place> {
    let mut places = HashMap::new();
    let mut levels: Vec<Level> = Vec::new();
    let (mut line, mut start) = (1, 0);
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\n' => (line, start) = (line + 1, at + 1),
            b' ' | b'\t' | b'\r' | b':' => {}
            b',' => {
                if let Some(Level::Array(next)) = levels.last_mut() {
                    *next += 1;
                }
            }
            b']' | b'}' => {
                levels.pop();
                value_over(&mut levels);
            }
            _ => {
                let mut end = at + 1;
                if byte == b'"' {
                    while let Some((next, byte)) = bytes.next() {
                        end = next + 1;
                        match byte {
                            b'"' => break,
                            b'\\' => drop(bytes.next()),
                            _ => {}
                        }
                    }
                    if let Some(Level::Object(name @ None)) = levels.last_mut() {
                        let text = text.get(at..end).unwrap_or_default();
                        *name = Some(serde_json::from_str(text).unwrap_or_default());
                        continue;
                    }
                }
                if levels.len() <= DEPTH {
                    places.insert(pointer(&levels), (line, at - start + 1));
                }
                match byte {
                    b'[' => levels.push(Level::Array(0)),
                    b'{' => levels.push(Level::Object(None)),
                    b'"' => value_over(&mut levels),
                    _ => {
                        let goes_on = |next: &(usize, u8)| !b",]} \t\r\n".contains(&next.1);
                        while bytes.next_if(goes_on).is_some() {}
                        value_over(&mut levels);
                    }
                }
            }
        }
    }
    places
}

fn value_over(levels: &mut [Level]) {
    if let Some(Level::Object(name)) = levels.last_mut() {
        *name = None;
    }
}

fn pointer(levels: &[Level]) -> String {
    let mut pointer = String::new();
    for level in levels {
        pointer.push('/');
        match level {
            Level::Array(next) => pointer.push_str(&next.to_string()),
            Level::Object(name) => {
                let name = name.as_deref().unwrap_or_default();
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_place() {
        let text = "{\n  \"a/b\": [1, {\"c\": \"x\\\"]\"},\n   true], \"d\": {}\n}\n";
        let places = places(text);
        for (pointer, place) in [
            ("", (1, 1)),
            ("/a~1b", (2, 10)),
            ("/a~1b/0", (2, 11)),
            ("/a~1b/1/c", (2, 20)),
            ("/a~1b/2", (3, 4)),
            ("/d", (3, 16)),
        ] {
            assert_eq!(places.get(pointer), Some(&place), "{pointer}");
        }
        assert_eq!(places.len(), 7);
    }
}
