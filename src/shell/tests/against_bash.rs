//! The real bash as the reference: what it refuses is refused, and quotes come off as it takes them off.

use std::io::Write;
use std::process::{Command, Stdio};

use super::super::ast::{Node, Part, Word};
use super::super::parse;

/// Numbers from a seed, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % bound).unwrap()
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// Up to `most` pieces behind each other.
    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.of(pieces)).collect()
    }
}

fn bash() -> Command {
    let mut command = Command::new("bash");
    command
        .env_clear()
        .env("HOME", "/home/x")
        .env("LC_ALL", "C.UTF-8");
    command.env("PATH", "/usr/bin:/bin");
    command.arg("--norc").arg("--noprofile");
    command
}

fn bash_accepts(text: &str) -> bool {
    let mut command = bash();
    command.args(["-n", "-c", "--", text]).stdin(Stdio::null());
    command.output().unwrap().status.success()
}

const GRAMMAR: &[&str] = &[
    "a",
    " ",
    " ",
    " ",
    "b",
    "\n",
    ";",
    "&",
    "&&",
    "||",
    "|",
    "|&",
    "(",
    ")",
    "{ ",
    "}",
    " }",
    "; }",
    "if ",
    "then ",
    "; then ",
    "fi",
    "; fi",
    "else ",
    "elif ",
    "while ",
    "do ",
    "; do ",
    "done",
    "; done",
    "for x in ",
    "for ",
    "in ",
    "case x in ",
    "esac",
    ";;",
    ";& ",
    "x) ",
    "a=",
    "a=(",
    "a[1]=",
    "$(",
    "`",
    "$((",
    "))",
    "((",
    "${x",
    "${x:-",
    "}",
    "<",
    ">",
    ">>",
    "<<E",
    "<<'E'",
    "\nE\n",
    "<(",
    ">&",
    "&>",
    "2>",
    "1",
    "-",
    "{fd}>",
    "'",
    "\"",
    "\\",
    "$",
    "$'",
    "#",
    " #",
    "!",
    " ! ",
    "time ",
    "function ",
    "f()",
    " f() ",
    "[[ ",
    " ]]",
    " -n ",
    " == ",
    "=~",
    "coproc ",
    "{a,b}",
    "*",
    "[",
    "]",
    "~",
    "select ",
    "\\\n",
    "\t",
    ",",
    "..",
    "=",
    "+=",
    "declare ",
    "((;;))",
];

/// Texts that are nearly right, so that more than their first bytes count.
const SENTENCES: &[&str] = &[
    "if a; then b; fi",
    "for x in a b; do c; done",
    "while a; do b; done",
    "case x in a) b;; esac",
    "{ a; }",
    "(a)",
    "f() { a; }",
    "[[ -n a && b == c ]]",
    "((1+2))",
    "a | b",
    "a && b",
    "x=$(a)",
    "\"$(a \"b\")\"",
    "`a`",
    "a <<E\nb\nE\n",
    "a >b 2>&1",
    "${x:-\"a\"}",
    "x=(a b)",
    "! a",
    "time a",
    "function f { a; }",
    "a <(b)",
    "$((1+$(a)))",
    "select x in a; do b; done",
    "coproc a",
    "for ((;;)); do a; done",
    "until a; do b; done",
    "[[ a =~ (b|c) ]]",
    "a &",
    "# a\n",
    "'a'",
    "$'a'",
];

