//! Each key of git's configuration that names a program, by itself: in a repository that has this one, git starts
//! the program, and the git of a harness does not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot prepare has failed"
)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use super::harness_git::{Place, parts, started};
use crate::support::named_git::{self, git};

/// A key, and what has git start its program.
#[derive(Clone, Copy)]
struct Row {
    key: &'static str,
    /// Its value. `{}` is the program, here and in what follows.
    value: &'static str,
    /// What it needs beside it.
    beside: &'static [(&'static str, &'static str)],
    /// What is asked of git before it is there.
    before: &'static [&'static [&'static str]],
    /// What is asked of git then.
    asked: &'static [&'static str],
    /// What git reads.
    reads: &'static str,
    /// Whether it is asked at a terminal.
    terminal: bool,
    /// The version 2 of git that knows it.
    since: u32,
}

const fn row(key: &'static str, asked: &'static [&'static str]) -> Row {
    Row {
        key,
        value: "{}",
        beside: &[],
        before: &[],
        asked,
        reads: "",
        terminal: false,
        since: 0,
    }
}

impl Row {
    const fn value(self, value: &'static str) -> Self {
        Self { value, ..self }
    }

    const fn beside(self, beside: &'static [(&'static str, &'static str)]) -> Self {
        Self { beside, ..self }
    }

    const fn after(self, before: &'static [&'static [&'static str]]) -> Self {
        Self { before, ..self }
    }

    const fn reads(self, reads: &'static str) -> Self {
        Self { reads, ..self }
    }

    const fn since(self, since: u32) -> Self {
        Self { since, ..self }
    }

    const fn at_a_terminal(self) -> Self {
        Self {
            terminal: true,
            ..self
        }
    }
}

const CLEAN: &[&[&str]] = &[&["reset", "-q", "--hard"]];
const CONFLICT: &[&[&str]] = &[&["reset", "-q", "--hard"], &["merge", "-q", "side"]];
const WHOSE: &str = "protocol=https\nhost=localhost\n\n";
const SIGN: &[&str] = &["tag", "-s", "-m", "x", "signed"];
const SEND: &[&str] = &[
    "send-email",
    "--from=x@example.org",
    "--dry-run",
    "--confirm=never",
    "-1",
];

const ROWS: [Row; 57] = [
    row("alias.evil", &["evil"]).value("!{}"),
    row("browser.evil.cmd", &["web--browse", "--browser=evil", "x"]),
    row(
        "browser.firefox.path",
        &["web--browse", "--browser=firefox", "x"],
    ),
    row("core.alternateRefsCommand", &["fetch", "origin"]).after(&[&["alternates"]]),
    row("core.askPass", &["credential", "fill"]).reads(WHOSE),
    row("core.editor", &["config", "--edit"]),
    row("core.fsmonitor", &["status"]),
    row("core.gitProxy", &["ls-remote", "git://localhost/x"]),
    row("core.hooksPath", &["commit", "--allow-empty", "-m", "y"]).value("hooks"),
    row("core.pager", &["log"]).at_a_terminal(),
    row("core.sshCommand", &["ls-remote", "ssh://localhost/x"]),
    row("credential.helper", &["credential", "fill"])
        .value("!{}")
        .reads(WHOSE),
    row(
        "credential.https://localhost.helper",
        &["credential", "fill"],
    )
    .value("!{}")
    .reads(WHOSE),
    row("diff.evil.command", &["diff"]),
    row("diff.evil.textconv", &["diff"]),
    row("diff.external", &["diff"]),
    row("difftool.evil.cmd", &["difftool", "-y", "-t", "evil"]),
    row("difftool.meld.path", &["difftool", "-y", "-t", "meld"]),
    row("filter.evil.clean", &["diff"]),
    row("filter.evil.process", &["diff"]),
    row(
        "filter.evil.smudge",
        &["cat-file", "--filters", "HEAD:file"],
    ),
    row("gc.recentObjectsHook", &["prune", "--expire=now"])
        .after(&[&["hash-object", "-w", "file"]])
        .since(42),
    row("gpg.openpgp.program", SIGN).beside(&[("user.signingKey", "x")]),
    row("gpg.program", SIGN).beside(&[("user.signingKey", "x")]),
    row("gpg.ssh.defaultKeyCommand", SIGN).beside(&[("gpg.format", "ssh")]),
    row("gpg.ssh.program", SIGN).beside(&[("gpg.format", "ssh"), ("user.signingKey", "file")]),
    row("gpg.x509.program", SIGN).beside(&[("gpg.format", "x509"), ("user.signingKey", "x")]),
    row("imap.tunnel", &["imap-send"])
        .beside(&[("imap.folder", "x")])
        .reads("From x Mon Sep 17 00:00:00 2001\nFrom: x@example.org\nDate: x\nSubject: x\n\nx\n"),
    row("include.path", &["ls-remote", "ssh://localhost/x"]).value("../included"),
    row(
        "includeIf.gitdir:**.path",
        &["ls-remote", "ssh://localhost/x"],
    )
    .value("../included"),
    row("instaweb.httpd", &["instaweb"]),
    row("interactive.diffFilter", &["add", "-p", "file"])
        .beside(&[("color.ui", "always")])
        .reads("q\n"),
    row("man.evil.cmd", &["help", "-m", "status"]).beside(&[("man.viewer", "evil")]),
    row("man.man.path", &["help", "-m", "status"]),
    row("merge.evil.driver", &["merge", "side"]).after(CLEAN),
    row("mergetool.evil.cmd", &["mergetool", "-y", "-t", "evil"]).after(CONFLICT),
    row("mergetool.meld.path", &["mergetool", "-y", "-t", "meld"]).after(CONFLICT),
    row("pager.blame", &["blame", "file"]).at_a_terminal(),
    row("pager.diff", &["diff"]).at_a_terminal(),
    row("pager.log", &["log"]).at_a_terminal(),
    row("pager.show", &["show"]).at_a_terminal(),
    row("pager.status", &["status"]).at_a_terminal(),
    row("remote.origin.receivepack", &["push", "origin", "HEAD:x"]),
    row("remote.origin.uploadpack", &["ls-remote", "origin"]),
    // An object that is missing, and that git fetches by itself.
    row(
        "remote.origin.promisor",
        &["cat-file", "blob", "HEAD:other"],
    )
    .value("true")
    .beside(&[
        ("extensions.partialClone", "origin"),
        ("core.repositoryFormatVersion", "1"),
        ("remote.origin.uploadpack", "{}"),
    ])
    .after(&[&["lose"]]),
    row("remote.helped.vcs", &["ls-remote", "helped"])
        .value("ext")
        .beside(&[
            ("remote.helped.url", "{}"),
            ("protocol.ext.allow", "always"),
        ]),
    row("sendemail.ccCmd", SEND),
    row("sendemail.headerCmd", SEND).since(41),
    row("sendemail.toCmd", SEND),
    row(
        "sendemail.sendmailCmd",
        &[
            "send-email",
            "--from=x@example.org",
            "--to=x@example.org",
            "--suppress-cc=all",
            "--confirm=never",
            "-1",
        ],
    ),
    row(
        "sendemail.smtpServer",
        &[
            "send-email",
            "--from=x@example.org",
            "--to=x@example.org",
            "--suppress-cc=all",
            "--confirm=never",
            "-1",
        ],
    ),
    row("sequence.editor", &["rebase", "-i", "HEAD~1"]).after(CLEAN),
    row("submodule.sub.update", &["submodule", "update"])
        .value("!{}")
        .after(&[
            &[
                "-c",
                "protocol.file.allow=always",
                "submodule",
                "add",
                "-q",
                "../origin.git",
                "sub",
            ],
            &["-C", "sub", "checkout", "-q", "HEAD~1"],
        ]),
    row("tar.evil.command", &["archive", "--format=evil", "HEAD"]),
    row(
        "trailer.evil.cmd",
        &["interpret-trailers", "--trailer", "evil=x"],
    )
    .beside(&[("trailer.evil.key", "Evil")]),
    row(
        "trailer.evil.command",
        &["interpret-trailers", "--trailer", "evil=x"],
    )
    .beside(&[("trailer.evil.key", "Evil")]),
    row("url.ext::{} .insteadOf", &["ls-remote", "instead:x"])
        .value("instead:")
        .beside(&[("protocol.ext.allow", "always")]),
];

fn base(place: &Place) {
    let repo = place.repo();
    let put = |name: &str, text: &str| fs::write(repo.join(name), text).unwrap();
    git(&repo, &["init", "-q", "-b", "trunk"]);
    for (text, subject) in [("one\n", "first"), ("two\n", "second")] {
        put("file", text);
        put("other", text);
        git(&repo, &["add", "file", "other"]);
        git(&repo, &["commit", "-q", "-m", subject]);
    }
    git(&repo, &["checkout", "-q", "-b", "side", "HEAD~1"]);
    put("file", "six\n");
    git(&repo, &["commit", "-q", "-a", "-m", "aside"]);
    git(&repo, &["checkout", "-q", "trunk"]);
    git(&repo, &["clone", "-q", "--bare", ".", "../origin.git"]);
    git(&repo, &["remote", "add", "origin", "../origin.git"]);
    put(".gitattributes", "file filter=evil diff=evil merge=evil\n");
    // Of the same length: whether it is another one is seen behind its filter.
    put("file", "TWO\n");
}

/// What this row's git said of it, and whether the program left its mark.
fn tried(row: Row, governed: bool) -> (Output, bool) {
    let name = format!("key-{governed}-{}", row.key);
    let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let place = Place::new(&name);
    base(&place);
    let repo = place.repo();
    for words in row.before {
        match words {
            ["alternates"] => {
                let objects = place.repo().join("../origin.git/objects");
                let file = repo.join(".git/objects/info/alternates");
                fs::write(file, format!("{}\n", objects.display())).unwrap();
            }
            ["lose"] => {
                let blob = place.said(&["rev-parse", "HEAD:other"]);
                let (directory, rest) = blob.trim().split_at(2);
                fs::remove_file(repo.join(".git/objects").join(directory).join(rest)).unwrap();
            }
            // A merge ends as it does.
            words => drop(place.git(words)),
        }
    }
    let program = named_git::leaving(&repo, "key");
    for directory in ["hooks", "template/hooks"] {
        fs::create_dir_all(repo.join(directory)).unwrap();
        for hook in ["pre-commit", "post-checkout"] {
            fs::copy(&program, repo.join(directory).join(hook)).unwrap();
        }
    }
    let included = format!("[core]\n\tsshCommand = {program}\n");
    fs::write(repo.join("included"), included).unwrap();
    let with = |text: &str| text.replace("{}", &program);
    for (key, value) in [(row.key, row.value)].iter().chain(row.beside) {
        git(&repo, &["config", &with(key), &with(value)]);
    }
    let _ = fs::remove_file(repo.join("ran-key"));
    let place = if governed { place.governed() } else { place };
    let line = format!("git {}", row.asked.join(" "));
    let words = match row.terminal {
        true => vec!["script", "-qec", &line, "/dev/null"],
        false => [&["git"], row.asked].concat(),
    };
    let mut child = place
        .runs(&words)
        .env("TERM", "vt100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may not read it.
    let _ = child.stdin.take().unwrap().write_all(row.reads.as_bytes());
    let done = child.wait_with_output().unwrap();
    (done, left(&repo))
}

fn left(repo: &Path) -> bool {
    repo.join("ran-key").exists()
}

#[test]
fn each_key_of_a_repository_starts_its_program_by_git_itself_and_none_by_a_harnesss() {
    let place = Place::new("git-commands");
    let version = place.said(&["version"]);
    let version = version.split('.').nth(1).unwrap().parse().unwrap();
    let commands = place.said(&["--list-cmds=builtins,main"]);
    let commands: Vec<_> = commands.lines().map(str::to_owned).collect();
    let problems = thread::scope(|scope| {
        let problem = |row| problem(row, version, &commands);
        let parts = ROWS.chunks(ROWS.len().div_ceil(8));
        let parts =
            parts.map(|rows| scope.spawn(move || rows.iter().filter_map(problem).collect()));
        let parts: Vec<_> = parts.collect();
        let found = parts.into_iter().flat_map(|part| {
            let found: Vec<String> = part.join().unwrap();
            found
        });
        found.collect::<Vec<_>>()
    });
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Why git has not started it, where it need not: it does not know the key, or the command is not installed.
fn unknown(row: Row, version: u32, commands: &[String]) -> bool {
    let command = row.asked.first().unwrap();
    let alias = row.key.strip_prefix("alias.") == Some(command);
    row.since > version || !alias && !commands.iter().any(|known| known == command)
}

fn problem(row: &Row, version: u32, commands: &[String]) -> Option<String> {
    let (done, itself) = tried(*row, false);
    if !itself && !unknown(*row, version, commands) {
        return Some(format!("{}: git did not start it: {done:?}", row.key));
    }
    let (done, governed) = tried(*row, true);
    (governed || started(&done))
        .then(|| format!("{}: a harness's git started it: {done:?}", row.key))
}

/// Keys that name a program and are no row, and why.
const NONE: [(&str, &str); 9] = [
    ("alias.log", "git runs its own command of that name"),
    ("alias.status", "git runs its own command of that name"),
    ("guitool.evil.cmd", "Git GUI, which no harness starts"),
    (
        "help.browser",
        "the name of a tool, whose program is another key",
    ),
    ("hook.evil.command", "no git before 2.54 knows it"),
    (
        "instaweb.browser",
        "the name of a tool, whose program is another key",
    ),
    ("svn.authorsProg", "git-svn, which needs Subversion"),
    (
        "uploadpack.packObjectsHook",
        "git takes it from no repository",
    ),
    (
        "web.browser",
        "the name of a tool, whose program is another key",
    ),
];

#[test]
fn each_key_that_a_session_is_tried_with_has_a_row_of_its_own() {
    let rows: Vec<_> = ROWS.iter().map(|row| parts(row.key)).collect();
    for key in named_git::COMMANDS {
        let none = NONE.iter().any(|(none, _)| *none == key);
        assert_ne!(none, rows.contains(&parts(key)), "{key}");
    }
}
