//! A repository whose git configuration names a program wherever it can, each of which leaves a mark.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Keys of git's configuration whose value is a command or a program.
pub(crate) const COMMANDS: [&str; 60] = [
    "alias.evil",
    "alias.log",
    "alias.status",
    "browser.evil.cmd",
    "browser.firefox.path",
    "core.alternateRefsCommand",
    "core.askPass",
    "core.editor",
    "core.fsmonitor",
    "core.gitProxy",
    "core.pager",
    "core.sshCommand",
    "credential.helper",
    "credential.https://localhost.helper",
    "diff.evil.command",
    "diff.evil.textconv",
    "diff.external",
    "difftool.evil.cmd",
    "difftool.meld.path",
    "filter.evil.clean",
    "filter.evil.smudge",
    "filter.lasting.process",
    "gc.recentObjectsHook",
    "gpg.openpgp.program",
    "gpg.program",
    "gpg.ssh.defaultKeyCommand",
    "gpg.ssh.program",
    "gpg.x509.program",
    "guitool.evil.cmd",
    "help.browser",
    "hook.evil.command",
    "imap.tunnel",
    "instaweb.browser",
    "instaweb.httpd",
    "interactive.diffFilter",
    "man.evil.cmd",
    "man.man.path",
    "merge.evil.driver",
    "mergetool.evil.cmd",
    "mergetool.meld.path",
    "pager.blame",
    "pager.diff",
    "pager.log",
    "pager.show",
    "pager.status",
    "remote.origin.receivepack",
    "remote.origin.uploadpack",
    "sendemail.ccCmd",
    "sendemail.headerCmd",
    "sendemail.sendmailCmd",
    "sendemail.smtpServer",
    "sendemail.toCmd",
    "sequence.editor",
    "submodule.sub.update",
    "svn.authorsProg",
    "tar.evil.command",
    "trailer.evil.cmd",
    "trailer.older.command",
    "uploadpack.packObjectsHook",
    "web.browser",
];

/// The remotes by which git would start a program.
pub(crate) const REMOTES: [&str; 3] = [
    "ssh://localhost/x",
    "ext::sh -c touch% ran-ext",
    "instead:x",
];

/// Hooks of a repository.
const HOOKS: [&str; 13] = [
    "commit-msg",
    "fsmonitor-watchman",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "pre-auto-gc",
    "pre-commit",
    "pre-push",
    "pre-rebase",
    "prepare-commit-msg",
    "reference-transaction",
    "update",
];

pub(crate) fn git(repo: &Path, words: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=x", "-c", "user.email=x@localhost"]);
    let done = git.args(words).current_dir(repo).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn put(repo: &Path, name: &str, text: &str) {
    let path = repo.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What each program says, where it cannot leave a mark.
pub(crate) const STARTED: &str = "started-by-the-repository";

/// A program of the repository's that leaves a mark.
pub(crate) fn leaving(repo: &Path, mark: &str) -> String {
    let mark = mark.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let name = format!("programs/{mark}");
    let made = repo.join(format!("ran-{mark}"));
    let script = format!(
        "#!/bin/sh\necho {STARTED} >&2\ntouch '{}'\nexec timeout 0.2 cat\n",
        made.display()
    );
    put(repo, &name, &script);
    let path = repo.join(&name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The marks that were left.
pub(crate) fn ran(repo: &Path) -> Vec<String> {
    let entries = fs::read_dir(repo).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut ran: Vec<_> = names.filter(|name| name.starts_with("ran-")).collect();
    ran.sort();
    ran
}

/// A repository whose git names a program wherever it can, with this remote.
pub(crate) fn furnish(repo: &Path, remote: &str) {
    git(repo, &["init", "-q"]);
    for name in ["file", "other"] {
        put(repo, name, "committed\n");
    }
    git(repo, &["add", "file", "other"]);
    git(repo, &["commit", "-q", "-m", "x"]);
    // Whether a file of the same length is another one is seen behind its filter.
    let attributes = "file filter=evil diff=evil merge=evil\nother filter=lasting\n";
    put(repo, ".gitattributes", attributes);
    for name in ["file", "other"] {
        put(repo, name, "COMMITTED\n");
    }
    let modules =
        "[submodule \"sub\"]\n\tpath = sub\n\turl = ./sub\n\tupdate = !touch ran-gitmodules\n";
    put(repo, ".gitmodules", modules);
    for key in COMMANDS {
        let program = leaving(repo, key);
        let shell = ["alias.", "credential.", "submodule."];
        let program = match shell.iter().any(|begin| key.starts_with(begin)) {
            true => format!("!{program}"),
            false => program,
        };
        git(repo, &["config", key, &program]);
    }
    let hooks = repo.join("hooks");
    fs::create_dir(&hooks).unwrap();
    for name in HOOKS {
        let program = leaving(repo, &format!("hook-{name}"));
        fs::copy(&program, hooks.join(name)).unwrap();
        let inside = leaving(repo, &format!("own-hook-{name}"));
        fs::copy(&inside, repo.join(".git/hooks").join(name)).unwrap();
    }
    // By a file that is included, and by the work tree's own.
    let included = leaving(repo, "included");
    put(
        repo,
        "included",
        &format!("[core]\n\tsshCommand = {included}\n"),
    );
    git(repo, &["config", "extensions.worktreeConfig", "true"]);
    let own = leaving(repo, "worktree");
    git(repo, &["config", "--worktree", "core.askPass", &own]);
    for (key, value) in [
        ("include.path", repo.join("included").to_str().unwrap()),
        ("core.hooksPath", repo.join("hooks").to_str().unwrap()),
        ("hook.evil.event", "post-index-change"),
        ("log.showSignature", "true"),
        ("commit.gpgSign", "true"),
        ("protocol.ext.allow", "always"),
        ("protocol.allow", "always"),
        ("url.ext::sh -c touch% ran-instead.insteadOf", "instead:"),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ("remote.origin.url", remote),
        ("remote.helped.url", "sh -c touch% ran-helped"),
        ("remote.helped.vcs", "ext"),
        ("trailer.evil.key", "Evil"),
        ("trailer.older.key", "Older"),
        ("diff.tool", "evil"),
        ("merge.tool", "evil"),
        ("difftool.prompt", "false"),
        ("man.viewer", "evil"),
    ] {
        git(repo, &["config", key, value]);
    }
    // What making it has run.
    for mark in ran(repo) {
        fs::remove_file(repo.join(mark)).unwrap();
    }
}
