//! Each category of dangerous paths, and the honest neighbours of them.

use super::*;
use crate::reading::disk::{Git, NoDisk, Resolved};

fn at() -> Surroundings {
    Surroundings {
        directory: "/home/u/repo".into(),
        repository: "/home/u/repo".into(),
        home: "/home/u".into(),
        temporary: "/tmp".into(),
        agp: vec!["/home/u/.agp".into(), "/usr/bin/agp".into()],
        ..Surroundings::default()
    }
}

fn categories(place: &Place, used: Use) -> Vec<Category> {
    let dangers = of_place(place, used, &at(), &NoDisk);
    dangers.into_iter().map(|danger| danger.category).collect()
}

fn known(path: &str) -> Place {
    Place::at(PathText::Known(path.into()))
}

#[test]
fn a_dangerous_path_is_found_as_it_is_written() {
    use Category::{Container, Credentials, Disk, Persistence, Privilege, SupplyChain, Tampering};
    use Use::{Read, Write};
    for (used, path, expected) in [
        (Read, "/home/u/.ssh/id_ed25519", Some(Credentials)),
        (Read, "/home/u/.ssh", Some(Credentials)),
        (Read, "/home/u/x/../.SSH/config", Some(Credentials)),
        (Read, "/home/other/.aws/credentials", Some(Credentials)),
        (Read, "/root/.netrc", Some(Credentials)),
        (Read, "/home/u/.netrc", Some(Credentials)),
        (Read, "/home/u/.config/gh/hosts.yml", Some(Credentials)),
        (Read, "/home/u/.docker/config.json", Some(Credentials)),
        (Read, "/home/u/.kube/config", Some(Credentials)),
        (
            Read,
            "/home/u/.mozilla/firefox/x/logins.json",
            Some(Credentials),
        ),
        (Read, "/home/u/.bash_history", Some(Credentials)),
        (Read, "/etc/shadow", Some(Credentials)),
        (Read, "/etc/shadow-", Some(Credentials)),
        (Read, "/home/u/repo/server.key", Some(Credentials)),
        (Read, "/home/u/repo/deploy/privkey.pem", Some(Credentials)),
        (Read, "/home/u/repo/tests/server.key", None),
        (Read, "/home/u/repo/fixtures/id_rsa", None),
        (Read, "/etc/ssl/certs/ca.pem", None),
        (Read, "/home/u/repo/src/main.rs", None),
        (Read, "/home/u/repo/.env", None),
        (Read, "/home/u/.sshx", None),
        (Read, "/home/u/.gitconfig", None),
        (Read, "/home/u/repo/.git/config", None),
        (Read, "/usr/bin/agp", None),
        (Read, "/home/u/.agp", Some(Tampering)),
        (Read, "/home/u/.agp/keys/signing.key", Some(Tampering)),
        (Read, "/home/u/repo/.agp/policy.json", None),
        (Read, "/proc/1/environ", Some(Credentials)),
        (Read, "/proc/meminfo", None),
        (Write, "/home/u/.bashrc", Some(Persistence)),
        (
            Write,
            "/home/u/.config/systemd/user/x.service",
            Some(Persistence),
        ),
        (Write, "/etc/cron.d/x", Some(Persistence)),
        (Write, "/var/spool/cron/crontabs/u", Some(Persistence)),
        (
            Write,
            "/home/u/repo/.git/hooks/pre-commit",
            Some(Persistence),
        ),
        (Write, "/home/u/repo/sub/.git/hooks", Some(Persistence)),
        (Write, "/home/u/repo/.git/config", Some(Persistence)),
        (Write, "/home/u/repo/.GIT/config", Some(Persistence)),
        (Write, "/home/u/repo/.vscode/tasks.json", Some(Persistence)),
        (
            Write,
            "/home/u/repo/.claude/settings.local.json",
            Some(Persistence),
        ),
        (Write, "/home/u/repo/.claude/agents/x.md", Some(Persistence)),
        (Write, "/home/u/repo/.mcp.json", Some(Persistence)),
        (Write, "/home/u/repo/.husky/pre-push", Some(Persistence)),
        (Write, "/home/u/repo/.envrc", Some(Persistence)),
        (Write, "/home/u/repo/CLAUDE.md", None),
        (Write, "/home/u/.claude/plans/x.md", None),
        (Write, "/home/u/repo/.gitignore", None),
        (Write, "/home/u/repo/.github/workflows/ci.yml", None),
        (Write, "/home/u/repo/hooks/x", None),
        (Write, "/home/u/repo/.git/index", None),
        (Write, "/home/u/repo/.npmrc", Some(SupplyChain)),
        (Write, "/home/u/repo/.cargo/config.toml", Some(SupplyChain)),
        (Write, "/home/u/repo/Cargo.toml", None),
        (Write, "/etc/sudoers.d/x", Some(Privilege)),
        (Write, "/etc/passwd", Some(Privilege)),
        (Write, "/dev/sda1", Some(Disk)),
        (Write, "/dev/nvme0n1", Some(Disk)),
        (Write, "/dev/shm/x", None),
        (Write, "/proc/sysrq-trigger", Some(Disk)),
        (Write, "/run/docker.sock", Some(Container)),
        (Read, "/var/run/docker.sock", Some(Container)),
        (Read, "/proc/1/root/etc/passwd", Some(Container)),
        (Write, "/sys/fs/cgroup/x/release_agent", Some(Container)),
        (Write, "/home/u/.agp/policy.json", Some(Tampering)),
        (Write, "/home/u/.agp", Some(Tampering)),
        (Write, "/usr/bin/agp", Some(Tampering)),
        (Write, "/home/u/repo/.agp/policy.json", Some(Tampering)),
        (Write, "/home/u/.agpx", None),
    ] {
        let dangers = categories(&known(path), used);
        match expected {
            Some(category) => assert!(dangers.contains(&category), "{path} {dangers:?}"),
            None => assert!(dangers.is_empty(), "{path} {dangers:?}"),
        }
    }
}

