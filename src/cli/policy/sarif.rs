//! Findings as SARIF 2.1.0, which code hosts and editors read.

use std::path::Path;

use serde_json::{Value, json};

use super::warnings::{Finding, KINDS};

/// A log of one run.
pub(super) fn log<'a>(files: impl Iterator<Item = (&'a Path, &'a [Finding])>) -> Value {
    let rules = KINDS
        .iter()
        .map(|(id, text)| json!({"id": id, "shortDescription": {"text": text}}));
    let findings = files.flat_map(|(path, findings)| {
        let uri = uri(path);
        findings.iter().map(move |finding| (uri.clone(), finding))
    });
    let results = findings.map(|(uri, finding)| {
        let mut physical = json!({"artifactLocation": {"uri": uri}});
        if let (Some((line, column)), Some(physical)) = (finding.place, physical.as_object_mut()) {
            let region = json!({"startLine": line, "startColumn": column.max(1)});
            physical.insert("region".to_owned(), region);
        }
        let message = match &finding.rule {
            Some(rule) => format!("rule {rule}: {}", finding.message),
            None => finding.message.clone(),
        };
        json!({
            "ruleId": finding.kind,
            "level": match finding.error { true => "error", false => "warning" },
            "message": {"text": message},
            "locations": [{"physicalLocation": physical}],
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "agp",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            }},
            "columnKind": "utf16CodeUnits",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

/// A path as a URI: absolute as `file://`, else relative. What a URI cannot hold is escaped.
fn uri(path: &Path) -> String {
    let mut uri = match path.is_absolute() {
        true => "file://".to_owned(),
        false => String::new(),
    };
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
