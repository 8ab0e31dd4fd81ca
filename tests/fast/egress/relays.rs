//! The relay by which a sandboxed command reaches the proxy.

use super::*;

/// Says something to a listed host through a relay at this port.
fn through_relay(port: u16, target: &str, echo: &Echo) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "CONNECT {target} HTTP/1.1\r\n\r\n").unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    let mut tls = echo.client("model.test");
    let mut both = Stream::new(&mut tls, &mut stream);
    both.write_all(b"through both").unwrap();
    both.flush().unwrap();
    let mut heard = [0; 12];
    both.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"through both");
}

fn relay(world: &World, port: &str, command: &[&str]) -> std::process::Child {
    let socket = world.directory.join("egress.sock");
    std::process::Command::new(env!("CARGO_BIN_EXE_agp-bridge"))
        .args(["relay", "--port", port, "--socket"])
        .arg(socket)
        .args(command)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_relay_beside_a_command_tells_it_where_and_ends_with_it() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let target = format!("model.test:{}", echo.address.port());
    let say = "echo $HTTPS_PROXY $https_proxy $ALL_PROXY $NO_PROXY; read line; exit 7";
    let mut command = relay(&world, "0", &["--", "sh", "-c", say]);
    let mut told = String::new();
    let mut output = io::BufReader::new(command.stdout.take().unwrap());
    io::BufRead::read_line(&mut output, &mut told).unwrap();
    let proxy = told.split(' ').next().unwrap();
    let port = proxy.strip_prefix("http://127.0.0.1:").unwrap();
    let expected = format!("{proxy} {proxy} {proxy} localhost,127.0.0.1,::1\n");
    assert_eq!(told, expected);
    let port: u16 = port.parse().unwrap();
    through_relay(port, &target, &echo);
    through_relay(port, &target, &echo);
    command.stdin.take().unwrap().write_all(b"end\n").unwrap();
    let mut rest = String::new();
    // It ends with the command's output, which the relay does not hold open.
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(command.wait().unwrap().code(), Some(7));
    within_limit(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).err());
}

#[test]
fn a_relay_alone_carries_until_it_is_ended_and_without_a_proxy_carries_nothing() {
    let (mut world, echo) = World::reaching("model.test", |_| {});
    let target = format!("model.test:{}", echo.address.port());
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut alone = relay(&world, &port.to_string(), &[]);
    within_limit(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
    through_relay(port, &target, &echo);
    drop(world.proxy.take());
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    alone.kill().unwrap();
    alone.wait().unwrap();
}
