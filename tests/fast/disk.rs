//! The real file system: links, hard links, loops, what is not there, what is no file.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "whatever fails here fails the test"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use agp::contracts::limits;
use agp::disk::{Grounds, LocalDisk, Looking, PathsThread};
use agp::reading::disk::{Disk, FileKind};

/// A repository, a home and a temporary directory: gone with the test.
struct Laid(PathBuf);

impl Laid {
    fn out(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("agp-disk-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for name in ["repo/.git/hooks", "repo/src", "home", "tmp", "else"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let root = root.canonicalize().unwrap();
        for name in [
            "repo/.git/HEAD",
            "repo/src/a.rs",
            "repo/src/b.rs",
            "repo/.env",
            "else/x",
        ] {
            fs::write(root.join(name), "x").unwrap();
        }
        Self(root)
    }

    fn grounds(&self) -> Grounds {
        Grounds::new(
            &self.0.join("repo"),
            &self.0.join("home"),
            &self.0.join("tmp"),
        )
    }

    fn disk(&self) -> LocalDisk {
        LocalDisk::new(self.grounds())
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Where a path of this place leads, from this place.
    fn real(&self, name: &str) -> Option<String> {
        let found = self.disk().looking().resolve(&self.at(name))?;
        let real = found.real.strip_prefix(self.0.to_str().unwrap());
        Some(real.map_or(found.real.clone(), |real| {
            real.trim_start_matches('/').to_owned()
        }))
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_path_leads_where_the_kernel_takes_it() {
    let laid = Laid::out("links");
    let link = |target: &str, name: &str| symlink(target, laid.0.join("repo").join(name)).unwrap();
    link(".git/hooks/pre-commit", "docs.md");
    link("../else", "away");
    link("loop2", "loop");
    link("loop", "loop2");
    link("self", "self");
    link("docs.md", "twice");
    link(&laid.at("else/x"), "absolute");
    let hooked = "repo/.git/hooks/pre-commit";
    for (name, real) in [
        ("repo/src/a.rs", Some("repo/src/a.rs")),
        ("repo/src/../.env", Some("repo/.env")),
        ("repo/docs.md", Some(hooked)),
        ("repo/twice", Some(hooked)),
        ("repo/away/x", Some("else/x")),
        // `..` behind a link is where the link leads, not where it stands.
        ("repo/away/../repo/.env", Some("repo/.env")),
        ("repo/away/../.env", Some(".env")),
        ("repo/absolute", Some("else/x")),
        ("repo/none/new.txt", Some("repo/none/new.txt")),
        ("repo/none/../.env", Some("repo/.env")),
        ("repo/away/none", Some("else/none")),
        ("repo/src/a.rs/x", Some("repo/src/a.rs/x")),
        ("repo/loop", None),
        ("repo/loop/x", None),
        ("repo/self", None),
    ] {
        assert_eq!(laid.real(name).as_deref(), real, "{name}");
    }
    let disk = laid.disk();
    let looking = disk.looking();
    assert_eq!(looking.resolve("/proc/self/root/etc"), None);
    assert_eq!(looking.resolve("relative"), None);
    let kind = |name: &str| looking.resolve(&laid.at(name)).unwrap().kind;
    assert_eq!(kind("repo/src"), Some(FileKind::Directory));
    assert_eq!(kind("repo/src/a.rs"), Some(FileKind::File));
    assert_eq!(kind("repo/none"), None);
    assert_eq!(
        looking.resolve("/dev/null").unwrap().kind,
        Some(FileKind::Special)
    );
    // Changed meanwhile: it is looked at anew each time.
    fs::remove_file(laid.0.join("repo/twice")).unwrap();
    link("src/a.rs", "twice");
    assert_eq!(laid.real("repo/twice").as_deref(), Some("repo/src/a.rs"));
}

#[test]
fn another_name_of_a_file_is_the_same_file() {
    let laid = Laid::out("hard");
    fs::hard_link(laid.0.join("repo/.env"), laid.0.join("repo/notes.txt")).unwrap();
    let disk = laid.disk();
    let looking = disk.looking();
    let found = |name: &str| looking.resolve(&laid.at(name)).unwrap();
    assert!(found("repo/notes.txt").other_names);
    assert_eq!(
        found("repo/notes.txt").identity,
        found("repo/.env").identity
    );
    assert!(!found("repo/src/a.rs").other_names);
    assert!(!found("repo/src").other_names, "a directory always has");
    assert_ne!(
        found("repo/src/a.rs").identity,
        found("repo/src/b.rs").identity
    );
}

#[test]
fn a_sandbox_s_own_directories_are_looked_at_where_they_lie() {
    let laid = Laid::out("placed");
    laid.write("scratch/home/.gitconfig", "[alias]\n\tst = status\n");
    laid.write("scratch/x", "");
    symlink(laid.at("repo/.env"), laid.0.join("scratch/link")).unwrap();
    symlink("/tmp/x", laid.0.join("scratch/own")).unwrap();
    symlink("/tmp/link", laid.0.join("repo/out")).unwrap();
    let repository = laid.0.join("repo");
    let grounds = Grounds {
        repository: repository.clone(),
        home: "/tmp/home".into(),
        temporary: "/tmp".into(),
        // The repository may lie below what stands elsewhere.
        placed: vec![
            ("/tmp".into(), laid.0.join("scratch")),
            (repository.clone(), repository),
        ],
        elsewhere: false,
    };
    let thread = PathsThread::start(grounds.clone()).unwrap();
    let local = LocalDisk::new(grounds);
    let real = |path: &str| {
        let real = local.looking().resolve(path).unwrap().real;
        assert_eq!(thread.looking().resolve(path).unwrap().real, real);
        real
    };
    for (path, leads) in [
        ("/tmp/link", laid.at("repo/.env")),
        (&laid.at("repo/out"), laid.at("repo/.env")),
        ("/tmp/own", "/tmp/x".to_owned()),
        ("/tmp/none/y", "/tmp/none/y".to_owned()),
        ("/tmp/home/../link", laid.at("repo/.env")),
    ] {
        assert_eq!(real(path), leads, "{path}");
    }
    let mut names = thread.looking().names("/tmp").unwrap();
    names.sort();
    assert_eq!(names, ["home", "link", "own", "x"]);
    let git = thread.looking().git(&laid.at("repo")).unwrap();
    assert_eq!(git.aliases, [("st".to_owned(), "status".to_owned())]);
}

#[test]
fn a_container_has_the_repository_elsewhere_and_the_rest_of_its_own() {
    let laid = Laid::out("container");
    symlink("/repo/.env", laid.0.join("repo/link")).unwrap();
    symlink(laid.at("repo/.env"), laid.0.join("repo/of-the-host")).unwrap();
    laid.write("repo/run.sh", "echo hi\n");
    let grounds = Grounds {
        repository: "/repo".into(),
        home: "/tmp/home".into(),
        temporary: "/tmp".into(),
        placed: vec![("/repo".into(), laid.0.join("repo"))],
        elsewhere: true,
    };
    let thread = PathsThread::start(grounds).unwrap();
    let real = |path: &str| thread.looking().resolve(path).unwrap().real;
    for (path, leads) in [
        ("/repo/link", "/repo/.env"),
        ("/repo/src/../.env", "/repo/.env"),
        ("/repo/src/a.rs", "/repo/src/a.rs"),
        // There is no such directory inside.
        ("/repo/of-the-host", &laid.at("repo/.env")),
        ("/etc/passwd", "/etc/passwd"),
        ("/tmp/../repo/link", "/repo/.env"),
    ] {
        assert_eq!(real(path), leads, "{path}");
    }
    let looking = thread.looking();
    assert_eq!(looking.resolve("/etc/passwd").unwrap().kind, None);
    assert_eq!(looking.names("/tmp"), Some(Vec::new()));
    assert_eq!(looking.script("/repo/run.sh").as_deref(), Some("echo hi\n"));
    let mut below = thread.looking().below("/repo/src", false).unwrap();
    below.sort();
    assert_eq!(below, ["a.rs", "b.rs"]);
}

#[test]
fn names_are_listed_within_the_grounds_and_up_to_a_bound() {
    let laid = Laid::out("names");
    let disk = laid.disk();
    let sorted = |name: &str| {
        let mut names = disk.looking().names(&laid.at(name))?;
        names.sort();
        Some(names)
    };
    assert_eq!(sorted("repo/src").unwrap(), ["a.rs", "b.rs"]);
    assert_eq!(sorted("repo/none").unwrap(), Vec::<String>::new());
    assert_eq!(sorted("else"), None);
    symlink(laid.at("else"), laid.0.join("repo/away")).unwrap();
    assert_eq!(sorted("repo/away"), None, "the link leads out");
    for n in 0..limits::DISK_NAMES {
        laid.write(&format!("tmp/many/{n}"), "");
    }
    assert_eq!(sorted("tmp/many").unwrap().len(), limits::DISK_NAMES);
    assert!(disk.looking().below(&laid.at("tmp/many"), false).is_some());
    laid.write("tmp/many/more", "");
    assert_eq!(sorted("tmp/many"), None);
    assert_eq!(disk.looking().below(&laid.at("tmp/many"), false), None);
}

#[test]
fn a_tree_is_walked_without_links_and_what_git_ignores() {
    let laid = Laid::out("tree");
    laid.write("repo/.gitignore", "target/\n*.log\n!keep.log\n/.env\n");
    laid.write("repo/target/x/y", "");
    laid.write("repo/src/a.log", "");
    laid.write("repo/src/keep.log", "");
    laid.write("repo/src/deep/.gitignore", "b*\n");
    laid.write("repo/src/deep/b1", "");
    laid.write("repo/src/deep/c1", "");
    laid.write("repo/.git/info/exclude", "secret*\n");
    laid.write("repo/secret.txt", "");
    symlink(laid.at("else"), laid.0.join("repo/src/away")).unwrap();
    let disk = laid.disk();
    let below = |name: &str, leave: bool| {
        let mut names = disk.looking().below(&laid.at(name), leave).unwrap();
        names.sort();
        names
    };
    let all = [
        "a.log",
        "a.rs",
        "b.rs",
        "deep/.gitignore",
        "deep/b1",
        "deep/c1",
        "keep.log",
    ];
    assert_eq!(below("repo/src", false), all);
    assert_eq!(
        below("repo/src", true),
        ["a.rs", "b.rs", "deep/.gitignore", "deep/c1", "keep.log"]
    );
    assert!(below("repo", false).contains(&".git/HEAD".to_owned()));
    let left = below("repo", true);
    assert!(
        !left
            .iter()
            .any(|name| [".env", "target/x/y", "secret.txt", ".git/HEAD"].contains(&name.as_str()))
    );
    assert!(left.contains(&".gitignore".to_owned()));
    for (name, expected) in [
        ("repo/.env", Some(true)),
        ("repo/target/x/y", Some(true)),
        ("repo/target", Some(true)),
        ("repo/target/new", Some(true)),
        ("repo/src/a.log", Some(true)),
        ("repo/src/keep.log", Some(false)),
        ("repo/secret.txt", Some(true)),
        ("repo/src/a.rs", Some(false)),
        ("repo/.git/HEAD", Some(false)),
        ("else/x", None),
    ] {
        assert_eq!(disk.looking().ignored(&laid.at(name)), expected, "{name}");
    }
}

#[test]
fn only_scripts_of_the_repository_are_opened() {
    let laid = Laid::out("scripts");
    laid.write("repo/run.sh", "echo hi\n");
    laid.write("home/run.sh", "echo hi\n");
    laid.write("repo/long.sh", &"x".repeat(64 * 1024 + 1));
    fs::write(laid.0.join("repo/bytes"), b"\xff\0").unwrap();
    fs::write(laid.0.join("repo/latin.sh"), b"#!/bin/sh\n# \xe9\n").unwrap();
    symlink(laid.at("home/run.sh"), laid.0.join("repo/link.sh")).unwrap();
    let fifo = laid.at("repo/fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let disk = laid.disk();
    let script = |name: &str| disk.looking().script(&laid.at(name));
    assert_eq!(script("repo/run.sh").as_deref(), Some("echo hi\n"));
    assert_eq!(script("repo/long.sh").unwrap().len(), 64 * 1024 + 1);
    let latin = script("repo/latin.sh");
    assert_eq!(latin.as_deref(), Some("#!/bin/sh\n# \u{fffd}\n"));
    for name in [
        "home/run.sh",
        "repo/bytes",
        "repo/link.sh",
        "repo/fifo",
        "repo/none",
        "repo/src",
    ] {
        assert_eq!(script(name), None, "{name}");
    }
    let disk = laid.disk();
    let looking = disk.looking();
    assert_eq!(
        looking.resolve(&fifo).unwrap().kind,
        Some(FileKind::Special)
    );
}

#[test]
fn from_the_end_of_its_time_on_nothing_is_known() {
    let laid = Laid::out("late");
    let grounds = laid.grounds();
    let late = Looking::until(&grounds, std::time::Instant::now());
    let repository = laid.at("repo");
    assert_eq!(late.resolve(&repository), None);
    assert_eq!(late.names(&repository), None);
    assert_eq!(late.below(&repository, true), None);
    assert_eq!(late.script(&laid.at("repo/src/a.rs")), None);
    assert_eq!(late.git(&repository), None);
    assert_eq!(late.ignored(&repository), None);
}

#[test]
fn what_a_directory_hides_may_be_anything_where_the_session_writes() {
    let laid = Laid::out("hidden");
    laid.write("repo/closed/x", "");
    let closed = laid.0.join("repo/closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let found = laid.real("repo/closed/x");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    // Root sees it all the same.
    let root = rustix::process::geteuid().is_root();
    assert_eq!(found.as_deref(), root.then_some("repo/closed/x"));
}

/// What git itself says there.
fn git(directory: &Path, home: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

#[test]
fn git_s_configuration_says_what_git_says() {
    let laid = Laid::out("git");
    let (repo, home) = (laid.0.join("repo"), laid.0.join("home"));
    fs::remove_dir_all(repo.join(".git")).unwrap();
    git(&repo, &home, &["init", "-q", "-b", "topic"]);
    for (key, value) in [
        ("remote.origin.url", "gh:o/r.git"),
        ("remote.other.url", "https://other.example/x"),
        ("remote.other.pushurl", "https://push.example/x"),
        ("url.https://github.com/.insteadOf", "gh:"),
        ("url.ssh://git@github.com/.pushInsteadOf", "gh:"),
        ("branch.topic.remote", "other"),
        ("alias.st", "status -s"),
        ("alias.x", "!sh -c 'a \"b\"; c'"),
        ("core.fsmonitor", "./evil.sh"),
        ("filter.x.clean", "./clean"),
    ] {
        git(&repo, &home, &["config", key, value]);
    }
    laid.write(
        "home/.gitconfig",
        "[core]\n\tpager = less\n[alias]\n\tco = checkout\n",
    );
    laid.write("repo/.git/hooks/pre-push", "");
    let hook = laid.0.join("repo/.git/hooks/pre-push");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let disk = laid.disk();
    let found = disk.looking().git(&laid.at("repo/src")).unwrap();
    let remote = |name: &str| {
        let urls = found.remotes.iter().filter(|(known, _)| known == name);
        urls.map(|(_, url)| url.as_str()).collect::<Vec<_>>()
    };
    for name in ["origin", "other"] {
        let fetched = git(&repo, &home, &["remote", "get-url", name]);
        let pushed = git(&repo, &home, &["remote", "get-url", "--push", name]);
        assert!(!fetched.is_empty());
        assert_eq!(remote(name), [fetched, pushed], "{name}");
    }
    assert_eq!(found.branch.as_deref(), Some("topic"));
    assert_eq!(found.upstream.as_deref(), Some("other"));
    for (alias, stands) in &found.aliases {
        assert_eq!(
            *stands,
            git(&repo, &home, &["config", &format!("alias.{alias}")])
        );
    }
    assert_eq!(found.aliases.len(), 3);
    // The user's own pager is the user's.
    assert_eq!(found.programs, ["core.fsmonitor", "filter.x.clean"]);
    assert_eq!(found.hooks, ["pre-push"]);
    assert!(found.diversions.is_empty());

    // From a worktree, whose directories stand elsewhere.
    git(
        &repo,
        &home,
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x",
            "commit",
            "-qm",
            "x",
            "--allow-empty",
            "--no-verify",
        ],
    );
    git(
        &repo,
        &home,
        &[
            "-c",
            "core.fsmonitor=",
            "worktree",
            "add",
            "-q",
            &laid.at("tmp/tree"),
            "-b",
            "side",
        ],
    );
    let there = disk.looking().git(&laid.at("tmp/tree")).unwrap();
    assert_eq!(there.branch.as_deref(), Some("side"));
    assert_eq!(there.remotes, found.remotes);
    assert_eq!(there.programs, found.programs);
    let elsewhere = Grounds::new(&laid.0.join("tmp/tree"), &home, &laid.0.join("none"));
    let files = elsewhere.git_files();
    assert!(
        files.contains(&repo.join(".git/config")) && files.contains(&home.join(".gitconfig")),
        "{files:?}"
    );
}

#[test]
fn a_configuration_that_sends_a_push_elsewhere_is_known() {
    let upstream: &[&str] = &[
        "push.default=upstream",
        "branch.topic.merge=refs/heads/main",
    ];
    for (entries, diverts) in [
        (
            &[
                ("push.default", "simple"),
                ("branch.topic.merge", "refs/heads/main"),
            ][..],
            &[][..],
        ),
        (
            &[
                ("push.default", "current"),
                ("remote.origin.mirror", "false"),
            ],
            &[],
        ),
        (
            &[
                ("push.default", "upstream"),
                ("branch.topic.merge", "refs/heads/main"),
            ],
            upstream,
        ),
        (&[("push.default", "matching")], &["push.default=matching"]),
        (
            &[("remote.origin.push", "topic:main")],
            &["remote.origin.push=topic:main"],
        ),
        (
            &[("remote.origin.mirror", "true")],
            &["remote.origin.mirror=true"],
        ),
        (
            &[("push.recurseSubmodules", "on-demand")],
            &["push.recursesubmodules=on-demand"],
        ),
    ] {
        let laid = Laid::out("diverted");
        let (repo, home) = (laid.0.join("repo"), laid.0.join("home"));
        fs::remove_dir_all(repo.join(".git")).unwrap();
        git(&repo, &home, &["init", "-q", "-b", "topic"]);
        for (key, value) in entries {
            git(&repo, &home, &["config", key, value]);
        }
        let found = laid.disk().looking().git(&laid.at("repo")).unwrap();
        assert_eq!(found.diversions, diverts);
    }
}

#[test]
fn what_is_included_counts_and_what_cannot_be_read_is_not_known() {
    let laid = Laid::out("include");
    laid.write(
        "repo/.git/config",
        "[include]\n\tpath = more\n[includeIf \"onbranch:x\"]\n\tpath = ~/maybe\n",
    );
    laid.write(
        "repo/.git/more",
        "[core]\nfsmonitor = x\n[include]\npath = more\n",
    );
    laid.write("home/maybe", "[core]\nsshCommand = x\n");
    let disk = laid.disk();
    let found = || disk.looking().git(&laid.at("repo"));
    // A file that includes itself has no end.
    assert_eq!(found(), None);
    laid.write(
        "repo/.git/more",
        "[core]\nfsmonitor = x\n[include]\npath = none\n",
    );
    let mut programs = found().unwrap().programs;
    programs.sort();
    assert_eq!(programs, ["core.fsmonitor", "core.sshcommand"]);
    laid.write("home/maybe", "[core\n");
    assert_eq!(found(), None);
    // A bare repository within the repository is one, too.
    for name in ["inner/objects/x", "inner/refs/x"] {
        laid.write(&format!("repo/{name}"), "");
    }
    laid.write("repo/inner/HEAD", "ref: refs/heads/main\n");
    laid.write(
        "repo/inner/config",
        "[core]\nbare = true\nfsmonitor = ./x\n",
    );
    let inner = disk.looking().git(&laid.at("repo/inner")).unwrap();
    assert_eq!(
        (inner.branch.as_deref(), inner.programs.as_slice()),
        (Some("main"), &["core.fsmonitor".to_owned()][..])
    );
    // No repository at all.
    let none = disk.looking().git(&laid.at("tmp")).unwrap();
    assert_eq!(none, agp::reading::disk::Git::default());
}

#[test]
fn the_thread_says_the_same_until_its_time_is_over() {
    let laid = Laid::out("thread");
    laid.write("repo/run.sh", "echo hi\n");
    laid.write("repo/.gitignore", "*.log\n");
    laid.write("home/.gitconfig", "[alias]\nx = status\n");
    let thread = PathsThread::start(laid.grounds()).unwrap();
    let disk = laid.disk();
    let (near, far) = (disk.looking(), thread.looking());
    for name in [
        "repo/run.sh",
        "repo/x.log",
        "repo/src",
        "repo",
        "home/.gitconfig",
        "tmp",
        "else/x",
    ] {
        let path = laid.at(name);
        assert_eq!(far.resolve(&path), near.resolve(&path), "{name}");
        assert_eq!(far.names(&path), near.names(&path), "{name}");
        assert_eq!(far.below(&path, true), near.below(&path, true), "{name}");
        assert_eq!(far.script(&path), near.script(&path), "{name}");
        assert_eq!(far.git(&path), near.git(&path), "{name}");
        assert_eq!(far.ignored(&path), near.ignored(&path), "{name}");
    }
    assert_eq!(
        far.script(&laid.at("repo/run.sh")).as_deref(),
        Some("echo hi\n")
    );
    assert_eq!(far.git(&laid.at("repo")).unwrap().aliases.len(), 1);
    assert!(far.looks());
    // The budget is the call's: once it is spent, no answer comes.
    for _ in 0..limits::DISK_LOOKS {
        let _ = far.resolve(&laid.at("repo"));
    }
    assert_eq!(far.resolve(&laid.at("repo")), None);
    assert!(thread.looking().resolve(&laid.at("repo")).is_some());
}
