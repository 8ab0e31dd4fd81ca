//! The programs that bash and the wrappers of the table really start, traced with `strace -f`, are those that reading
//! the command names. None starts that it neither named nor called unread; what code starts is outside of the comparison.
//!
//! Commands are made at random from a seed, which a failure prints. `AGP_TRACE_ROUNDS` makes more of them,
//! `AGP_TRACE_SEED` others. They look at a directory of their own, and change nothing outside of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "whatever fails here fails the test"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use agp::reading::atoms::{AtomKind, Program, Reading};
use agp::reading::disk::NoDisk;
use agp::reading::surroundings::Surroundings;
use agp::reading::walk;
use agp::reading::word::Piece;
use regex::Regex;

use crate::support::journal::{Scratch, have};

const ROUNDS: usize = 150;
const PATH: &str = "/usr/bin:/bin";
/// Shells and wrappers within each other.
const DEPTH: usize = 3;

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

    fn of(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len())]
    }
}

/// Programs that only print.
const LEAVES: &[&str] = &[
    "ls",
    "ls sub",
    "cat f",
    "cat",
    "wc -l f",
    "head -n 1 f",
    "tail -1 'a b'",
    "sort f",
    "uniq",
    "basename a/b",
    "dirname a/b",
    "/bin/echo a",
    "/usr/bin/printf x",
    "uname -s",
    "id -u",
    "seq 2",
    "expr 1 + 1",
    "cut -c1 f",
    "tr a b",
    "grep -c a f",
    "stat f",
    "du f",
    "readlink f",
    "date +%s",
    "sleep 0",
    "tac f",
    "nl *",
    "od -c f?",
    "cmp f g",
    "ls {f,g}",
    "ls \"$HOME\"",
    "ls $UNSET f",
    "cat ./sub/../f",
    "'cat' f",
    "l\\s f",
    "\"l\"s f",
    "$'\\x6cs' f",
    "ls -l -- \"$(echo f)\"",
    "cat `echo f`",
    "cat <(ls)",
    "ls >out",
    "2>/dev/null ls nosuch",
    "A=b env",
    "X=ls; $X f",
    "X='cat f'; $X",
    "X=(ls f); \"${X[@]}\"",
    "\"$(echo ls)\" f",
    "$(printf %s cat) f",
    "x() { ls \"$@\"; }; x f; ",
    "set -- ls f; \"$@\"",
    "set -- f; ls \"$1\"; shift; ls \"$1\"",
    "for p in ls cat; do $p f; done",
    "while read -r l; do cat \"$l\"; done < list",
    "case f in f) ls;; *) cat f;; esac",
    "if [ -f f ]; then ls f; else cat g; fi",
    "[[ -f f ]] && ls",
    "trap 'ls f' EXIT",
    "cd sub && ls",
    "pushd sub >out; ls; popd",
    "echo $((1 + $(seq 1)))",
    "${X:-ls} f",
    "eval ls f",
    "eval \"X=cat; \\$X f\"",
    "echo ls f | sh",
    "sh <<< 'ls f'",
    "bash s",
    ". ./s",
    "sh < s",
    "command -v ls",
    "type ls",
    "printf '%s\\n' f g | xargs -n1 ls",
    "echo f | xargs -I{} cat {}",
    "find . -name f -exec cat {} +",
    "find . -name f -execdir ls {} \\;",
    "find . -name f -print0 | xargs -0 ls",
    "find sub -type f | while read -r p; do wc -l \"$p\"; done",
    "ls | while read -r p; do $p; done",
    "X=$(ls | head -n 1); $X",
    "! ls nosuch",
    "coproc ls",
    "exec 3<f; cat <&3",
    "printf -v X ls; $X f",
    "read -r X < list; ls \"$X\"",
    "X=l; X+=s; $X f",
    "declare X=ls; $X f",
    "Y=X; X=ls; ${!Y} f",
    "alias ls=cat",
    "until ls; do cat f; break; done",
    "select p in a; do ls; done < list",
    "for ((i = 0; i < 2; i++)); do ls; done",
    "awk 'BEGIN { system(\"ls f\") }'",
    "sed -n 1p f",
];

