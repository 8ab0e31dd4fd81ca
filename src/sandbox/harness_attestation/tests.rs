//! What a look from inside a harness's confinement may show, judged by itself: no confinement is made.

use super::*;
use crate::confine::Spawner;
use crate::jail::isolation_probe::WayOut;
use crate::jail::spec::Namespaces;
use crate::jail::spec::tests::spec;
use crate::sandbox::network::Network;

const GATE: &str = "unix /run/agp/gate.sock";
const KEY: &str = "/home/u/.agp/key";

/// What is asked and what is seen, of which a test changes something.
struct Scene {
    spec: Spec,
    setup: HarnessHostConfig,
    bait: Bait,
    ask: Ask,
    outside: Sighting,
    inside: Sighting,
    landlock: u32,
}

impl Scene {
    /// One in which everything is as it was asked.
    fn sound(namespaces: Namespaces) -> Self {
        let mut spec = spec(namespaces);
        spec.write = vec!["/repo".into()];
        spec.masked = vec!["/run/dbus".into()];
        let gate = spec.placed[0].clone();
        let setup = HarnessHostConfig {
            withheld: Vec::new(),
            bridge: "/bin/agp-bridge".into(),
            spawner: Spawner::start().unwrap(),
            directory: "/nowhere".into(),
            repository: "/repo".into(),
            home: None,
            read: Vec::new(),
            write: Vec::new(),
            write_later: Vec::new(),
            gate,
            parts: Vec::new(),
            program: "/bin/claude".into(),
            package: "/bin/claude".into(),
            protected: vec![KEY.into()],
            sockets: vec!["/run/docker.sock".into()],
            listening: vec!["/run/other.sock".into()],
            untold: 3,
            without_namespaces: false,
            weaker: false,
            network: Network::Host,
            token: "token".into(),
            namespaces: None,
        };
        let listener = || {
            let any = UnixAddr::from_pathname("").unwrap();
            UnixListener::bind_addr(&any).unwrap()
        };
        let bait = Bait {
            _listeners: [listener(), listener(), listener(), listener()],
            _planted: None,
            gate: "/nowhere/try.sock".into(),
            part: "/nowhere/try".into(),
            closed: "/nowhere/try-read".into(),
            hidden: vec!["/nowhere/bait.sock".into()],
            abstract_name: "name".into(),
        };
        let ask = Ask {
            abstract_name: "name".into(),
            unix: vec!["/run/agp/gate.sock".into(), "/nowhere/bait.sock".into()],
            read: vec![KEY.into()],
            ..Ask::default()
        };
        let namespaces = |id: u32| {
            let named = ["net", "pid"].map(|kind| (kind.to_owned(), format!("{kind}:[{id}]")));
            named.into()
        };
        let outside = Sighting {
            reached: [
                "unix /nowhere/try.sock",
                "unix /nowhere/bait.sock",
                "abstract name",
            ]
            .map(str::to_owned)
            .into(),
            opened: [PathBuf::from(KEY)].into(),
            namespaces: namespaces(1),
            ..Sighting::default()
        };
        let inside = Sighting {
            reached: [GATE.to_owned()].into(),
            written: [PathBuf::from("/repo")].into(),
            shakes: true,
            uid: 7,
            status: STATUS
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            namespaces: namespaces(2),
            overlays: [CLOSED.to_owned()].into(),
            ..Sighting::default()
        };
        Self {
            spec,
            setup,
            bait,
            ask,
            outside,
            inside,
            landlock: 7,
        }
    }

    fn looked(&self) -> Looked<'_> {
        Looked {
            spec: &self.spec,
            ask: &self.ask,
            setup: &self.setup,
            bait: &self.bait,
            gate: Path::new("/run/agp/gate.sock"),
            writable: &self.spec.write,
            outside: &self.outside,
            inside: &self.inside,
            landlock: self.landlock,
        }
    }
}

