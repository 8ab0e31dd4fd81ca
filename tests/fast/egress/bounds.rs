//! What speaks too long, too slowly, too much or too often.

use super::*;

#[test]
fn a_hello_without_end_and_a_request_without_end_are_refused() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let (mut stream, status, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    assert_eq!(status, 200);
    // One that TLS itself would take, of 60 KiB in records of 1 KiB: read as far as the bound.
    let begun = [&[22, 3, 1, 4, 0, 1, 0, 0xf0, 0][..], &[0; 0x3fc]].concat();
    let (mut client, status, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    assert_eq!(status, 200);
    let mut sent = begun.len();
    client.write_all(&begun).unwrap();
    let more = [&[22, 3, 1, 4, 0][..], &[0; 0x400]].concat();
    while client.write_all(&more).is_ok() {
        sent += more.len();
        assert!(sent < 1 << 20, "it is read without end");
    }
    let denied = within_limit(|| world.of(Kind::EgressDeny).pop());
    assert_eq!(denied["reason"], "hello-too-long");
    // A handshake message of 4 MiB in records of 16 KiB.
    let mut record = vec![22, 3, 1, 0x40, 0, 1, 0x40, 0, 0];
    record.resize(5 + 0x4000, 0);
    for _ in 0..8 {
        // It is cut off in the middle.
        if stream.write_all(&record).is_err() {
            break;
        }
        record = [&[22, 3, 1, 0x40, 0][..], &vec![0; 0x4000]].concat();
    }
    let denied = within_limit(|| world.of(Kind::EgressDeny).into_iter().nth(1));
    assert!(
        ["hello-too-long", "not-tls"].contains(&denied["reason"].as_str().unwrap()),
        "{denied:?}"
    );
    let mut stream = world.connect();
    let long = "x".repeat(limits::EGRESS_HEAD_BYTES);
    let _ = write!(stream, "CONNECT model.test:1 HTTP/1.1\r\nX: {long}{long}");
    assert_eq!(answer(&mut stream).0, 431);
    assert_eq!(echo.accepted(), 0);
}

#[test]
fn whoever_speaks_too_slowly_is_cut_off() {
    let (world, echo) = World::reaching("model.test", |setup| {
        setup.handshake = Duration::from_millis(300);
    });
    let drip = |stream: &mut UnixStream, words: &[u8]| {
        for byte in words.iter().cycle() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    };
    let mut slow = world.connect();
    drip(&mut slow, b"CONNECT");
    assert_eq!(world.last(Kind::EgressDeny)["reason"], "head-late");
    let (mut slow, status, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    assert_eq!(status, 200);
    slow.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc]).unwrap();
    drip(&mut slow, &[3]);
    assert_eq!(world.last(Kind::EgressDeny)["reason"], "hello-late");
    assert_eq!(echo.accepted(), 0);
    within_limit(|| (world.proxy.as_ref()?.open() == 0).then_some(()));
}

#[test]
fn five_hundred_connections_are_carried_at_once_and_what_is_beyond_the_bound_is_refused() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let target = format!("model.test:{}", echo.address.port());
    let mut all = Vec::new();
    for _ in 0..500 {
        let (mut stream, status, _) = world.ask(&target);
        assert_eq!(status, 200);
        let mut tls = echo.client("model.test");
        exchange(&mut tls, &mut stream, b"one of many");
        all.push((tls, stream));
    }
    assert_eq!(world.proxy.as_ref().unwrap().open(), 500);
    for (tls, stream) in &mut all {
        exchange(tls, stream, b"and each still there");
    }
    let waiting: Vec<UnixStream> = (500..limits::EGRESS_CONNECTIONS)
        .map(|_| world.connect())
        .collect();
    within_limit(|| (world.proxy.as_ref()?.open() == limits::EGRESS_CONNECTIONS).then_some(()));
    let mut beyond = world.connect();
    assert_eq!(answer(&mut beyond).0, 503);
    assert_eq!(
        world.last(Kind::EgressDeny)["reason"],
        "too-many-connections"
    );
    drop((all, waiting));
    within_limit(|| (world.proxy.as_ref()?.open() == 0).then_some(()));
    let (_, status, _) = world.ask(&target);
    assert_eq!(status, 200);
}