/// What starts the program behind it.
const WRAPPERS: &[&str] = &[
    "env",
    "env -i PATH=/usr/bin:/bin",
    "env -u A B=c",
    "env --",
    "timeout 5",
    "timeout -s KILL 5",
    "timeout --signal=KILL --kill-after 1 5",
    "nice",
    "nice -n 5",
    "nice -5",
    "nohup",
    "stdbuf -oL",
    "stdbuf -o 0 -e L",
    "setsid",
    "setsid -w",
    "ionice -c 3",
    "command",
    "command -p",
    "time",
    "time -p",
    "xargs",
    "xargs -n 2",
    "xargs -r -t",
    "xargs -P 2 -n 1",
    "flock out",
    "/usr/bin/env",
    "A=b",
    "A=b C=$(ls)",
    "find . -name f -exec",
];

struct Maker {
    random: Random,
    documents: usize,
}

impl Maker {
    /// A command of a shell, whole.
    fn command(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.random.of(LEAVES).to_owned();
        }
        let less = depth - 1;
        match self.random.below(24) {
            0..=4 => self.program(depth),
            5 => format!("{}; {}", self.command(less), self.command(less)),
            6 => format!("{} && {}", self.group(less), self.group(less)),
            7 => format!("{} || {}", self.group(less), self.group(less)),
            8 => format!("{} | {}", self.group(less), self.group(less)),
            9 => format!("( {}\n)", self.command(less)),
            10 => format!("{} & wait", self.group(less)),
            11 => format!("if {}; then {}; fi", self.group(less), self.group(less)),
            12 => format!("for i in f g; do {}; done", self.group(less)),
            13 => format!("x() {{ {}\n}}; x f", self.command(less)),
            14 => format!("echo \"$( {}\n)\"", self.command(less)),
            15 => format!("cat <( {}\n)", self.command(less)),
            16 => format!("eval {}", quoted(&self.command(less))),
            17 => {
                self.documents += 1;
                let end = format!("E{}", self.documents);
                let shell = self.random.of(&["sh", "bash", "bash -s a"]);
                format!("{{ {shell} <<'{end}'\n{}\n{end}\n}}", self.command(less))
            }
            18 => format!("echo {} | bash", quoted(&self.command(less))),
            19 => format!("trap {} EXIT", quoted(&self.command(less))),
            20 => format!("X={}; eval \"$X\"", quoted(&self.command(less))),
            21 => format!("(cd sub; {}\n)", self.command(less)),
            22 => format!("{} > out 2>&1 < f", self.group(less)),
            _ => format!("! {}", self.group(less)),
        }
    }

    fn group(&mut self, depth: usize) -> String {
        format!("{{ {}\n}}", self.command(depth))
    }

    /// Words that begin with a program.
    fn program(&mut self, depth: usize) -> String {
        const PLAIN: &[&str] = &["ls", "cat f", "/bin/echo a", "true", "wc -c f", "seq 2"];
        if depth == 0 {
            return self.random.of(PLAIN).to_owned();
        }
        let less = depth - 1;
        match self.random.below(6) {
            0..=2 => {
                let wrapper = self.random.of(WRAPPERS);
                let behind = match wrapper.starts_with("find") {
                    true => " {} \\;",
                    false => "",
                };
                format!("{wrapper} {}{behind}", self.program(less))
            }
            3 => {
                let shell = self
                    .random
                    .of(&["sh", "bash", "bash -e", "bash -o pipefail"]);
                let behind = self.random.of(&["", " x f", " x ls g"]);
                format!("{shell} -c {}{behind}", quoted(&self.command(less)))
            }
            4 => format!("env -S {}", quoted(self.random.of(PLAIN))),
            _ => self.random.of(PLAIN).to_owned(),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A program that was started: its path, and its words.
type Started = (String, Vec<String>);

/// Runs a command in a directory, and says what started.
fn trace(text: &str, directory: &Path, to: &Path) -> Vec<Started> {
    fs::create_dir(to).unwrap();
    let output = Command::new("timeout")
        .args([
            "-k", "1", "60", "strace", "-ff", "-qq", "-xx", "-s", "65536",
        ])
        .args(["-e", "trace=execve,execveat", "-e", "signal=none", "-o"])
        .arg(to.join("of"))
        .args(["bash", "--norc", "--noprofile", "-c", text])
        .current_dir(directory)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(124), "never ends: {text}");
    let mut started = Vec::new();
    for file in fs::read_dir(to).unwrap() {
        let file = fs::read_to_string(file.unwrap().path()).unwrap();
        let calls = file.lines().filter(|line| line.ends_with(" = 0"));
        started.extend(calls.filter_map(call));
    }
    fs::remove_dir_all(to).unwrap();
    let outer = |(_, words): &Started| words.iter().any(|word| word == "--norc");
    assert!(started.iter().any(outer), "not traced: {text}");
    started.retain(|one| !outer(one));
    started
}

/// `execve("\x2f..", ["\x6c..", ..], ..) = 0`.
fn call(line: &str) -> Option<Started> {
    let (_, rest) = line.split_once("execve")?;
    let mut texts = rest.split('"').skip(1).step_by(2).map(|hex| {
        let bytes = hex.split("\\x").skip(1);
        let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap());
        String::from_utf8(bytes.collect()).unwrap()
    });
    Some((texts.next()?, texts.collect()))
}

