//! What network a container has.

use super::*;

#[test]
fn a_network_is_had_only_when_it_is_asked_for_and_is_told_of() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let ran = session(
        daemon,
        &world,
        BUSYBOX,
        &[bash("grep -q eth0 /proc/net/dev && echo wired")],
    )
    .arguments(&["--egress", "full"])
    .run()
    .succeeded()
    .complained(&["WARNING: --egress full"]);
    assert!(ran.out.contains("| wired"), "{}", ran.out);
    let started = world.event("session.started")["payload"].clone();
    assert_eq!(started["egress"], "full");
    let attested = world.event("sandbox.attested")["payload"].clone();
    assert_eq!(attested["network"], "full");
    // The same probe that must reach nothing in a container without a network reaches agp's
    // listeners in one with it.
    assert!(attested["arrived"].as_u64().unwrap() > 0, "{attested:#}");
    let shared = attested["notIsolated"].as_array().unwrap();
    assert!(shared.contains(&json!("network")), "{attested:#}");
}

#[test]
fn a_list_of_hosts_is_all_that_a_container_reaches() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let connect = |host: &str| {
        let ask = format!("CONNECT {host}:443 HTTP/1.1\\r\\nHost: {host}:443\\r\\n\\r\\n");
        bash(&format!(
            "printf '{ask}' | nc -w 5 127.0.0.1 ${{HTTPS_PROXY##*:}} | head -1"
        ))
    };
    let calls = [
        connect("unlisted.example"),
        connect("169.254.169.254"),
        bash("nc -w 1 172.17.0.1 22 </dev/null"),
        bash("grep -q eth0 /proc/net/dev"),
    ];
    let ran = session(daemon, &world, BUSYBOX, &calls)
        .arguments(&["--egress-allow", "listed.example"])
        .run()
        .succeeded();
    assert_eq!(ran.out.matches("| HTTP/1.1 403").count(), 2, "{}", ran.out);
    let executed = executed(&world);
    assert!(executed[2]["exitCode"] != 0 && executed[3]["exitCode"] != 0);
    let denied = world.events("egress.deny");
    assert_eq!(denied.len(), 2, "{denied:#?}");
    assert_eq!(denied[0]["payload"]["host"], "unlisted.example");
    let started = world.event("session.started")["payload"].clone();
    assert_eq!(started["egress"], "allowlist");
    // Both halves were tried: a listed host was reached through the relay, no other.
    let attested = world.event("sandbox.attested")["payload"].clone();
    let out = attested["letOut"].as_array().unwrap();
    assert!(
        out.len() == 1 && out[0].as_str().unwrap().starts_with("listed.agp.invalid:"),
        "{out:?}"
    );
    assert_eq!(attested["interfaces"], json!(["lo"]));
    world.verifies();
    gone(daemon, &world);
}

#[test]
fn a_network_that_nobody_looked_into_is_told_of_loudly() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    session(daemon, &world, BUSYBOX, &[bash("true")])
        .env("AGP_SANDBOX_SKIP_NETCHECK", "1")
        .run()
        .succeeded()
        .complained(&["WARNING: AGP_SANDBOX_SKIP_NETCHECK=1"]);
    let attested = world.event("sandbox.attested")["payload"].clone();
    assert_eq!(attested["netcheck"], "SKIPPED");
    let shared = attested["notIsolated"].as_array().unwrap();
    assert!(shared.contains(&json!("network")), "{attested:#}");
}
