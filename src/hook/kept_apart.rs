//! Whether a call leads to what agp keeps apart from the agent, seen from where the harness stands: in its own
//! mounts a link means what it will mean to the harness, and agp outside cannot see the links there.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::contracts::call::{TEXTS, WORKDIR};
use crate::jail::path_resolution::{self, End, around_processes, kept_apart, of_process};

/// The argument that names where a search begins.
const ROOT: &str = "path";
/// The tools that search, whose pattern can name the place, too.
const SEARCHES: [&str; 2] = ["Glob", "Grep"];
/// The argument that is a pattern of paths for the first of them.
const PATTERN: &str = "pattern";
/// What begins the part of such a pattern that is no path.
const WILD: [char; 5] = ['*', '?', '[', '{', '('];

/// Where a call's texts are read from, and what they must not lead to.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The directory that the gate stands in.
    run: PathBuf,
    /// Where a path that is not absolute may begin.
    directories: Vec<PathBuf>,
    home: Option<std::ffi::OsString>,
}

impl Seen {
    /// As this process sees it, beside the gate at this socket. `usual` is where the session's commands run.
    pub(crate) fn from_here(socket: &Path, usual: Option<&Path>) -> Self {
        let run = socket.parent().unwrap_or(socket);
        // The harness starts its hooks where it is itself.
        let here = std::env::current_dir().ok();
        Self {
            run: run.canonicalize().unwrap_or_else(|_| run.to_owned()),
            directories: usual.map(Path::to_owned).into_iter().chain(here).collect(),
            home: std::env::var_os("HOME"),
        }
    }

    /// What an argument at any depth leads to that is kept apart; or the place that is, for who cannot say where
    /// it leads. It is bounded as the call is.
    pub(crate) fn kept_apart(&self, tool: &str, args: &Map<String, Value>) -> Option<String> {
        let there = args.get(WORKDIR).and_then(Value::as_str).map(PathBuf::from);
        let from: Vec<&Path> = there
            .iter()
            .chain(&self.directories)
            .map(|d| &**d)
            .collect();
        let private_path = self.found_in(args, &from);
        let private_path = private_path.or_else(|| self.searched(tool, args, &from));
        private_path.map(|path| path.to_string_lossy().into_owned())
    }

    /// The gate and what the harness has for itself; and every process, the harness for one, whose environment says
    /// where its login is.
    fn keeps_apart(&self, path: &Path) -> bool {
        kept_apart(path, &self.run) || of_process(path)
    }