#[test]
fn a_link_a_tree_and_a_pattern_are_as_dangerous_as_what_they_lead_to() {
    let link = Place {
        real: Some("/home/u/repo/.git/hooks/pre-commit".into()),
        ..known("/home/u/repo/docs.md")
    };
    assert_eq!(categories(&link, Use::Write), [Category::Persistence]);
    let why = &of_place(&link, Use::Write, &at(), &NoDisk)[0].why;
    assert_eq!(why, "git runs it later: /home/u/repo/.git/hooks/pre-commit");
    let tree = |path: &str| Place {
        tree: true,
        ..known(path)
    };
    assert!(categories(&tree("/home/u"), Use::Read).contains(&Category::Credentials));
    assert!(categories(&tree("/"), Use::Read).contains(&Category::Credentials));
    assert!(categories(&tree("/home"), Use::Write).contains(&Category::Tampering));
    assert!(categories(&tree("/home/u/repo"), Use::Read).is_empty());
    assert!(categories(&tree("/home/u/repo"), Use::Write).is_empty());
    let glob = |directory: &str, pattern: &str| {
        Place::at(PathText::Glob(directory.into(), pattern.into()))
    };
    assert!(categories(&glob("/home/u", ".ss*/id_*"), Use::Read).contains(&Category::Credentials));
    assert!(categories(&glob("/home/u/.ssh", "*"), Use::Read).contains(&Category::Credentials));
    assert!(categories(&glob("/home/u/repo", "*"), Use::Read).is_empty());
    let hooks = glob("/home/u/repo/.git", "h*/pre-commit");
    assert_eq!(categories(&hooks, Use::Write), [Category::Persistence]);
    let any = glob("/home/u/repo", "*/pre-commit");
    assert!(categories(&any, Use::Write).is_empty());
    let matches = vec!["/home/u/repo/id_rsa".into()];
    let glob = Place {
        matches,
        ..glob("/home/u/repo", "*")
    };
    assert_eq!(categories(&glob, Use::Read), [Category::Credentials]);
    assert!(categories(&Place::at(PathText::Anywhere), Use::Read).is_empty());
    // What is removed runs no more.
    let gone = Place {
        removes: true,
        ..known("/home/u/repo/.git/hooks/pre-commit")
    };
    assert!(categories(&gone, Use::Write).is_empty());
    let gone = Place {
        removes: true,
        ..known("/home/u/.agp/policy.json")
    };
    assert_eq!(categories(&gone, Use::Write), [Category::Tampering]);
}

