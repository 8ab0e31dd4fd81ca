//! `sqlite3` and `duckdb`: their own commands and functions name files and run programs.

use crate::reading::programs::parse::Parsed;
use crate::reading::programs::{Context, HandOn, Invocation};
use crate::reading::word::Word;

/// Commands whose first operand is a file that is read.
const READ: [&str; 4] = ["read", "import", "restore", "load"];

/// Commands whose last operand is a file that is written.
const WRITTEN: [&str; 9] = [
    "output", "once", "save", "backup", "clone", "log", "excel", "open", "trace",
];

/// `sqlite3 DATABASE COMMAND...`: every text is read line by line.
pub(super) fn sqlite(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let commands = parsed.values("-cmd").map(|(at, word)| (*at, word));
    let operands = parsed.operand_words().skip(1);
    let texts: Vec<(usize, String)> = commands
        .chain(operands)
        .map(|(at, word)| (at, word.beginning().to_owned()))
        .collect();
    for (at, text) in texts {
        for line in text.lines() {
            match line.trim_start().strip_prefix('.') {
                Some(command) => dot_command(command, at, made),
                None => functions(line, at, made),
            }
        }
    }
}

/// `.read FILE`, `.shell COMMAND`.
fn dot_command(text: &str, at: usize, made: &mut Invocation) {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    // Every command may be cut short: `.sh` is `.shell`.
    let is = |full: &str| name.len() > 1 && full.starts_with(name);
    let rest = rest.trim();
    if is("shell") || is("system") {
        run(rest, made);
        return;
    }
    let mut operands = rest
        .split_whitespace()
        .filter(|operand| !operand.starts_with("--"));
    let bare = |operand: &str| operand.trim_matches(['\'', '"']).to_owned();
    let piped = |rest: &str| {
        let rest = rest.trim_matches(['\'', '"']);
        rest.strip_prefix('|').map(str::to_owned)
    };
    if let Some(command) = piped(rest) {
        run(&command, made);
    } else if READ.iter().any(|read| is(read)) {
        if let Some(path) = operands.next() {
            made.read(&Word::text(bare(path)), Some(at), true, false, false);
        }
    } else if WRITTEN.iter().any(|write| is(write))
        && let Some(path) = operands.next_back()
    {
        made.write_turning(&Word::text(bare(path)), Some(at), false);
        if is("open") {
            made.read(&Word::text(bare(path)), Some(at), true, false, false);
        }
    }
}

fn run(text: &str, made: &mut Invocation) {
    made.hands_on.push(HandOn::Shell {
        text: Word::text(text),
        arguments: Vec::new(),
        other_shell: true,
    });
}

/// `readfile('x')`, `writefile('x', ..)`, `read_csv('x')`, `ATTACH 'x'`.
fn functions(line: &str, at: usize, made: &mut Invocation) {
    let mut rest = line;
    while let Some((before, opened)) = rest.split_once('\'') {
        let Some((text, behind)) = opened.split_once('\'') else {
            return;
        };
        rest = behind;
        let before = before.trim_end().trim_end_matches('(').trim_end();
        let word = before
            .rsplit(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let path = Word::text(text);
        match word.as_str() {
            "writefile" | "to" => made.write_turning(&path, Some(at), false),
            "attach" | "database" | "into" => {
                made.read(&path, Some(at), true, false, false);
                made.write_turning(&path, Some(at), false);
            }
            // DuckDB reads a file that stands where a table would.
            "from" | "join" | "load_extension" => made.read(&path, Some(at), true, false, false),
            word if word.starts_with("read") => made.read(&path, Some(at), true, false, false),
            _ => {}
        }
    }
}