    fn found(&self, value: &Value, from: &[&Path]) -> Option<PathBuf> {
        match value {
            Value::String(text) => self.ends(text, from).find_map(|end| match end {
                End::At(at) => self.keeps_apart(&at).then_some(at),
                // What is not there now may be made: written to, it would be.
                End::Nothing { way, .. } => self.keeps_apart(&way).then_some(way),
                End::OfProcess => Some(self.run.clone()),
                // Nor is it shown to the harness.
                End::Hidden => None,
            }),
            Value::Array(items) => items.iter().find_map(|item| self.found(item, from)),
            Value::Object(map) => self.found_in(map, from),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    fn found_in(&self, args: &Map<String, Value>, from: &[&Path]) -> Option<PathBuf> {
        let mut paths = args
            .iter()
            .filter(|(name, _)| !TEXTS.contains(&name.as_str()));
        paths.find_map(|(_, value)| self.found(value, from))
    }

    /// A search of a directory around the place would read it.
    fn searched(&self, tool: &str, args: &Map<String, Value>, from: &[&Path]) -> Option<PathBuf> {
        let text = |name: &str| args.get(name).and_then(Value::as_str);
        let root = text(ROOT);
        let searches = SEARCHES.contains(&tool);
        let mut roots: Vec<PathBuf> = match root {
            Some(root) => self.readings(root, from).collect(),
            None if searches => from.iter().map(|path| (*path).to_owned()).collect(),
            None => Vec::new(),
        };
        if let Some(pattern) = text(PATTERN).filter(|_| searches) {
            let fixed = pattern.find(WILD).and_then(|at| pattern.get(..at));
            let fixed = fixed.unwrap_or(pattern);
            let fixed = fixed.rfind('/').and_then(|at| fixed.get(..=at));
            let below = fixed.map(|fixed| {
                let roots = roots.iter().map(|root| root.join(fixed));
                roots.collect::<Vec<_>>()
            });
            roots.extend(below.unwrap_or_default());
        }
        let around = roots.iter().any(|root| match path_resolution::end(root) {
            End::At(at) => {
                self.run.starts_with(&at) || kept_apart(&at, &self.run) || around_processes(&at)
            }
            End::OfProcess => true,
            End::Nothing { .. } | End::Hidden => false,
        });
        around.then(|| self.run.clone())
    }

    fn ends(&self, text: &str, from: &[&Path]) -> impl Iterator<Item = End> {
        self.readings(text, from)
            .map(|path| path_resolution::end(&path))
    }

    fn readings(&self, text: &str, from: &[&Path]) -> impl Iterator<Item = PathBuf> {
        let read = |from: &&Path| path_resolution::readings(text, from, self.home.as_deref());
        let mut paths: Vec<PathBuf> = from.iter().flat_map(read).collect();
        paths.dedup();
        paths.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;

    /// A place with a gate in it, a directory beside it, and links in that: gone with the test.
    struct Laid(PathBuf);

    impl Laid {
        fn out(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("agp-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join("up/run/harness-login")).unwrap();
            let root = root.canonicalize().unwrap();
            fs::create_dir_all(root.join("up/run/harness-home/projects/p/s")).unwrap();
            fs::create_dir_all(root.join("repo/deep")).unwrap();
            fs::write(root.join("up/run/harness-login/token"), "token").unwrap();
            fs::write(root.join("repo/kept"), "kept").unwrap();
            for (target, name) in [
                ("up/run/harness-login/token", "login"),
                ("up/run", "run"),
                ("up", "up"),
                ("up/run/harness-home", "own"),
                ("repo/kept", "honest"),
            ] {
                symlink(root.join(target), root.join("repo").join(name)).unwrap();
            }
            symlink("../run/harness-login", root.join("repo/deep/way")).unwrap();
            symlink("round", root.join("repo/round")).unwrap();
            symlink("/proc/self/cwd", root.join("repo/cwd")).unwrap();
            symlink("/proc/meminfo", root.join("repo/meminfo")).unwrap();
            symlink("/proc/self/environ", root.join("repo/environ")).unwrap();
            Self(root)
        }

        fn led(&self, tool: &str, args: &Value) -> Option<String> {
            let socket = self.0.join("up/run/gate.sock");
            let seen = Seen::from_here(&socket, Some(&self.0.join("repo")));
            seen.kept_apart(tool, args.as_object().unwrap())
        }

        fn leads(&self, path: &str) -> bool {
            self.led("Read", &json!({"file_path": path})).is_some()
        }
    }

    impl Drop for Laid {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn whatever_leads_to_what_is_kept_apart_is_found_and_nothing_else() {
        let laid = Laid::out("apart");
        let at = |name: &str| laid.0.join(name).to_str().unwrap().to_owned();
        for path in [
            "login",
            " login\n",
            "run",
            "run/not/yet",
            "run/settings.json",
            "up/run/harness-login/token",
            "deep/way/token",
            "deep/../login",
            "deep/way/../settings.json",
            "none/../login",
            "own/settings.json",
            "own/projects/../settings.json",
            "cwd/x",
            "/dev/fd/0",
            "/proc/self/root/x",
            "/proc/self/environ",
            "/proc/thread-self/environ",
            "/proc/1/task/1/environ",
            "/proc/4000000000/mem",
            "/proc/meminfo/../self/maps",
            "environ",
            &at("up/run/mcp.json"),
        ] {
            assert!(laid.leads(path), "{path}");
        }
        for path in [
            "kept",
            "honest",
            "not/yet",
            "up",
            "up/other",
            "round/x",
            "meminfo",
            "own/projects/p/s/tool-results/x.txt",
            "run/harness-tmp/x",
            "/proc/meminfo",
            "/proc/sys/kernel/ostype",
            "/proc",
            "/",
            "",
            "cat run/x; ls /",
            &at("up/runs"),
        ] {
            assert!(!laid.leads(path), "{path}");
        }
        let deep = json!({"edits": [{"a": 1}, {"path": ["x", "login"]}]});
        let token = at("up/run/harness-login/token");
        assert_eq!(laid.led("Any", &deep), Some(token));
        // Text is no path, whatever it says.
        let text = json!({"old_string": "/dev/stdout", "new_string": "login", "prompt": "run"});
        assert_eq!(laid.led("Edit", &text), None);
        // From where the call runs, which can be another directory.
        let there = json!({"x": "way/token", WORKDIR: at("repo/deep")});
        assert!(laid.led("Any", &there).is_some());
        assert!(laid.led("Any", &json!({"x": "way/token"})).is_none());
        // No name is a link to the same file: the kernel makes none across mounts, and inside each part is one.
        assert!(!laid.leads(&"x/".repeat(4000)));
    }

    #[test]
    fn a_search_around_what_is_kept_apart_is_found() {
        let laid = Laid::out("searched");
        let at = |name: &str| laid.0.join(name).to_str().unwrap().to_owned();
        for (tool, args) in [
            ("Grep", json!({"pattern": "x", "path": "/"})),
            ("Grep", json!({"pattern": "x", "path": "up"})),
            ("Grep", json!({"pattern": "x", "path": at("")})),
            ("Grep", json!({"pattern": "x", WORKDIR: at("up")})),
            ("Glob", json!({"pattern": "up/**"})),
            ("Glob", json!({"pattern": at("up/{run,x}/*")})),
            ("Glob", json!({"pattern": "/*"})),
            ("Glob", json!({"pattern": "../up/r?n/*"})),
            ("Grep", json!({"pattern": "x", "path": "/proc"})),
            ("Glob", json!({"pattern": "/proc/*/environ"})),
            ("Grep", json!({"pattern": "x", "path": "/proc/self/task"})),
            ("Glob", json!({"pattern": "*", "path": "run/harness-login"})),
            ("Other", json!({"path": "/"})),
        ] {
            assert!(laid.led(tool, &args).is_some(), "{tool} {args}");
        }
        for (tool, args) in [
            ("Grep", json!({"pattern": "/x/.*", "path": "deep"})),
            ("Grep", json!({"pattern": "x"})),
            ("Grep", json!({"pattern": "x", "path": at("repo")})),
            ("Glob", json!({"pattern": "**/*.rs"})),
            ("Glob", json!({"pattern": at("repo/*")})),
            ("Edit", json!({"old_string": "/", "new_string": "/"})),
            ("Glob", json!({"pattern": "*", "path": "not/there"})),
            ("Grep", json!({"pattern": "x", "path": "/proc/sys"})),
        ] {
            assert_eq!(laid.led(tool, &args), None, "{tool} {args}");
        }
    }
}
