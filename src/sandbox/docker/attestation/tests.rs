//! Each way in which a container can be another than it was asked to be, and the words that refuse it.

use super::*;
use crate::sandbox::docker::host_config::Bounds;

const USER: (u32, u32) = (65534, 65534);
/// A file of the operator's that nothing inside may read, and that the host has.
const PRIVATE: &str = "/home/someone/.ssh";
/// A mount of the session's that may be written.
const WORK: &str = "/work";

fn wanted() -> Wanted {
    Wanted {
        session: "s".into(),
        home: "/home/someone/.agp".into(),
        image: "sha256:0a".into(),
        user: USER,
        mounts: vec![
            Mount {
                source: "/src/repo".into(),
                target: WORK.into(),
                writable: true,
            },
            Mount {
                source: "/src/bin".into(),
                target: "/run/agp-bin".into(),
                writable: false,
            },
        ],
        directory: WORK.into(),
        network: Network::None,
        bounds: Bounds::default(),
    }
}

fn map<V: Clone>(names: &[&str], value: &V) -> std::collections::BTreeMap<String, V> {
    let pair = |name: &&str| ((*name).to_owned(), value.clone());
    names.iter().map(pair).collect()
}

fn set<T: Ord + for<'a> From<&'a str>>(names: &[&str]) -> BTreeSet<T> {
    names.iter().map(|name| T::from(name)).collect()
}

/// What is seen inside when everything is as it was asked.
fn sound(wanted: &Wanted) -> Surroundings {
    let mut status = map(&["NoNewPrivs"], &"1".to_owned());
    status.extend(map(&["Seccomp"], &"2".to_owned()));
    let mut limits = map(&["memory"], &wanted.bounds.memory);
    limits.extend(map(&["swap"], &0));
    limits.extend(map(&["pids"], &u64::from(wanted.bounds.pids)));
    limits.extend(map(&["cpuPeriod"], &100_000));
    limits.extend(map(&["cpu"], &wanted.processor_time(100_000)));
    Surroundings {
        seen: Sighting {
            uid: USER.0,
            opened: set(&["/bin/sh", "/etc/shadow"]),
            written: set(&["/tmp", WORK]),
            shakes: true,
            status: status.clone(),
            namespaces: map(&NAMESPACES, &"[2]".to_owned()),
            writable_mounts: Some(set(&["/dev", "/proc", "/proc/keys", "/tmp", WORK])),
            ..Sighting::default()
        },
        groups: BTreeSet::from([USER.1]),
        first: status,
        mounts: set(&[
            "/",
            "/dev",
            "/proc",
            "/proc/kcore",
            "/run/agp-bin",
            "/tmp",
            WORK,
        ]),
        devices: set(&["null", "tty"]),
        interfaces: set(&["lo"]),
        capabilities: map(&CAPABILITIES, &"0000000000000000".to_owned()),
        limits,
        ..Surroundings::default()
    }
}

/// What comes of a look around with this difference.
fn judged(
    change: impl FnOnce(&mut Surroundings, &mut Sighting, &mut usize),
) -> Result<(), Difference> {
    let wanted = wanted();
    let mut inside = sound(&wanted);
    let mut outside = Sighting {
        opened: set(&[PRIVATE]),
        namespaces: map(&NAMESPACES, &"[1]".to_owned()),
        ..Sighting::default()
    };
    let mut arrived = 0;
    change(&mut inside, &mut outside, &mut arrived);
    let ask = Ask {
        read: vec![PRIVATE.into()],
        ..Ask::default()
    };
    let looks = Looks {
        wanted: &wanted,
        ask: &ask,
        writable: &set(&["/tmp", WORK]),
        outside: (&outside, 0),
        inside: &inside,
        arrived,
        netcheck: true,
    };
    looks.judge()
}

fn refused(words: &str, change: impl FnOnce(&mut Surroundings, &mut Sighting, &mut usize)) {
    let Err(why) = judged(change) else {
        panic!("taken: {words}");
    };
    assert!(why.to_string().contains(words), "{words:?} in {why:?}");
}

#[test]
fn a_container_that_is_as_it_was_asked_is_taken() {
    assert_eq!(judged(|_, _, _| ()), Ok(()));
}

#[test]
fn who_runs_inside_has_the_rights_that_were_asked_and_no_others() {
    refused("the user is 0, not 65534", |inside, _, _| {
        inside.seen.uid = 0;
    });
    refused("not just 65534", |inside, _, _| {
        inside.groups.insert(0);
    });
    for name in CAPABILITIES {
        for value in ["00000000a80425fb", "0000000000000001", ""] {
            refused("it has capabilities", |inside, _, _| {
                inside.capabilities.insert(name.into(), value.into());
            });
        }
        refused("it has capabilities", |inside, _, _| {
            inside.capabilities.remove(name);
        });
    }
    for name in ["NoNewPrivs", "Seccomp"] {
        refused(&format!("failed: {name} is not"), |inside, _, _| {
            inside.seen.status.insert(name.into(), "0".into());
        });
        refused(
            "the daemon's seccomp filter is not active",
            |inside, _, _| {
                inside.first.insert(name.into(), "0".into());
            },
        );
    }
    for kind in NAMESPACES {
        let words = format!("it shares the host's {kind} namespace");
        refused(&words, |inside, _, _| {
            inside.seen.namespaces.insert(kind.into(), "[1]".into());
        });
        refused(&words, |inside, _, _| {
            inside.seen.namespaces.remove(kind);
        });
    }
}

