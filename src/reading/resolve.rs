//! Where the paths of a reading lead: links, hard links, and what pathname patterns match now.

use super::atoms::{Atom, AtomKind, PathText, Place, Reading};
use super::disk::{Disk, FileKind};
use super::pathname;
use super::paths;
use crate::contracts::limits;

/// Sets where each place leads. A path that somebody looked for and whose place is not known may lie anywhere;
/// where nobody looks, a path is taken by its names.
pub fn resolve(reading: &mut Reading, disk: &dyn Disk) {
    let atoms = reading.atoms.iter_mut().chain(&mut reading.mentioned);
    for Atom { kind, .. } in atoms {
        if let AtomKind::Read(place) | AtomKind::Write(place) = kind {
            follow(place, disk);
        }
    }
}

fn follow(place: &mut Place, disk: &dyn Disk) {
    match &place.path {
        PathText::Anywhere => {}
        PathText::Known(path) => match end(path, disk) {
            Some((real, other_names)) => {
                // What is removed is the link itself, not what it leads to.
                place.real = Some(if place.removes {
                    entry(path, real, disk)
                } else {
                    real
                });
                place.other_names = other_names && !place.removes;
                if disk.looks() && !is_stream(path) {
                    place.exists = disk.resolve(path).map(|lies| lies.kind.is_some());
                }
            }
            None => place.path = PathText::Anywhere,
        },
        PathText::Below(directory) => match end(directory, disk) {
            Some((real, _)) => place.real = Some(real),
            None => place.path = PathText::Anywhere,
        },
        PathText::Glob(directory, pattern) => {
            let Some((real, _)) = end(directory, disk) else {
                place.path = PathText::Anywhere;
                return;
            };
            if pattern.split('/').any(|name| name == "..") {
                place.path = PathText::Anywhere;
                return;
            }
            if disk.looks() {
                match expanded(&real, pattern, disk) {
                    Some((matches, other_names)) => {
                        place.matches = matches;
                        place.other_names = other_names;
                    }
                    None => place.path = PathText::Below(directory.clone()),
                }
            }
            place.real = Some(real);
        }
    }
}

/// Where a path leads, and whether that has other names.
fn end(path: &str, disk: &dyn Disk) -> Option<(String, bool)> {
    if is_stream(path) {
        return Some((paths::normal(path), false));
    }
    if of_process(path) {
        return None;
    }
    if !disk.looks() {
        return Some((paths::normal(path), false));
    }
    let lies = disk.resolve(path)?;
    (!of_process(&lies.real)).then_some((lies.real, lies.other_names))
}

/// The name that a path is for its directory: only links before it are followed. Where the last name is none of
/// its own, it is where the path leads.
fn entry(path: &str, real: String, disk: &dyn Disk) -> String {
    let trimmed = path.trim_end_matches('/');
    // `link/` is what the link leads to.
    let whole = trimmed.len() == path.len();
    match trimmed.rsplit_once('/') {
        Some((above, name)) if whole && !["", ".", ".."].contains(&name) => {
            let above = if above.is_empty() { "/" } else { above };
            end(above, disk).map_or(real, |(above, _)| {
                format!("{}/{name}", above.trim_end_matches('/'))
            })
        }
        _ => real,
    }
}

/// The call's own streams and its terminal: no file of the machine's.
fn is_stream(path: &str) -> bool {
    const STREAMS: [&str; 5] = [
        "/dev/stdin",
        "/dev/stdout",
        "/dev/stderr",
        "/dev/tty",
        "/dev/null",
    ];
    let descriptor = path
        .strip_prefix("/dev/fd/")
        .or_else(|| path.strip_prefix("/proc/self/fd/"));
    let number = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit());
    STREAMS.contains(&path) || descriptor.is_some_and(number)
}

/// Whether a path leads through a link that means another thing to each process.
fn of_process(path: &str) -> bool {
    const LINKS: [&str; 6] = ["root", "cwd", "fd", "exe", "map_files", "task"];
    let normal = paths::normal(path);
    let Some(rest) = normal.strip_prefix("/proc/") else {
        return normal.starts_with("/dev/fd/");
    };
    let mut names = rest.split('/');
    let process = names.next().is_some_and(|name| {
        ["self", "thread-self"].contains(&name) || name.chars().all(|c| c.is_ascii_digit())
    });
    process && names.next().is_some_and(|name| LINKS.contains(&name))
}

/// Where all names lead that a pattern matches below a directory, and whether one has other names; `None` where
/// there are more than are looked at.
fn expanded(directory: &str, pattern: &str, disk: &dyn Disk) -> Option<(Vec<String>, bool)> {
    let mut level = vec![directory.to_owned()];
    let mut names = pattern
        .split('/')
        .filter(|name| !["", "."].contains(name))
        .peekable();
    let mut other_names = false;
    while let Some(name) = names.next() {
        let more = names.peek().is_some();
        let mut next = Vec::new();
        for above in &level {
            let known = disk.names(above)?;
            for entry in known
                .iter()
                .filter(|entry| pathname::name_matches(name, entry))
            {
                let lies = disk.resolve(&paths::join(above, entry))?;
                if more && lies.kind != Some(FileKind::Directory) {
                    continue;
                }
                other_names |= lies.other_names;
                next.push(lies.real);
                if next.len() > limits::DISK_NAMES {
                    return None;
                }
            }
        }
        level = next;
    }
    Some((level, other_names))
}

