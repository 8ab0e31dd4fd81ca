//! Tests of the parser: tables, and the real bash as the reference.

mod against_bash;
mod tables;

use super::ast::{NodeId, Part, Script, Word};

/// A word in short: `'..'` what is quoted, `<..>` a pattern, `~` a tilde, `$` and the like an expansion.
fn brief(word: &Word) -> String {
    let mut out = String::new();
    for part in &word.parts {
        out.push_str(&match part {
            Part::Literal(text) => text.clone(),
            Part::Quoted(text) => format!("'{text}'"),
            Part::Tilde(user) => format!("~{user}"),
            Part::Glob(text) => format!("<{text}>"),
            Part::Parameter { parameter, quoted } => {
                format!("${}{}", if *quoted { "q" } else { "" }, parameter.name)
            }
            Part::Command { body, quoted } => format!(
                "$({}{})",
                if *quoted { "q" } else { "" },
                body.map_or(String::new(), |NodeId(id)| id.to_string())
            ),
            Part::Process { .. } => "<()".to_owned(),
            Part::Arithmetic { expression, .. } => format!("$(({}))", brief(expression)),
        });
    }
    out
}

fn script(text: &str) -> Script {
    super::parse(text).unwrap_or_else(|why| panic!("{text:?}: {why:?}"))
}