#[test]
fn what_is_read_written_and_mounted_inside_is_what_was_asked_for() {
    refused("is not readable outside the sandbox", |_, outside, _| {
        outside.opened.clear();
    });
    for path in [PRIVATE, "/work/.git/credentials"] {
        refused("it could read", |inside, _, _| {
            inside.seen.opened.insert(path.into());
        });
    }
    refused("cannot write /work", |inside, _, _| {
        inside.seen.written.remove(Path::new(WORK));
    });
    refused("it could write /etc", |inside, _, _| {
        inside.seen.written.insert("/etc".into());
    });
    refused("could be replaced", |inside, _, _| {
        inside.seen.shaken.insert("renamed".into());
    });
    refused("nothing can be renamed", |inside, _, _| {
        inside.seen.shakes = false;
    });
    refused("cannot list its mounts", |inside, _, _| {
        inside.seen.writable_mounts = None;
    });
    for place in ["/", "/run/agp-bin", "/sys"] {
        refused(&format!("the mount {place} is writable"), |inside, _, _| {
            inside
                .seen
                .writable_mounts
                .get_or_insert_default()
                .insert(place.into());
        });
    }
    for place in ["/host", "/var/run/docker.sock"] {
        refused(&format!("unexpected mount {place}"), |inside, _, _| {
            inside.mounts.insert(place.into());
        });
    }
    refused("/dev/kvm", |inside, _, _| {
        inside.devices.insert("kvm".into());
    });
}

#[test]
fn each_bound_is_the_one_that_was_asked_for() {
    for (name, words) in [
        ("memory", "the memory limit in bytes is"),
        ("swap", "swap is available"),
        ("pids", "the process limit is"),
        ("cpu", "CPU limit"),
    ] {
        refused(words, |inside, _, _| {
            inside.limits.remove(name);
        });
        refused(words, |inside, _, _| {
            *inside.limits.get_mut(name).unwrap() += 2;
        });
    }
}

#[test]
fn nothing_of_a_network_is_reached_where_there_is_to_be_none() {
    refused("a network interface: eth0", |inside, _, _| {
        inside.interfaces.insert("eth0".into());
    });
    refused("a route through eth0", |inside, _, _| {
        inside.routes.insert("eth0".into());
    });
    refused("the name server", |inside, _, _| {
        inside.answered.insert("192.0.2.53".into());
    });
    for name in [
        "unix /run/docker.sock",
        "abstract x",
        "vsock",
        "tcp 127.0.0.1:1",
        "udp 192.0.2.1:7",
    ] {
        refused("it could reach", |inside, _, _| {
            inside.seen.reached.insert(name.into());
        });
    }
    refused("it could reach agp's own listeners", |_, _, arrived| {
        *arrived = 1;
    });
    // To oneself a packet can be sent, and arrives nowhere.
    let to_itself = judged(|inside, _, _| {
        inside.seen.reached = set(&["dns", "udp 127.0.0.1:7", "udp [::1]:7"]);
    });
    assert_eq!(to_itself, Ok(()));
}

#[test]
fn a_probe_that_reaches_nothing_outside_proves_nothing() {
    let ask = Ask {
        tcp: vec![([127, 0, 0, 1], 7).into()],
        udp: vec![([127, 0, 0, 1], 8).into()],
        abstract_name: "name".into(),
        unix: vec!["/s".into()],
        ..Ask::default()
    };
    let reached = [
        "tcp 127.0.0.1:7",
        "udp 127.0.0.1:8",
        "abstract name",
        "unix /s",
    ];
    let seen = |without: &str| {
        let mut reached: BTreeSet<String> = set(&reached);
        reached.remove(without);
        Sighting {
            reached,
            ..Sighting::default()
        }
    };
    let worth = |seen: &Sighting, came| expectation::judge(worth(&ask, seen, came));
    assert_eq!(worth(&seen(""), 2), Ok(()));
    assert!(worth(&seen(""), 1).is_err());
    for name in reached {
        assert!(worth(&seen(name), 2).is_err(), "{name}");
    }
}

#[test]
fn what_the_journal_has_of_a_container() {
    let wanted = wanted();
    let inside = sound(&wanted);
    let outside = Sighting {
        opened: set(&[PRIVATE]),
        namespaces: map(&NAMESPACES, &"[1]".to_owned()),
        ..Sighting::default()
    };
    let ask = Ask {
        read: vec![PRIVATE.into()],
        ..Ask::default()
    };
    let mut looks = Looks {
        wanted: &wanted,
        ask: &ask,
        writable: &set(&["/tmp", WORK]),
        outside: (&outside, 0),
        inside: &inside,
        arrived: 0,
        netcheck: true,
    };
    let mut expected = json!({
        "netcheck": "held",
        "status": {"NoNewPrivs": "1", "Seccomp": "2"},
        "capabilities": inside.capabilities,
        "uid": 65534,
        "groups": [65534],
        "namespaceIds": inside.seen.namespaces,
        "interfaces": ["lo"],
        "routes": [],
        "nameServersAnswered": [],
        "limits": inside.limits,
        "tried": {"tcp": 0, "udp": 0, "unix": 1, "replaced": 0, "paths": 1},
        "reached": [],
        "letOut": [],
        "arrived": 0,
        "writable": ["/tmp", WORK],
        "writableMounts": ["/dev", "/proc", "/proc/keys", "/tmp", WORK],
        "isolated": [
            "files",
            "credentials of the operator",
            "processes",
            "mounts",
            "Unix sockets",
            "System V IPC",
            "memory in total",
            "network",
        ],
        "notIsolated": ["the kernel", "disk space in total"],
        "vmGrade": false,
    });
    assert_eq!(Value::Object(looks.told()), expected);
    looks.netcheck = false;
    expected["netcheck"] = json!("SKIPPED");
    expected["isolated"].as_array_mut().unwrap().pop();
    expected["notIsolated"]
        .as_array_mut()
        .unwrap()
        .push(json!("network"));
    assert_eq!(Value::Object(looks.told()), expected);
}