#[cfg(test)]
mod tests {
    use super::super::atoms::Source;
    use super::super::disk::{Git, NoDisk, Resolved};
    use super::*;

    /// A disk of a few links and files, in memory.
    struct Small;

    impl Disk for Small {
        fn resolve(&self, path: &str) -> Option<Resolved> {
            let known = [
                ("/repo", "/repo", FileKind::Directory),
                (
                    "/repo/docs.md",
                    "/repo/.git/hooks/pre-commit",
                    FileKind::File,
                ),
                ("/repo/a.rs", "/repo/a.rs", FileKind::File),
                ("/repo/b.rs", "/repo/.env", FileKind::File),
                ("/repo/sub", "/repo/sub", FileKind::Directory),
                ("/repo/sub/c.rs", "/repo/sub/c.rs", FileKind::File),
                ("/repo/away", "/etc", FileKind::Directory),
            ];
            let (_, real, kind) = known.iter().find(|(name, _, _)| *name == path)?;
            Some(Resolved {
                real: (*real).to_owned(),
                kind: Some(*kind),
                other_names: path.ends_with("a.rs"),
                identity: None,
            })
        }
        fn names(&self, directory: &str) -> Option<Vec<String>> {
            let names: &[&str] = match directory {
                "/repo" => &["docs.md", "a.rs", "b.rs", "sub", ".env"],
                "/repo/sub" => &["c.rs"],
                _ => return None,
            };
            Some(names.iter().map(|name| (*name).to_owned()).collect())
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

    fn followed(path: PathText, removes: bool, disk: &dyn Disk) -> Place {
        let place = Place {
            removes,
            ..Place::at(path)
        };
        let mut reading = Reading {
            atoms: vec![Atom {
                kind: AtomKind::Write(place),
                program: None,
                source: Source::Tool,
                dangers: Vec::new(),
            }],
            ..Reading::default()
        };
        resolve(&mut reading, disk);
        match reading.atoms.remove(0).kind {
            AtomKind::Write(place) => place,
            kind => panic!("{kind:?}"),
        }
    }

    fn known(path: &str) -> PathText {
        PathText::Known(path.to_owned())
    }

    #[test]
    fn a_path_leads_where_its_links_do_and_a_removal_takes_the_link() {
        let place = followed(known("/repo/docs.md"), false, &Small);
        assert_eq!(place.real.as_deref(), Some("/repo/.git/hooks/pre-commit"));
        let place = followed(known("/repo/docs.md"), true, &Small);
        assert_eq!(place.real.as_deref(), Some("/repo/docs.md"));
        assert!(followed(known("/repo/a.rs"), false, &Small).other_names);
        let lost = followed(known("/repo/none"), false, &Small);
        assert_eq!((lost.path, lost.real), (PathText::Anywhere, None));
    }

    #[test]
    fn a_pattern_is_what_it_matches_and_where_that_leads() {
        let glob = |pattern: &str| PathText::Glob("/repo".to_owned(), pattern.to_owned());
        let place = followed(glob("*.rs"), false, &Small);
        assert_eq!(place.matches, ["/repo/a.rs", "/repo/.env"]);
        assert!(place.other_names);
        assert_eq!(
            followed(glob("s*/*.rs"), false, &Small).matches,
            ["/repo/sub/c.rs"]
        );
        assert_eq!(
            followed(glob("x*"), false, &Small).matches,
            Vec::<String>::new()
        );
        assert_eq!(
            followed(glob("*/../x"), false, &Small).path,
            PathText::Anywhere
        );
        // A name that nobody could follow: any below.
        let below = followed(glob(".e*"), false, &Small);
        assert_eq!(below.path, PathText::Below("/repo".to_owned()));
    }

    #[test]
    fn where_nobody_looks_a_path_is_taken_by_its_names() {
        for (path, real) in [
            ("/repo/a/../.env", Some("/repo/.env")),
            ("/repo//x/.", Some("/repo/x")),
            ("/dev/stdin", Some("/dev/stdin")),
            ("/dev/fd/3", Some("/dev/fd/3")),
            ("/proc/self/root/etc/shadow", None),
            ("/proc/1/cwd/x", None),
            ("/proc/self/fd/3/x", None),
            ("/dev/fd/3/../x", None),
            ("/proc/meminfo", Some("/proc/meminfo")),
            ("/proc/self/status", Some("/proc/self/status")),
        ] {
            let place = followed(known(path), false, &NoDisk);
            assert_eq!(place.real.as_deref(), real, "{path}");
            assert_eq!(real.is_none(), place.path == PathText::Anywhere, "{path}");
        }
        let glob = PathText::Glob("/repo/a/..".to_owned(), "*".to_owned());
        assert_eq!(
            followed(glob, false, &NoDisk).real.as_deref(),
            Some("/repo")
        );
    }
}
