//! Servers that are silent or not there, and the end of what was connected.

use super::*;

#[test]
fn the_end_of_the_proxy_is_the_end_of_its_connections() {
    let (mut world, echo) = World::reaching("model.test", |_| {});
    let (mut stream, _, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    exchange(&mut echo.client("model.test"), &mut stream, b"under way");
    let _waiting = world.connect();
    drop(world.proxy.take());
    assert_eq!(world.closed()["reason"], "stopped");
    // One that had asked for nothing was refused nothing.
    assert_eq!(world.of(Kind::EgressDeny), []);
    assert!(UnixStream::connect(world.directory.join("egress.sock")).is_err());
}

/// A server whose queue is full: who connects hears nothing.
fn silent_server() -> (OwnedFd, u16, Vec<OwnedFd>) {
    let socket = || {
        let (family, flags) = (AddressFamily::INET, SocketFlags::NONBLOCK);
        net::socket_with(family, SocketType::STREAM, flags, None).unwrap()
    };
    let listener = socket();
    net::bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    net::listen(&listener, 0).unwrap();
    let address = net::getsockname(&listener).unwrap();
    let address = SocketAddr::try_from(address).unwrap();
    let waiting = (0..8).map(|_| {
        let waiting = socket();
        // Some are let into the queue, the others are kept waiting.
        let _ = net::connect(&waiting, &address);
        waiting
    });
    let waiting = waiting.collect();
    (listener, address.port(), waiting)
}

#[test]
fn a_server_that_is_silent_is_given_up_and_not_waited_for_at_the_end() {
    let (_listener, port, _waiting) = silent_server();
    let echo = Echo::new(&["localhost"]);
    let reached_for = |patience| {
        let list = format!("localhost:{port}");
        let world = World::with(&[&list], |setup| setup.patience = patience);
        let (mut stream, status, _) = world.ask(&list);
        assert_eq!(status, 200);
        let mut tls = echo.client("localhost");
        tls.write_tls(&mut stream).unwrap();
        within_limit(|| world.of(Kind::EgressAllow).pop());
        (world, stream)
    };
    let (world, _stream) = reached_for(Duration::from_millis(200));
    let why = world.closed()["reason"].as_str().unwrap().to_owned();
    assert!(why.starts_with("cannot connect: "), "{why}");

    let (mut world, mut stream) = reached_for(FOR_EVER);
    drop(world.proxy.take());
    let mut told = Vec::new();
    stream.read_to_end(&mut told).unwrap();
    assert_eq!(told, b"");
    assert_eq!(world.closed()["reason"], "stopped");
}

#[test]
fn a_server_that_is_not_there_is_told_of() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let world = World::new(&[&format!("localhost:{port}")]);
    let echo = Echo::new(&["localhost"]);
    let (mut stream, status, _) = world.ask(&format!("localhost:{port}"));
    assert_eq!(status, 200);
    let mut tls = echo.client("localhost");
    let mut both = Stream::new(&mut tls, &mut stream);
    assert!(both.write_all(b"x").and_then(|()| both.flush()).is_err());
    let closed = world.closed();
    let why = closed["reason"].as_str().unwrap();
    assert!(why.starts_with("cannot connect: "), "{why}");
    assert_eq!(closed["address"], Value::Null);
}