#[test]
fn whatever_bash_refuses_is_refused() {
    let mut random = Random(15);
    let rounds = std::env::var("AGP_SHELL_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    let say = rounds.is_some();
    for round in 0..rounds.unwrap_or(600) {
        let text = match round % 3 {
            0 => random.text(GRAMMAR, 8),
            1 => {
                // A sentence with something put into it, or cut out of it.
                let mut text = random.of(SENTENCES).to_owned();
                for _ in 0..=random.below(2) {
                    let at = random.below(text.len() + 1);
                    match random.below(3) {
                        0 if at < text.len() => {
                            text.remove(at);
                        }
                        _ => text.insert_str(at, random.of(GRAMMAR)),
                    }
                }
                text
            }
            _ => {
                let mut text = random.of(SENTENCES).to_owned();
                for _ in 0..random.below(3) {
                    text.push_str(
                        random.of(&["; ", " ", "", " | ", " && ", "\n", " & ", "}", ")"]),
                    );
                    text.push_str(random.of(SENTENCES));
                }
                text
            }
        };
        let read = parse(&text);
        if say {
            match (&read, bash_accepts(&text)) {
                (Ok(_), false) => println!("LOOSE {text:?}"),
                (Err(why), true) => println!("STRICT {text:?} {why:?}"),
                _ => {}
            }
        } else if read.is_ok() {
            assert!(bash_accepts(&text), "{text:?}: {read:?}");
        }
    }
}

/// A word as bash would hand it to a program, where that can be told.
fn bare(word: &Word) -> Option<String> {
    let mut out = String::new();
    for part in &word.parts {
        match part {
            Part::Literal(text) | Part::Quoted(text) | Part::Glob(text) => out.push_str(text),
            Part::Tilde(user) if user.is_empty() => out.push_str("/home/x"),
            _ => return None,
        }
    }
    Some(out)
}

const WORD: &[&str] = &[
    "a",
    "b",
    "1",
    "-",
    "=",
    "é",
    "\u{a0}",
    " ",
    "'a b'",
    "''",
    "\"\"",
    "\"a b\"",
    "\"\\\"\\\\\\a\"",
    "\\ ",
    "\\'",
    "\\\"",
    "\\\\",
    "\\\n",
    "$'\\n'",
    "$'\\x41'",
    "$'\\101\\''",
    "$'\\q\\e\\cA'",
    "$\"a\"",
    "{a,b}",
    "{",
    "}",
    ",",
    "..",
    "{1..3}",
    "{a..c}",
    "{01..3}",
    "{3..1..2}",
    "{-1..+1}",
    "{a,}",
    "{,}",
    "{}",
    "{a}",
    "~",
    "~/",
    "/",
    ":",
    "x=",
    "*",
    "?",
    "[",
    "]",
    "[a-z]",
    "#",
    "!",
    "$",
    "\\{",
    "\\,",
    "'{'",
    "\"}\"",
    "\"'\"",
    "'\"'",
    "%",
    "^",
    "@",
    "\t",
    "{a..C}",
    "{1..x}",
    "{{a,b},c}",
];

#[test]
fn quotes_braces_and_tildes_go_as_bash_takes_them() {
    let mut random = Random(4);
    let rounds = std::env::var("AGP_SHELL_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    let mut program = "set -f\n".to_owned();
    let mut expected = Vec::new();
    for _ in 0..rounds.unwrap_or(4000) {
        let text = random.text(WORD, 7);
        let Ok(script) = parse(&format!("printf x {text}\n")) else {
            continue;
        };
        let Some(Node::Simple(simple)) = script.nodes.first() else {
            panic!("{text:?}: {script:?}");
        };
        if script.nodes.len() != 2 {
            continue; // A comment, with a command behind it.
        }
        let words: Option<Vec<String>> = simple.words.iter().skip(2).map(bare).collect();
        let Some(words) = words else { continue };
        program.push_str(&format!("printf '\\036x'; printf '\\037%s' {text}\n"));
        expected.push((text, words));
    }
    let mut child = bash()
        .arg("/dev/stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(program.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<&str> = printed.split("\u{1e}x").skip(1).collect();
    assert_eq!(printed.len(), expected.len());
    for ((text, words), printed) in expected.iter().zip(printed) {
        let mut line = String::new();
        for word in words {
            line.push('\u{1f}');
            line.push_str(word);
        }
        if words.is_empty() {
            // `printf` prints its format once without arguments.
            line.push('\u{1f}');
        }
        assert_eq!(line, printed, "{text:?}");
    }
}

/// What the fuzzer holds, of the same texts.
#[test]
fn what_the_fuzzer_holds_is_true_of_generated_texts() {
    let mut random = Random(23);
    for _ in 0..4000 {
        let mut text = random.text(GRAMMAR, 12);
        text.push_str(&random.text(WORD, 6));
        super::super::fuzz::shell_command(text.as_bytes());
        let sentence = format!("{}; {text}", random.of(SENTENCES));
        super::super::fuzz::shell_command(sentence.as_bytes());
        super::super::fuzz::shell_command(format!("echo {}", random.text(WORD, 9)).as_bytes());
    }
}