#[test]
fn a_connection_that_rests_or_carries_too_much_is_ended() {
    let (world, echo) = World::reaching("model.test", |setup| {
        setup.bounds.idle = Duration::from_millis(200);
    });
    let (mut stream, _, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    exchange(
        &mut echo.client("model.test"),
        &mut stream,
        b"and then nothing",
    );
    assert_eq!(world.closed()["reason"], "idle");

    let (world, echo) = World::reaching("model.test", |setup| setup.bounds.bytes = 100_000);
    let (mut stream, _, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    let mut tls = echo.client("model.test");
    exchange(&mut tls, &mut stream, b"a little");
    let mut both = Stream::new(&mut tls, &mut stream);
    let mut sent = 0;
    while both
        .write_all(&[7; 4096])
        .and_then(|()| both.flush())
        .is_ok()
    {
        sent += 4096;
        assert!(sent < 10_000_000, "it is carried without end");
    }
    let closed = world.closed();
    assert_eq!(closed["reason"], "bytes");
    let carried = closed["bytesUp"].as_u64().unwrap() + closed["bytesDown"].as_u64().unwrap();
    assert_eq!(carried, 100_000);
}

#[test]
fn a_session_that_has_had_all_its_connections_opens_no_other() {
    let (world, echo) = World::reaching("model.test", |setup| setup.connections = 2);
    let target = format!("model.test:{}", echo.address.port());
    // All three are asked for while there is room.
    let mut asked: Vec<UnixStream> = (0..3).map(|_| world.ask(&target).0).collect();
    let mut late = asked.pop().unwrap();
    for stream in &mut asked {
        exchange(&mut echo.client("model.test"), stream, b"one of two");
    }
    let mut tls = echo.client("model.test");
    let mut both = Stream::new(&mut tls, &mut late);
    let told = both.write_all(b"x").and_then(|()| both.flush());
    let told = told.unwrap_err();
    assert!(told.to_string().contains("AccessDenied"), "{told}");
    let denied = world.last(Kind::EgressDeny);
    assert_eq!(
        (&denied["reason"], &denied["host"], &denied["address"]),
        (
            &json!("session-limit"),
            &json!("model.test"),
            &json!("127.0.0.1")
        )
    );
    // That others have ended makes no room, and nothing is looked up for it.
    drop((asked, late));
    within_limit(|| (world.proxy.as_ref()?.open() == 0).then_some(()));
    let looked_up = world.looked_up();
    let denied = world.refused(&target, 503);
    assert_eq!(denied["reason"], "session-limit");
    assert_eq!(denied["port"], echo.address.port());
    assert_eq!((world.looked_up(), echo.accepted()), (looked_up, 2));
    let numbers = world.of(Kind::EgressAllow);
    let opened = numbers.iter().filter(|event| event["phase"] == "open");
    let opened: Vec<&Value> = opened.map(|event| &event["connection"]).collect();
    assert_eq!(opened, [&json!(1), &json!(2)]);
}

#[test]
fn a_flood_of_refusals_is_counted_and_does_not_fill_the_journal() {
    let mut world = World::new(&[]);
    let more = 25;
    for _ in 0..limits::EGRESS_DENIALS + more {
        let (_, status, _) = world.ask("other.test:443");
        assert_eq!(status, 403);
    }
    drop(world.proxy.take());
    let denied = world.of(Kind::EgressDeny);
    assert_eq!(denied.len() as u64, limits::EGRESS_DENIALS + 1);
    let last = denied.last().unwrap();
    assert_eq!(
        (&last["reason"], &last["count"]),
        (&json!("more"), &json!(more))
    );
}
