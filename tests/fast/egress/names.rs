//! Names that come to lead elsewhere, and lookups that hang.

use super::*;

#[test]
fn a_name_that_leads_to_a_private_address_is_refused_also_when_it_led_elsewhere_before() {
    let world = World::new(&["model.test"]);
    let own: Vec<String> = nix::ifaddrs::getifaddrs()
        .unwrap()
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip().to_string()))
        .collect();
    let private = [
        "127.0.0.1",
        "10.1.2.3",
        "172.20.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.1.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
    ];
    for address in private.into_iter().chain(own.iter().map(String::as_str)) {
        world.lead("model.test", &[address]);
        let denied = world.refused("model.test:443", 403);
        assert_eq!(denied["reason"], "address-not-public", "{address}");
        assert!(denied["address"].is_string());
        // One public address beside it helps nothing.
        world.lead("model.test", &["8.8.8.8", address]);
        assert_eq!(
            world.refused("model.test:443", 403)["reason"],
            "address-not-public"
        );
    }
    assert_eq!(world.refused("model.test:444", 403)["reason"], "not-listed");
    world.names.names.lock().unwrap().clear();
    assert_eq!(
        world.refused("model.test:443", 502)["reason"],
        "not-resolved"
    );
}

/// Between the check and the connection a name may come to lead elsewhere: it is asked once, and
/// what was checked is what is connected to.
#[test]
fn a_name_is_looked_up_once_and_the_checked_address_is_the_one_connected_to() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let elsewhere = Echo::new(&["model.test"]);
    let port = echo.address.port();
    let (mut stream, status, _) = world.ask(&format!("model.test:{port}"));
    assert_eq!(status, 200);
    world.lead("model.test", &["127.0.0.2"]);
    exchange(&mut echo.client("model.test"), &mut stream, b"still here");
    assert_eq!(world.names.asked.lock().unwrap().len(), 1);
    assert_eq!(world.last(Kind::EgressAllow)["address"], "127.0.0.1");
    assert_eq!(elsewhere.accepted(), 0);
}

#[test]
fn a_name_whose_lookup_hangs_is_given_up() {
    let world = World::with(&["slow.test"], |setup| {
        setup.patience = Duration::from_millis(100);
    });
    world.hold("slow.test");
    let denied = world.refused("slow.test:443", 502);
    assert_eq!(denied["reason"], "not-resolved");
    assert_eq!(denied["host"], "slow.test");
    assert_eq!(world.looked_up(), 1);
    within_limit(|| (world.proxy.as_ref()?.open() == 0).then_some(()));
}

#[test]
fn lookups_that_hang_hold_up_no_other_as_long_as_there_may_be_more() {
    let echo = Echo::new(&["model.test"]);
    let target = format!("model.test:{}", echo.address.port());
    let own = format!("127.0.0.1:{}", echo.address.port());
    let world = || {
        let list = [&target, &own, "slow.test"];
        let world = World::with(&list, |setup| setup.patience = FOR_EVER);
        world.lead("model.test", &["127.0.0.1"]);
        world.hold("slow.test");
        world
    };
    let one = world();
    let _waiting = one.waits("slow.test:443", 1);
    let (mut stream, status, _) = one.ask(&target);
    assert_eq!(status, 200);
    exchange(&mut echo.client("model.test"), &mut stream, b"meanwhile");

    let all = world();
    let most = limits::EGRESS_LOOKUPS;
    let begun = (1..=most).map(|begun| all.waits("slow.test:443", begun));
    let begun: Vec<UnixStream> = begun.collect();
    assert_eq!(all.refused(&target, 502)["reason"], "not-resolved");
    assert_eq!(all.looked_up(), most, "one more thread");
    all.names.held.lock().unwrap().clear();
    for mut stream in begun {
        assert_eq!(answer(&mut stream).0, 502);
    }
    within_limit(|| (all.ask(&target).1 == 200).then_some(()));
}

#[test]
fn the_end_of_the_proxy_waits_for_no_lookup() {
    let mut world = World::with(&["slow.test"], |setup| setup.patience = FOR_EVER);
    world.hold("slow.test");
    let mut stream = world.waits("slow.test:443", 1);
    drop(world.proxy.take());
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
    // Nothing was refused.
    assert_eq!(world.of(Kind::EgressDeny), []);
}
