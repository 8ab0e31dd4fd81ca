//! A column of the matrix: a real harness in a mode. A case that several of them have is written once,
//! for all of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::session::{Live, Process, Ran, Start, World, all_gone, below, wait_for};

/// What agp's terminal asks.
pub(crate) const QUESTION: &str = "Allow this call once?";

/// What is said of a call that got past the gate.
pub(crate) const UNASKED: &str = "returned a result without asking";

/// A governed harness: its operator's world, and how its model asks it for something.
pub(crate) trait Column: Sized {
    /// A call as its model writes it.
    type Call;
    /// Its model's double.
    type Model;
    /// The events one of which decides a call.
    const DECIDED: &'static [&'static str];
    /// The tool that writes a file, as a rule names it.
    const WRITE: &'static str;

    /// One under these rules: effect and tool of each. `None` where the harness is missing.
    fn by(rules: &[(&str, &str)]) -> Option<Self>;
    fn world(&self) -> &World;
    /// A model that makes these calls, those of one turn at once.
    fn model(turns: Vec<Vec<Self::Call>>) -> Self::Model;
    /// Its session.
    fn run(&self, model: &Self::Model) -> Start;
    /// Its session under this `agp`, beside which that bridge lies; and the program that it takes for the
    /// gate's, which a test may spoil.
    fn run_spoilable(
        &self,
        model: &Self::Model,
        (agp, bridge): (&Path, &Path),
    ) -> (Start, PathBuf) {
        (self.run(model).program(agp), bridge.to_owned())
    }
    fn bash(id: &str, command: &str) -> Self::Call;
    /// Writes a file of the repository, whose content ends with a line's end.
    fn write(&self, id: &str, name: &str, content: &str) -> Self::Call;
    /// What the model was told of a call.
    fn told(model: &Self::Model, id: &str) -> String;
    /// Whether it was told that the call was refused, in the words of a refusal.
    fn was_refused(model: &Self::Model, id: &str) -> bool;
    /// What the model did that the real one does not.
    fn violations(model: &Self::Model) -> Vec<String>;

    /// Asserts that each of these was decided once, and nothing else was so much as tried.
    fn each_decided(&self, ids: &[&str]) {
        self.world().each_decided_by(Self::DECIDED, ids);
    }
}

/// A tool's arguments as the model writes them, which may be no JSON.
pub(crate) fn raw(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// No file whose name begins like this may ever be made.
pub(crate) const MARK: &str = "ran-";

/// Asserts that nothing has left a mark.
pub(crate) fn nothing_ran(world: &World) {
    for directory in [world.repo(), world.root().join("home")] {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            assert!(!name.starts_with(MARK), "{name} was brought about");
        }
    }
}

/// A session whose first, allowed call waits until something has been spoiled; the second call would
/// leave `second`, the third `third`.
pub(crate) struct Spoiled<C: Column> {
    pub(crate) column: C,
    /// agp's own program.
    pub(crate) bridge: PathBuf,
    /// The one that the harness takes for it.
    pub(crate) hook: PathBuf,
    model: C::Model,
    live: Live,
}

/// One that has ended.
pub(crate) struct Played<C: Column> {
    pub(crate) column: C,
    pub(crate) model: C::Model,
    pub(crate) ran: Ran,
}

const WAIT: &str = "touch first; for i in $(seq 600); do [ -e go ] && break; sleep 0.05; done";

/// The calls of a [`Spoiled`] session.
pub(crate) const CALLS: [&str; 3] = ["call_first", "call_second", "call_third"];

impl<C: Column> Spoiled<C> {
    pub(crate) fn start() -> Option<Self> {
        Self::with_second(CALLS[1])
    }

    /// With another id for the second call.
    pub(crate) fn with_second(second: &str) -> Option<Self> {
        let column = C::by(&[("allow", "Bash")])?;
        let world = column.world();
        // A question does not wait to be shown: a hook's patience is then its deadline and 30 s.
        let config = json!({"approval": {"queueSeconds": 0}});
        fs::write(world.agp_home().join("config.json"), config.to_string()).unwrap();
        let (agp, bridge) = world.copies();
        let model = C::model(vec![
            vec![C::bash(CALLS[0], WAIT)],
            vec![C::bash(second, "touch second")],
            vec![C::bash(CALLS[2], "touch third")],
        ]);
        let (start, hook) = column.run_spoilable(&model, (&agp, &bridge));
        let live = start.arguments(&["--approval-timeout", "1"]).start();
        wait_for("the first call", || world.get("first"));
        Some(Self {
            column,
            bridge,
            hook,
            model,
            live,
        })
    }