#[test]
fn every_reason_reads_as_a_sentence_without_its_subject() {
    for row in all() {
        assert!(!row.paths.is_empty() && !row.why.ends_with('.'), "{row:?}");
        for path in row.paths {
            assert!(
                !path.is_empty() && !path.contains("//") && *path != "/",
                "{path}"
            );
        }
    }
}

/// Looks, and finds nothing anywhere.
struct Empty;

impl Disk for Empty {
    fn resolve(&self, path: &str) -> Option<Resolved> {
        Some(Resolved {
            real: path.to_owned(),
            kind: None,
            other_names: false,
            identity: None,
        })
    }
    fn names(&self, _: &str) -> Option<Vec<String>> {
        None
    }
    fn below(&self, _: &str, _: bool) -> Option<Vec<String>> {
        None
    }
    fn script(&self, _: &str) -> Option<String> {
        None
    }
    fn git(&self, _: &str) -> Option<Git> {
        None
    }
    fn ignored(&self, _: &str) -> Option<bool> {
        None
    }
}

#[test]
fn a_tree_holds_agps_own_files_only_where_they_are_there() {
    let tree = |path: &str| Place {
        tree: true,
        ..known(path)
    };
    let tampers = |place: &Place, disk: &dyn Disk| {
        let dangers = of_place(place, Use::Write, &at(), disk);
        dangers
            .iter()
            .any(|danger| danger.category == Category::Tampering)
    };
    assert!(tampers(&tree("/home/u"), &NoDisk));
    assert!(!tampers(&tree("/home/u"), &Empty));
    // To make one of them is to change it.
    assert!(tampers(&known("/home/u/.agp/policy.json"), &Empty));
    assert!(tampers(&known("/home/u/.agp"), &Empty));
    // Only files of one name are removed.
    let named = |only: &str| Place {
        only: Some(only.to_owned()),
        ..tree("/home/u")
    };
    assert!(tampers(&named(".agp"), &NoDisk));
    assert!(tampers(&named("x"), &NoDisk), "nobody says what lies there");
    assert!(!tampers(&named("x"), &Listed));
    assert!(tampers(&named("*.json"), &Listed));
}

/// Everything is there; below each directory lies one file.
struct Listed;

impl Disk for Listed {
    fn resolve(&self, path: &str) -> Option<Resolved> {
        let kind = Some(FileKind::Directory);
        let of = Empty.resolve(path)?;
        Some(Resolved { kind, ..of })
    }
    fn names(&self, _: &str) -> Option<Vec<String>> {
        None
    }
    fn below(&self, _: &str, _: bool) -> Option<Vec<String>> {
        Some(vec!["policy.json".to_owned()])
    }
    fn script(&self, _: &str) -> Option<String> {
        None
    }
    fn git(&self, _: &str) -> Option<Git> {
        None
    }
    fn ignored(&self, _: &str) -> Option<bool> {
        None
    }
}

#[test]
fn a_tree_around_what_is_not_there_is_not_dangerous() {
    let home = Place {
        tree: true,
        ..known("/home/u")
    };
    let dangers = |disk: &dyn Disk| of_place(&home, Use::Write, &at(), disk);
    assert!(!dangers(&NoDisk).is_empty() && !dangers(&Listed).is_empty());
    assert_eq!(dangers(&Empty), []);
}