#[test]
fn what_the_journal_has_of_a_harnesss_confinement() {
    let scene = Scene::sound(Namespaces::User);
    let expected = json!({
        "kind": "process",
        "namespaces": "user",
        "namespaceIds": {"net": "net:[2]", "pid": "pid:[2]"},
        "landlock": 7,
        "status": {"CapEff": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"},
        "uid": 7,
        "openSockets": [],
        "overlays": [CLOSED],
        "masked": 1,
        "tried": {"unix": 3, "paths": 1, "replaced": 0, "untoldUnix": 3, "unlisted": null},
        "letOut": [],
        "reached": [GATE],
        "readable": [],
        "writable": ["/repo"],
        "isolated": [
            "files",
            "credentials of the operator",
            "memory of other processes",
            "network",
            "processes",
            "mounts",
            "System V IPC",
            "Unix sockets",
            "terminals",
            "signals",
        ],
        "notIsolated": [
            "the harness's own configuration",
            "the kernel",
            "processor time",
            "memory in total",
            "disk space in total",
            "abstract Unix sockets, where Landlock is older than ABI 6",
            "Unix sockets that are made later in what may be written",
        ],
        "vmGrade": false,
    });
    assert_eq!(Value::Object(judge(&scene.looked()).unwrap()), expected);

    // The least that is taken: no namespaces, an old Landlock, the host's network, and a socket that was allowed.
    let mut scene = Scene::sound(Namespaces::Off);
    scene.spec.sockets.inet = true;
    scene.setup.weaker = true;
    scene.landlock = 5;
    scene.inside.signalled = true;
    let open = ["unix /run/docker.sock", "tcp 127.0.0.1:7", "abstract name"];
    scene.inside.reached.extend(open.map(str::to_owned));
    scene
        .inside
        .reached
        .insert("unix /nowhere/bait.sock".into());
    let attested = judge(&scene.looked()).unwrap();
    assert_eq!(attested["openSockets"], json!(["/run/docker.sock"]));
    let isolated = [
        "files",
        "credentials of the operator",
        "memory of other processes",
    ];
    assert_eq!(attested["isolated"], json!(isolated));
    assert_eq!(
        attested["notIsolated"],
        json!([
            "the harness's own configuration",
            "the kernel",
            "processor time",
            "memory in total",
            "disk space in total",
            "network",
            "process ids: other processes can be seen to be there",
            "System V IPC and POSIX message queues",
            "Unix sockets that have a path, but those that were tried",
            "signals to the operator's other processes",
        ])
    );
}

#[test]
fn what_a_harness_reaches_otherwise_than_asked_refuses_the_start() {
    type Change = fn(&mut Scene);
    let changes: [(&str, Change); 20] = [
        ("unix /nowhere/try.sock is not reachable outside", |scene| {
            scene.outside.reached.remove("unix /nowhere/try.sock");
        }),
        (
            "unix /nowhere/bait.sock is not reachable outside",
            |scene| {
                scene.outside.reached.remove("unix /nowhere/bait.sock");
            },
        ),
        (
            "abstract name is not reachable outside the sandbox",
            |scene| {
                scene.outside.reached.remove("abstract name");
            },
        ),
        ("is not readable outside the sandbox", |scene| {
            scene.outside.opened.clear();
        }),
        ("it cannot reach agp's gateway", |scene| {
            scene.inside.reached.clear();
        }),
        ("it could reach unix /nowhere/bait.sock", |scene| {
            scene
                .inside
                .reached
                .insert("unix /nowhere/bait.sock".into());
        }),
        ("it could reach unix /run/docker.sock", |scene| {
            scene.inside.reached.insert("unix /run/docker.sock".into());
        }),
        ("it could reach abstract name", |scene| {
            scene.inside.reached.insert("abstract name".into());
        }),
        ("it could reach tcp 127.0.0.1:7", |scene| {
            scene.inside.reached.insert("tcp 127.0.0.1:7".into());
        }),
        ("it shares the host's pid namespace", |scene| {
            scene
                .inside
                .namespaces
                .insert("pid".into(), "pid:[1]".into());
        }),
        ("it shares the host's net namespace", |scene| {
            scene
                .inside
                .namespaces
                .insert("net".into(), "net:[1]".into());
        }),
        ("the gate could be replaced: renamed", |scene| {
            scene.inside.shaken.insert("renamed".into());
        }),
        ("nothing can be renamed", |scene| {
            scene.inside.shakes = false;
        }),
        ("it could read", |scene| {
            scene.inside.opened.insert(KEY.into());
        }),
        ("cannot write /repo: No such file", |scene| {
            scene.inside.written.clear();
        }),
        ("it could write /etc", |scene| {
            scene.inside.written.insert("/etc".into());
        }),
        ("it could signal agp", |scene| scene.inside.signalled = true),
        ("NoNewPrivs is not 1", |scene| {
            scene.inside.status.insert("NoNewPrivs".into(), "0".into());
        }),
        ("Seccomp is not 2", |scene| {
            scene.inside.status.remove("Seccomp");
        }),
        ("CapEff is not 0", |scene| {
            scene.inside.status.insert("CapEff".into(), "1".into());
        }),
    ];
    for (said, change) in changes {
        let mut scene = Scene::sound(Namespaces::User);
        scene.spec.relay = Some(crate::jail::spec::Relay {
            socket: "/nowhere/egress.sock".into(),
            port: 3128,
        });
        scene.spec.sockets.inet = true;
        change(&mut scene);
        let why = judge(&scene.looked()).unwrap_err().to_string();
        assert!(why.contains(said), "{said}: {why}");
    }
}

#[test]
fn without_namespaces_a_harness_reaches_what_is_told_and_no_more() {
    let weaker = |landlock, name: &str| {
        let mut scene = Scene::sound(Namespaces::Off);
        scene.landlock = landlock;
        scene.inside.reached.insert(name.into());
        judge(&scene.looked()).map(drop)
    };
    // Landlock keeps what has a path from nobody.
    assert_eq!(weaker(7, "unix /run/other.sock"), Ok(()));
    assert!(
        weaker(7, "unix /run/docker.sock").is_err(),
        "it starts processes"
    );
    assert!(weaker(7, "abstract name").is_err());
    assert_eq!(weaker(5, "abstract name"), Ok(()));
}

#[test]
fn a_harnesss_way_out_leads_to_listed_hosts_alone() {
    let mut scene = Scene::sound(Namespaces::User);
    scene.ask.way_out = Some(WayOut {
        port: 3128,
        listed: "a.test:443".into(),
        unlisted: vec!["b.test:443".into()],
        hello: String::new(),
    });
    assert!(judge(&scene.looked()).is_err(), "not even the listed one");
    scene.inside.let_out.insert("a.test:443".into());
    let attested = judge(&scene.looked()).unwrap();
    assert_eq!(attested["letOut"], json!(["a.test:443"]));
    assert_eq!(attested["tried"]["unlisted"], json!(1));
    scene.inside.let_out.insert("b.test:443".into());
    let why = judge(&scene.looked()).unwrap_err().to_string();
    assert!(
        why.contains("an unlisted host was reachable: b.test:443"),
        "{why}"
    );
}
