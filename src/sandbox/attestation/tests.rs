//! What a look from inside may show, judged by itself: no sandbox is made.

use super::*;
use crate::jail::isolation_probe::WayOut;
use crate::jail::spec::tests::spec;

const GATE: &str = "unix /run/host.sock";

/// What was asked, and what is seen where a confinement holds.
fn sound() -> (Spec, Ask, Looks) {
    let mut spec = spec(Namespaces::User);
    spec.write = vec!["/repo".into()];
    let ask = Ask {
        tcp: vec!["127.0.0.1:7".parse().unwrap()],
        abstract_name: "name".into(),
        unix: vec!["/run/host.sock".into()],
        read: vec!["/home/u/.agp/key".into()],
        ..Ask::default()
    };
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let namespaces = |id: u32| {
        let named = kinds.map(|kind| (kind.to_owned(), format!("{kind}:[{id}]")));
        named.into()
    };
    let outside = Sighting {
        reached: ["tcp 127.0.0.1:7", "abstract name", GATE]
            .map(str::to_owned)
            .into(),
        opened: [PathBuf::from("/home/u/.agp/key")].into(),
        namespaces: namespaces(1),
        ..Sighting::default()
    };
    let inside = Sighting {
        written: [PathBuf::from("/repo")].into(),
        status: STATUS
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        namespaces: namespaces(2),
        ..Sighting::default()
    };
    let looks = Looks {
        outside: (outside, 1),
        inside: (inside, 0),
        landlock: 7,
    };
    (spec, ask, looks)
}

#[test]
fn what_holds_is_attested_and_whatever_differs_is_refused() {
    let (spec, ask, looks) = sound();
    judge(&spec, &ask, &looks).unwrap();
    type Change = fn(&mut Looks);
    let changes: [(&str, Change); 13] = [
        ("is not reachable outside the sandbox", |looks| {
            looks.outside.0.reached.remove(GATE);
        }),
        ("is not readable outside the sandbox", |looks| {
            looks.outside.0.opened.clear();
        }),
        ("some test messages were lost", |looks| looks.outside.1 = 0),
        ("it could reach", |looks| {
            looks.inside.0.reached.insert("tcp 127.0.0.1:7".into());
        }),
        ("it could reach", |looks| {
            looks.inside.0.reached.insert("abstract name".into());
        }),
        ("it could reach", |looks| {
            looks.inside.0.reached.insert(GATE.into());
        }),
        ("it could reach agp's own listeners", |looks| {
            looks.inside.1 = 1;
        }),
        ("it could read", |looks| {
            looks.inside.0.opened.insert("/home/u/.agp/key".into());
        }),
        ("it could write", |looks| {
            looks.inside.0.written.insert("/etc".into());
        }),
        ("the sandbox cannot write", |looks| {
            looks.inside.0.written.clear();
        }),
        ("it could signal agp", |looks| {
            looks.inside.0.signalled = true;
        }),
        ("Seccomp is not 2", |looks| {
            looks.inside.0.status.insert("Seccomp".into(), "0".into());
        }),
        ("CapEff is not", |looks| {
            looks.inside.0.status.insert("CapEff".into(), "1".into());
        }),
    ];
    for (said, change) in changes {
        let (spec, ask, mut looks) = sound();
        change(&mut looks);
        let why = judge(&spec, &ask, &looks).unwrap_err().to_string();
        assert!(why.contains(said), "{said}: {why}");
    }
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let (spec, ask, mut looks) = sound();
        let id = looks.outside.0.namespaces[kind].clone();
        looks.inside.0.namespaces.insert(kind.into(), id);
        let why = judge(&spec, &ask, &looks).unwrap_err().to_string();
        assert!(
            why.contains(&format!("it shares the host's {kind} namespace")),
            "{why}"
        );
    }
}

