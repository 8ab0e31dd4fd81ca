//! The system's own resolver in a real session, on the thread that has it and under its filter: name
//! servers that are silent, or want to be asked by TCP.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::session;

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use session::{World, python};

/// Asks the proxy for each host that is named by an argument, and says how that was answered.
const ASK: &str = r#"
import os, socket, sys
for host in sys.argv[1:]:
    proxy = os.environ["HTTPS_PROXY"].split("/")[2].split(":")
    stream = socket.create_connection((proxy[0], int(proxy[1])), 60)
    stream.sendall(b"CONNECT %s:443 HTTP/1.1\r\n\r\n" % host.encode())
    print(host, stream.recv(4096).split(b"\r\n")[0].decode(), flush=True)
"#;

/// An address for a name server of this process's own.
fn own_address() -> Ipv4Addr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + a, b, c)
}

/// A name server that never answers for a name with `silent` in it, and has any other asked for again by
/// TCP, where it hangs up. What it was asked, and how.
fn silent_name_server(address: Ipv4Addr) -> Option<Arc<Mutex<Vec<&'static str>>>> {
    let at = (address, 53);
    let (udp, tcp) = (UdpSocket::bind(at), TcpListener::bind(at));
    let (Ok(udp), Ok(tcp)) = (udp, tcp) else {
        session::skip("port 53 cannot be had here", "run the tests as root");
        return None;
    };
    let asked = Arc::<Mutex<Vec<&'static str>>>::default();
    let (by_udp, by_tcp) = (Arc::clone(&asked), Arc::clone(&asked));
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut question) {
            let question = &mut question[..length];
            if question.windows(6).any(|word| word == b"silent") {
                by_udp.lock().unwrap().push("silent");
                continue;
            }
            by_udp.lock().unwrap().push("cut");
            // An answer that was cut, of a server that looks further (RFC 1035, section 4.1.1): QR and TC, RA.
            question[2] |= 0x82;
            question[3] |= 0x80;
            let _ = udp.send_to(question, from);
        }
    });
    thread::spawn(move || {
        for _stream in tcp.incoming() {
            by_tcp.lock().unwrap().push("tcp");
        }
    });
    Some(asked)
}

/// agp with this as its `/etc/resolv.conf`, in a mount namespace of its own.
fn resolving(world: &World, settings: &str) -> Option<PathBuf> {
    let file = world.root().join("resolv.conf");
    fs::write(&file, settings).unwrap();
    let agp = std::env::var("AGP_TEST_PROGRAM");
    let agp = agp.unwrap_or_else(|_| env!("CARGO_BIN_EXE_agp").to_owned());
    let mount = format!("mount --bind '{}' /etc/resolv.conf", file.display());
    let can = Command::new("unshare")
        .args(["--mount", "sh", "-c", &mount])
        .status();
    if !can.is_ok_and(|status| status.success()) {
        session::skip("nothing can be mounted here", "run the tests as root");
        return None;
    }
    let wrapper = world.root().join("resolving");
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c \"{mount} && exec '{agp}' \\\"\\$@\\\"\" sh \"$@\"\n"
    );
    session::put_program(&wrapper, script);
    Some(wrapper)
}

#[test]
fn names_that_no_server_answers_for_are_refused_and_harm_no_session() {
    let address = own_address();
    let (Some(_), Some(asked)) = (python(), silent_name_server(address)) else {
        return;
    };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    world.put("ask.py", ASK);
    let settings = format!("nameserver {address}\noptions timeout:1 attempts:1\n");
    let Some(wrapper) = resolving(&world, &settings) else {
        return;
    };
    let command = "/usr/bin/python3 ask.py silent.test cut.test";
    let call = json!({"tool": "Bash", "args": {"command": command}});
    world.put("calls.jsonl", &call.to_string());
    let start = world
        .agp(&["run", "--script", "calls.jsonl", "--sandbox", "process"])
        .arguments(&["--egress-allow", "silent.test"])
        .arguments(&["--egress-allow", "cut.test"]);
    start.program(&wrapper).run().succeeded().said(&[
        "silent.test HTTP/1.1 502 Bad Gateway",
        "cut.test HTTP/1.1 502 Bad Gateway",
    ]);
    let denied = world.events("egress.deny");
    let denied = denied.iter().map(|event| &event["payload"]);
    let denied: Vec<_> = denied.map(|of| (&of["host"], &of["reason"])).collect();
    let reason = &json!("not-resolved");
    assert_eq!(
        denied,
        [
            (&json!("silent.test"), reason),
            (&json!("cut.test"), reason)
        ]
    );
    for way in ["silent", "cut", "tcp"] {
        assert!(asked.lock().unwrap().contains(&way), "{way}");
    }
    world.verifies();
}