    pub(crate) fn world(&self) -> &World {
        self.column.world()
    }

    /// Puts this script in the place of the program that the harness takes for agp's.
    pub(crate) fn replace(&self, script: &str) {
        self.put_at(&self.hook, script);
    }

    /// Puts this script in the place of agp's own program.
    pub(crate) fn replace_bridge(&self, script: &str) {
        self.put_at(&self.bridge, script);
    }

    fn put_at(&self, path: &Path, script: &str) {
        let other = self.world().root().join("other");
        super::session::put_program(&other, format!("#!/bin/sh\n{script}\n"));
        std::fs::rename(&other, path).unwrap();
    }

    /// The process that offers agp's tools.
    pub(crate) fn server(&self) -> Process {
        let is = |process: &Process| process.arguments().get(1).is_some_and(|word| word == "mcp");
        wait_for("the server", || below(self.live.pid()).into_iter().find(is))
    }

    /// Lets the first call end, and waits for the session's end.
    pub(crate) fn go(self) -> Played<C> {
        let all = below(self.live.pid());
        self.world().put("go", "");
        let ran = self.live.finish();
        all_gone(&all);
        self.column.world().verifies();
        Played {
            column: self.column,
            model: self.model,
            ran,
        }
    }

    /// The same, where the session must go on as if nothing had been done.
    pub(crate) fn go_and_all_is_decided(self) -> Played<C> {
        let played = self.go();
        played.column.each_decided(&CALLS);
        for name in ["second", "third"] {
            assert!(played.column.world().get(name).is_some(), "{name}");
        }
        Played {
            ran: played.ran.succeeded(),
            ..played
        }
    }

    /// The same, where everything behind the fault must be blocked, and the harness goes on.
    pub(crate) fn go_and_all_is_blocked(self) -> Played<C> {
        let played = self.go();
        let world = played.column.world();
        assert_eq!((world.get("second"), world.get("third")), (None, None));
        for id in [CALLS[1], CALLS[2]] {
            assert!(C::was_refused(&played.model, id), "{id}");
            assert!(!world.kinds_of(id).contains(&"gate.allow".to_owned()));
        }
        assert_eq!(world.events("gate.bypassed").len(), 0);
        Played {
            ran: played.ran.succeeded(),
            ..played
        }
    }

    /// The same, where nothing may run behind the fault, and the session ends with exit code 3.
    pub(crate) fn go_and_nothing_runs(self) -> Played<C> {
        let played = self.go();
        let world = played.column.world();
        assert_eq!((world.get("second"), world.get("third")), (None, None));
        for id in [CALLS[1], CALLS[2]] {
            let kinds = world.kinds_of(id);
            for kind in ["tool_call.executed", "tool_call.allow"] {
                assert!(!kinds.contains(&kind.to_owned()), "{id}: {kinds:?}");
            }
        }
        Played {
            ran: played.ran.exited(3),
            ..played
        }
    }

    /// The same, where this call behind the fault runs: it is found, and none behind it runs.
    pub(crate) fn go_and_it_is_found(self, id: &str, how: &str) -> Played<C> {
        let played = self.go();
        let ran = played.ran.exited(3).complained(&[how]);
        let world = played.column.world();
        let bypassed = world.event("gate.bypassed");
        assert_eq!(bypassed["payload"]["messageId"], id);
        let ended = world.event("session.ended");
        assert_eq!(ended["payload"]["end"], "broken");
        assert_eq!(world.get("third"), None);
        Played { ran, ..played }
    }
}

/// Texts of which the first is beyond a MiB where it is written as JSON, the second nearly a frame, and
/// the third more.
pub(crate) fn sizes() -> [String; 3] {
    let lines = |size: usize| "a".repeat(size - 1) + "\n";
    ["\"\n".repeat(280_000), lines(4000 << 10), lines(4200 << 10)]
}

/// Asserts that the journal keeps a part of what calls were made with, and verifies.
pub(crate) fn is_journaled_in_part(world: &World) {
    let longest = world.journal_text().lines().map(str::len).max();
    assert!(longest < Some(64 << 10), "{longest:?}");
    world.verifies();
}
