//! agp's program under git's name, as a harness finds it on its PATH: whatever a repository names as a program,
//! git does not start it, and what a harness asks git to know it is told.
#![allow(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::named_git;

/// A directory of the test's with a repository, gone with it, and the git that is asked there.
pub(crate) struct Place {
    root: PathBuf,
    path: std::ffi::OsString,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("agp-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("repo")).unwrap();
        let root = root.canonicalize().unwrap();
        fs::create_dir(root.join("home")).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        Self { root, path }
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.root.join("repo")
    }

    /// From now on it is agp's that is asked.
    pub(crate) fn governed(mut self) -> Self {
        let own = self.root.join("bin");
        fs::create_dir(&own).unwrap();
        symlink(env!("CARGO_BIN_EXE_agp-bridge"), own.join("git")).unwrap();
        let entries = [own].into_iter().chain(std::env::split_paths(&self.path));
        self.path = std::env::join_paths(entries).unwrap();
        self
    }

    pub(crate) fn git(&self, words: &[&str]) -> Output {
        let git = [&["git"], words].concat();
        self.runs(&git).stdin(Stdio::null()).output().unwrap()
    }

    /// A program, which finds this place's git.
    pub(crate) fn runs(&self, words: &[&str]) -> Command {
        // A program of the repository's that waits is none of the test's.
        let mut command = Command::new("timeout");
        command
            .args(["-k", "1", "20"])
            .args(words)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.root.join("home"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs(["AUTHOR", "COMMITTER"].into_iter().flat_map(|who| {
                [
                    (format!("GIT_{who}_NAME"), "x"),
                    (format!("GIT_{who}_EMAIL"), "x@localhost"),
                ]
            }))
            .current_dir(self.repo());
        command
    }

    pub(crate) fn said(&self, words: &[&str]) -> String {
        let done = self.git(words);
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// What can be asked of git, by which it starts what its configuration names.
const ASKED: [&[&str]; 47] = [
    &["status"],
    &[
        "--no-optional-locks",
        "status",
        "--short",
        "--ignore-submodules=dirty",
    ],
    &["ls-files", "-m"],
    &["diff"],
    &["diff", "--ext-diff", "--textconv", "HEAD"],
    &["-p", "log", "-p", "--ext-diff", "--textconv"],
    &["log", "--show-signature"],
    &["show", "--ext-diff", "HEAD"],
    &["show", "--textconv", "HEAD:file"],
    &["-p", "blame", "--textconv", "file"],
    &["cat-file", "--textconv", "HEAD:file"],
    &["cat-file", "--filters", "HEAD:other"],
    &["grep", "--textconv", "COMMITTED"],
    &["grep", "-O", "COMMITTED"],
    &["evil"],
    &["var", "GIT_EDITOR"],
    &["config", "--edit"],
    &["add", "file", "other"],
    &["add", "-p", "file"],
    &["stash"],
    &["commit", "-a", "-m", "y"],
    &["commit", "--no-verify", "-a", "--amend"],
    &["tag", "-s", "-m", "x", "signed"],
    &["verify-commit", "HEAD"],
    &["checkout", "--", "file", "other"],
    &["checkout", "-b", "branch"],
    &["reset", "--hard"],
    &["merge", "side"],
    &["rebase", "-i", "--root"],
    &["cherry-pick", "side"],
    &["worktree", "add", "--detach", "tree"],
    &["fetch", "origin"],
    &["fetch", "helped"],
    &["fetch", "--upload-pack=programs/uploadpack", "."],
    &["ls-remote", "origin"],
    &["ls-remote", "ext::sh -c touch% ran-ext-remote"],
    &["ls-remote", "https://localhost:1/x"],
    &["push", "origin", "HEAD"],
    &["archive", "--format=evil", "HEAD"],
    &["submodule", "update", "--init"],
    &["submodule", "foreach", "touch ../ran-foreach"],
    &[
        "interpret-trailers",
        "--trailer",
        "evil=x",
        "--trailer",
        "older=x",
    ],
    &["difftool", "-y"],
    &["mergetool", "-y"],
    &["help", "-m", "status"],
    &["gc", "--auto"],
    &["bisect", "run", "programs/core-editor"],
];

fn hostile(name: &str, remote: &str) -> Place {
    let place = Place::new(name);
    named_git::furnish(&place.repo(), remote);
    place
}

/// Whether a program of the repository's was heard. One that can write nothing leaves no mark.
pub(crate) fn started(done: &Output) -> bool {
    let said = [&done.stdout, &done.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
    said.iter().any(|said| said.contains(named_git::STARTED))
}

#[test]
fn whatever_a_repository_names_git_does_not_start_it() {
    for (at, remote) in named_git::REMOTES.iter().enumerate() {
        let place = hostile(&format!("git-{at}"), remote).governed();
        for words in ASKED {
            assert!(!started(&place.git(words)), "{words:?}");
            assert_eq!(named_git::ran(&place.repo()), [""; 0], "{words:?}");
        }
    }
}

#[test]
fn the_same_repository_has_git_itself_start_them() {
    let (mut all, mut heard) = (Vec::new(), 0);
    for (at, remote) in named_git::REMOTES.iter().enumerate() {
        let place = hostile(&format!("git-itself-{at}"), remote);
        for words in ASKED {
            heard += usize::from(started(&place.git(words)));
        }
        all.extend(named_git::ran(&place.repo()));
    }
    assert!(heard > 60, "{heard} commands started one that was heard");
    for wanted in [
        "alias-evil",
        "core-editor",
        "core-fsmonitor",
        "core-pager",
        "diff-evil-textconv",
        "diff-external",
        "ext",
        "ext-remote",
        "filter-evil-clean",
        "filter-evil-smudge",
        "filter-lasting-process",
        "gpg-program",
        "helped",
        "hook-post-checkout",
        "hook-post-index-change",
        "hook-pre-commit",
        "included",
        "insteadx",
        "man-evil-cmd",
        "sequence-editor",
        "tar-evil-command",
        "trailer-evil-cmd",
    ] {
        let mark = format!("ran-{wanted}");
        assert!(all.contains(&mark), "{wanted} did not run: {all:?}");
    }
}

/// Endings of keys that name a program.
const ENDINGS: [&str; 27] = [
    "askpass",
    "browser",
    "clean",
    "cmd",
    "command",
    "difffilter",
    "driver",
    "editor",
    "external",
    "fsmonitor",
    "gitproxy",
    "helper",
    "hook",
    "hookspath",
    "httpd",
    "pager",
    "process",
    "program",
    "receivepack",
    "smudge",
    "sshcommand",
    "textconv",
    "tunnel",
    "uploadpack",
    "vcs",
    "smtpserver",
    "sendmailcmd",
];
/// Keys with such an ending that name none.
const HARMLESS: [&str; 7] = [
    "advice.waitingforeditor",
    "advice.ignoredhook",
    "color.pager",
    "column.clean",
    "diff.<driver>.cachetextconv",
    "gitcvs.dbdriver",
    // Set for a remote of its own.
    "remote.<name>.vcs",
];

/// The first and the last part of a key, as git compares them.
pub(crate) fn parts(key: &str) -> (String, String) {
    let key = key.to_ascii_lowercase();
    let (first, rest) = key.split_once('.').unwrap_or_default();
    let last = rest.rsplit('.').next().unwrap_or_default();
    (first.to_owned(), last.to_owned())
}

#[test]
fn every_key_of_this_git_that_names_a_program_is_tried() {
    let place = Place::new("git-keys");
    let tried = named_git::COMMANDS.map(parts);
    let keys = place.said(&["help", "--config"]);
    let keys = keys.lines().map(str::to_ascii_lowercase);
    let keys: Vec<_> = keys
        .filter(|key| !key.contains(char::is_whitespace) && key.contains('.'))
        .filter(|key| ENDINGS.iter().any(|ending| key.ends_with(ending)))
        .filter(|key| !HARMLESS.contains(&key.as_str()) && key != "core.hookspath")
        .collect();
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        assert!(tried.contains(&parts(&key)), "{key} is not tried");
    }
}

#[test]
fn what_a_harness_asks_git_to_know_it_is_told() {
    let place = Place::new("git-honest");
    for words in [
        &["init", "-q", "-b", "main"][..],
        &["commit", "-q", "--allow-empty", "-m", "The first commit"],
        &["remote", "add", "origin", "https://localhost/x.git"],
    ] {
        place.said(words);
    }
    fs::write(place.repo().join("new"), "x").unwrap();
    fs::write(place.repo().join(".gitignore"), "out\n").unwrap();
    place.said(&["add", "new"]);
    let asked: [&[&str]; 10] = [
        &["status"],
        &[
            "--no-optional-locks",
            "status",
            "--short",
            "--ignore-submodules=dirty",
        ],
        &["--no-optional-locks", "log", "--oneline", "-n", "5"],
        &["rev-parse", "--is-inside-work-tree", "--show-cdup"],
        &["rev-parse", "--abbrev-ref", "HEAD"],
        &["ls-files", "--others", "--cached", "--exclude-standard"],
        &["check-ignore", "out"],
        &["remote", "get-url", "origin"],
        &["config", "--local", "--includes", "-z", "--list"],
        &["diff", "--cached"],
    ];
    let plain = asked.map(|words| place.said(words));
    let place = place.governed();
    assert_eq!(asked.map(|words| place.said(words)), plain);
    let help = place.git(&["evil"]);
    assert_eq!(
        help.status.code(),
        Some(1),
        "its own ends are git's: {help:?}"
    );
}

#[test]
fn git_says_that_it_starts_nothing_and_changes_nothing() {
    let place = hostile("git-writes", "ssh://localhost/x").governed();
    let head = fs::read(place.repo().join(".git/HEAD")).unwrap();
    for (words, said) in [
        (&["diff"][..], "core-fsmonitor"),
        (&["ls-remote", "origin"], "included"),
        (&["commit", "-a", "-m", "y"], "index.lock"),
        (&["checkout", "-b", "branch"], "branch.lock"),
        (&["init", "made"], "made"),
    ] {
        let done = place.git(words);
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(told.contains("Permission denied"), "{words:?}: {told}");
        assert!(told.contains(said), "{words:?}: {told}");
        assert!(!done.status.success());
    }
    assert_eq!(fs::read(place.repo().join(".git/HEAD")).unwrap(), head);
    assert!(!place.repo().join("made").exists());
}

#[test]
fn git_connects_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let remote = format!("git://{}/x", listener.local_addr().unwrap());
    let place = Place::new("git-connects").governed();
    let done = place.git(&["ls-remote", &remote]);
    assert!(!done.status.success(), "{done:?}");
    assert!(listener.accept().is_err());
}

/// What loads programs: to be started, every other must be allowed to be loaded by it.
const LOADERS: [&str; 2] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];

#[test]
fn nor_does_it_start_what_would_load_another() {
    let loader = LOADERS
        .into_iter()
        .find(|loader| Path::new(loader).exists());
    let place = Place::new("git-loads");
    fs::create_dir(place.repo().join("sub")).unwrap();
    fs::copy("/bin/echo", place.repo().join("sub/program")).unwrap();
    fs::write(place.repo().join("sub/words"), "GNU\n").unwrap();
    for words in [
        &["init", "-q"][..],
        &["add", "sub"],
        &["config", "core.pager", loader.unwrap()],
    ] {
        place.said(words);
    }
    // What is found is named to the pager: echo is loaded, and says the other name.
    let found = ["grep", "-O", "GNU"];
    assert_eq!(place.said(&found), "sub/words\n");
    let place = place.governed();
    let done = place.git(&found);
    assert!(done.stdout.is_empty(), "{done:?}");
}

#[test]
fn where_there_is_no_git_it_says_so() {
    let mut place = Place::new("git-none").governed();
    let own = place.root.join("bin");
    symlink("/usr/bin/timeout", own.join("timeout")).unwrap();
    place.path = own.into_os_string();
    let done = place.git(&["status"]);
    assert_eq!(done.status.code(), Some(126));
    assert_eq!(
        String::from_utf8(done.stderr).unwrap(),
        "agp: the harness's git: git: not found\n"
    );
}