/// The words that a program was read with, as an expression that those it is started with match.
fn expression(program: &Program) -> Regex {
    let mut text = "(?s)^".to_owned();
    for (position, word) in program.words.iter().enumerate() {
        if word.splits() {
            text.push_str("(\0.*)?");
            continue;
        }
        if position > 0 {
            text.push('\0');
        }
        for piece in &word.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(&regex::escape(piece)),
                _ => text.push_str("[^\0]*"),
            }
        }
    }
    text.push_str(if program.open_ended { "(\0.*)?$" } else { "$" });
    Regex::new(&text).unwrap()
}

fn programs(reading: &Reading) -> Vec<&Program> {
    let atoms = reading.atoms.iter().chain(&reading.mentioned);
    atoms
        .filter_map(|atom| match &atom.kind {
            AtomKind::Program(program) => Some(&**program),
            _ => None,
        })
        .collect()
}

fn runs_code(reading: &Reading) -> bool {
    let code = |kind: &AtomKind| matches!(kind, AtomKind::Code(_));
    reading.atoms.iter().any(|atom| code(&atom.kind))
}

#[test]
fn every_program_that_starts_is_named_or_unread() {
    let probe = ["-f", "-o", "/dev/null", "true"];
    if !have("strace", Command::new("strace").args(probe)) {
        return;
    }
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seed = number("AGP_TRACE_SEED").unwrap_or(15);
    let rounds = number("AGP_TRACE_ROUNDS").and_then(|rounds: u64| usize::try_from(rounds).ok());
    let scratch = Scratch::new("started-programs");
    let directory = scratch.dir().join("here");
    fs::create_dir_all(directory.join("sub")).unwrap();
    for (name, text) in [
        ("f", "a\n"),
        ("g", "b\n"),
        ("a b", "c\n"),
        ("list", "f\ng\n"),
        ("s", "ls f\n"),
        ("sub/f", "d\n"),
    ] {
        fs::write(directory.join(name), text).unwrap();
    }
    let here = directory.to_str().unwrap().to_owned();
    let at = Surroundings {
        directory: here.clone(),
        repository: here.clone(),
        home: here,
        path: vec![("/usr/bin".to_owned(), false), ("/bin".to_owned(), false)],
        ..Surroundings::default()
    };
    let mut maker = Maker {
        random: Random(seed),
        documents: 0,
    };
    let (mut compared, mut named) = (0, 0);
    let rounds = rounds.unwrap_or(ROUNDS);
    for round in 0..rounds {
        // Each leaf once, and what is made of them.
        let text = match LEAVES.get(round) {
            Some(leaf) => (*leaf).to_owned(),
            None => maker.command(DEPTH),
        };
        let reading = walk::command(&text, &at, &NoDisk);
        if !reading.unread.is_empty() || runs_code(&reading) {
            continue;
        }
        compared += 1;
        let programs = programs(&reading);
        for (path, words) in trace(&text, &directory, &scratch.dir().join("trace")) {
            named += 1;
            let words = words.join("\0");
            let matches = |program: &&Program| expression(program).is_match(&words);
            assert!(
                programs.iter().any(matches),
                "AGP_TRACE_SEED={seed}, round {round}: starts {path} as {words:?}, which nothing says\n\
                 {text}\n{:#?}",
                programs
                    .iter()
                    .map(|program| expression(program))
                    .collect::<Vec<_>>()
            );
        }
    }
    // Most are read, and start something.
    assert!(2 * compared > rounds, "{compared} of {rounds} are read");
    assert!(named > compared, "{named} programs of {compared} commands");
}
