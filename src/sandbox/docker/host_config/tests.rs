//! Each way in which the daemon's account of a container can differ from what was asked of it.

use super::*;

fn wanted() -> Wanted {
    let mount = |source: &str, target: &str, writable| Mount {
        source: source.into(),
        target: target.into(),
        writable,
    };
    Wanted {
        session: "s".into(),
        home: "/home/someone/.agp".into(),
        image: "sha256:0a".into(),
        user: (65534, 65534),
        mounts: vec![
            mount("/src/repo", "/work", true),
            mount("/src/bin", "/run/agp-bin", false),
        ],
        directory: "/work".into(),
        network: Network::None,
        bounds: Bounds::default(),
    }
}

/// What a daemon says of a container that is as it was asked.
fn account() -> Value {
    let body = wanted().body();
    let mut host = body["HostConfig"].clone();
    host["MaskedPaths"] = json!(["/proc/kcore"]);
    host["ReadonlyPaths"] = json!(["/proc/sys"]);
    json!({
        "Image": body["Image"],
        "Config": body,
        "HostConfig": host,
        "Mounts": [
            {"Type": "bind", "Source": "/src/repo", "Destination": "/work", "RW": true},
            {"Type": "bind", "Source": "/src/bin", "Destination": "/run/agp-bin", "RW": false},
            {"Type": "tmpfs", "Source": "", "Destination": "/tmp", "RW": true},
        ],
        "NetworkSettings": {"Networks": {"none": {}}},
    })
}

fn refused(words: &str, change: impl FnOnce(&mut Value)) {
    let mut inspected = account();
    change(&mut inspected);
    let judged = wanted().compare(&inspected);
    let judged = judged.and_then(|()| wanted().compare_networks(&inspected));
    let Err(why) = judged else {
        panic!("taken: {words}");
    };
    assert!(why.to_string().contains(words), "{words:?} in {why}");
}

#[test]
fn an_account_of_what_was_asked_is_taken() {
    assert_eq!(wanted().compare(&account()), Ok(()));
    assert_eq!(wanted().compare_networks(&account()), Ok(()));
}

#[test]
fn whatever_the_daemon_leaves_out_changes_or_adds_is_refused() {
    let Value::Object(host) = wanted().host() else {
        panic!("no object");
    };
    let telling = host.iter().filter(|(_, value)| !is_empty(value));
    for (name, _) in telling {
        refused(&format!("HostConfig.{name} as"), |told| {
            told["HostConfig"].as_object_mut().unwrap().remove(name);
        });
    }
    for name in host.keys().map(String::as_str).chain(EMPTY) {
        refused(&format!("HostConfig.{name} as"), |told| {
            told["HostConfig"][name] = json!("other");
        });
    }
    for name in ["MaskedPaths", "ReadonlyPaths"] {
        refused(&format!("reports no HostConfig.{name}"), |told| {
            told["HostConfig"][name] = json!([]);
        });
    }
    refused("Image as", |told| told["Image"] = json!("sha256:0b"));
    for name in ["User", "Entrypoint", "Cmd"] {
        refused(&format!("Config.{name} as"), |told| {
            told["Config"][name] = json!("other");
        });
    }
    for name in [LABEL_SESSION, LABEL_HOME, LABEL_VERSION] {
        refused("did not keep its labels", |told| {
            told["Config"]["Labels"][name] = json!("other");
        });
    }
}

#[test]
fn mounts_and_networks_are_those_that_were_asked_for() {
    for (field, other) in [
        ("Source", json!("/src")),
        ("Destination", json!("/elsewhere")),
        ("RW", json!(true)),
    ] {
        refused("unexpected mount", |told| {
            told["Mounts"][1][field] = other;
        });
    }
    refused("unexpected mount /data", |told| {
        let volume = json!({"Type": "volume", "Destination": "/data", "RW": true});
        told["Mounts"].as_array_mut().unwrap().push(volume);
    });
    // The same twice: one over the other.
    refused("unexpected mount /work", |told| {
        let again = told["Mounts"][0].clone();
        told["Mounts"].as_array_mut().unwrap().push(again);
    });
    refused("/run/agp-bin is not mounted", |told| {
        told["Mounts"].as_array_mut().unwrap().remove(1);
    });
    refused("in the network \"bridge\"", |told| {
        told["NetworkSettings"]["Networks"]["bridge"] = json!({});
    });
    refused("reports no networks", |told| {
        told["NetworkSettings"] = json!({});
    });
}