#[test]
fn a_way_out_lets_the_listed_host_through_and_no_other() {
    let (spec, mut ask, mut looks) = sound();
    ask.way_out = Some(WayOut {
        port: 3128,
        listed: "a.test:443".into(),
        unlisted: vec!["b.test:443".into()],
        hello: String::new(),
    });
    assert!(judge(&spec, &ask, &looks).is_err(), "not even that one");
    looks.inside.0.let_out.insert("a.test:443".into());
    judge(&spec, &ask, &looks).unwrap();
    looks.inside.0.let_out.insert("b.test:443".into());
    let why = judge(&spec, &ask, &looks).unwrap_err().to_string();
    assert!(why.contains("an unlisted host was reachable"), "{why}");
}

#[test]
fn a_weaker_confinement_is_tried_where_the_stronger_is_not_to_be_had_alone() {
    let missing = |tried: &mut Vec<Namespaces>, namespaces| {
        tried.push(namespaces);
        match namespaces {
            Namespaces::Off => Ok("held"),
            _ => Err(Unfit::Unavailable("not here".into())),
        }
    };
    let mut tried = Vec::new();
    let (held, refused) = strongest(candidates(None), |it| missing(&mut tried, it)).unwrap();
    assert_eq!((held, refused.len() + 1), ("held", tried.len()));
    assert_eq!(tried.first(), Some(&Namespaces::User));

    let mut tried = Vec::new();
    let leaky = strongest(candidates(None), |namespaces| {
        tried.push(namespaces);
        Err::<(), _>(Unfit::Leaky("a leak".into()))
    });
    assert!(leaky.is_err());
    assert_eq!(tried, [Namespaces::User]);
}

#[test]
fn what_the_journal_has_of_a_process_sandbox() {
    let (spec, ask, mut looks) = sound();
    looks.inside.0.uid = 7;
    looks.inside.0.writable_mounts = Some(["/repo".to_owned()].into());
    let attested = judge(&spec, &ask, &looks).unwrap();
    let expected = json!({
        "kind": "process",
        "namespaces": "user",
        "namespaceIds": looks.inside.0.namespaces,
        "landlock": 7,
        "status": {"CapEff": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"},
        "uid": 7,
        "tried": {"tcp": 1, "udp": 0, "unix": 2, "paths": 1, "unlisted": null},
        "letOut": [],
        "reached": [],
        "readable": [],
        "writable": ["/repo"],
        "writableMounts": ["/repo"],
        "isolated": [
            "files",
            "credentials of the operator",
            "Unix sockets",
            "network",
            "processes",
            "mounts",
            "System V IPC",
            "memory of other processes",
        ],
        "notIsolated": [
            "the kernel",
            "processor time",
            "memory in total",
            "disk space in total",
        ],
        "vmGrade": false,
    });
    assert_eq!(Value::Object(attested), expected);

    // The least that is taken: no namespaces, no Landlock, the host's network.
    let (mut spec, ask, mut looks) = sound();
    spec.namespaces = Namespaces::Off;
    spec.sockets.inet = true;
    looks.landlock = 0;
    looks.inside.0.signalled = true;
    looks.inside.0.reached.insert("tcp 127.0.0.1:7".into());
    let attested = judge(&spec, &ask, &looks).unwrap();
    assert_eq!(attested["reached"], json!(["tcp 127.0.0.1:7"]));
    let isolated = ["files", "credentials of the operator", "Unix sockets"];
    assert_eq!(attested["isolated"], json!(isolated));
    assert_eq!(
        attested["notIsolated"],
        json!([
            "the kernel",
            "processor time",
            "memory in total",
            "disk space in total",
            "process ids: other processes can be seen to be there",
            "System V IPC and POSIX message queues",
            "network",
            "signals to the operator's other processes",
            "no Landlock: only mounts and file modes restrict files",
        ])
    );
}

#[test]
fn what_cannot_be_written_is_told_with_the_way_out() {
    let directory = std::env::temp_dir().join(format!("agp-unwritable-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let reason = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&directory, mode).unwrap();
        unwritable(&directory)
    };
    assert!(reason(0o500).contains("chmod u+w"));
    assert!(reason(0o700).contains("read-only"));
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&directory, Some(12345), None).unwrap();
        assert!(reason(0o500).starts_with("user 12345 owns it"));
    }
    std::fs::remove_dir(&directory).unwrap();
}
