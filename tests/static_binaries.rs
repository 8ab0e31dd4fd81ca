//! The binaries need nothing of the machine they run on: no loader, no libraries, an empty root.
//! And though static, they resolve names as `hosts: files dns` says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot prepare has failed; a skip must be seen"
)]

use std::fs;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

const BINARIES: [&str; 3] = [
    env!("CARGO_BIN_EXE_agp"),
    env!("CARGO_BIN_EXE_agp-bridge"),
    env!("CARGO_BIN_EXE_agp-verify"),
];

/// Says why a test did nothing; where everything must be there, that is a failure.
fn skipped(why: &str) {
    assert!(std::env::var_os("AGP_CI").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn scratch(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("agp-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Types of the program headers of a 64-bit little-endian ELF, and the file's own type.
fn program_headers(elf: &[u8]) -> (u16, Vec<u32>) {
    let u16_at = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().unwrap());
    assert_eq!(&elf[..6], b"\x7fELF\x02\x01");
    let offset = usize::try_from(u64::from_le_bytes(elf[32..40].try_into().unwrap())).unwrap();
    let (size, count) = (usize::from(u16_at(54)), usize::from(u16_at(56)));
    let types = (0..count).map(|header| {
        let at = offset + header * size;
        u32::from_le_bytes(elf[at..at + 4].try_into().unwrap())
    });
    (u16_at(16), types.collect())
}

#[test]
fn no_binary_asks_for_a_loader() {
    const PT_INTERP: u32 = 3;
    const ET_DYN: u16 = 3;
    for binary in BINARIES {
        let (kind, headers) = program_headers(&fs::read(binary).unwrap());
        assert!(
            !headers.is_empty() && !headers.contains(&PT_INTERP),
            "{binary}"
        );
        assert_eq!(kind, ET_DYN, "{binary} is not position independent");
    }
}

#[test]
fn the_bridge_and_the_verifier_run_in_an_empty_root() {
    if !is_root() {
        return skipped("chroot needs root");
    }
    let root = scratch("root");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal-v2/valid");
    for name in ["audit.log", "audit.log.head", "journal-ed25519.pub"] {
        fs::copy(fixture.join(name), root.join(name)).unwrap();
    }
    for binary in &BINARIES[1..] {
        fs::copy(binary, root.join(Path::new(binary).file_name().unwrap())).unwrap();
    }
    let within = |words: &[&str]| {
        // It stands where an ordinary `PATH` does not look.
        let output = Command::new("chroot")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .arg(&root)
            .args(words)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, text) = within(&["/agp-verify", "/audit.log", "--key", "/journal-ed25519.pub"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("OK: 11 events"), "{text}");
    let (code, text) = within(&["/agp-bridge", "bridge", "--help"]);
    assert_eq!(code, Some(0), "{text}");
    fs::remove_dir_all(root).unwrap();
}

/// Answers one A record for `dns.test`, and nothing for anything else (RFC 1035, section 4).
fn name_server(socket: &UdpSocket) {
    let mut query = [0_u8; 512];
    while let Ok((length, peer)) = socket.recv_from(&mut query) {
        let question = &query[12..length];
        let end = question.windows(5).position(|part| part[0] == 0).unwrap() + 5;
        let asks_a = question[end - 4..end] == [0, 1, 0, 1];
        let known = asks_a && question.starts_with(b"\x03dns\x04test\x00");
        let mut answer = query[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, u8::from(known), 0, 0, 0, 0]);
        answer.extend(&question[..end]);
        if known {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
        }
        socket.send_to(&answer, peer).unwrap();
    }
}

fn resolve(name: &str) -> Vec<IpAddr> {
    (name, 443)
        .to_socket_addrs()
        .map(|all| all.map(|one| one.ip()).collect())
        .unwrap_or_default()
}

/// This test binary is linked as `agp` is; it runs itself again where the resolver's files are
/// its own.
#[test]
fn names_resolve_from_files_and_from_dns() {
    const INSIDE: &str = "AGP_TEST_RESOLVER_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        assert_eq!(
            resolve("files.test"),
            ["192.0.2.6".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(
            resolve("dns.test"),
            ["192.0.2.7".parse::<IpAddr>().unwrap()]
        );
        assert!(resolve("nowhere.test").is_empty());
        return;
    }
    if !is_root() {
        return skipped("a mount namespace and port 53 need root");
    }
    let (kind, headers) = program_headers(&fs::read(std::env::current_exe().unwrap()).unwrap());
    assert!(
        kind == 3 && !headers.contains(&3),
        "the test itself is not static"
    );
    let server = UdpSocket::bind("127.0.0.77:53").unwrap();
    server
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    thread::spawn(move || name_server(&server));

    let files = scratch("resolver");
    fs::write(
        files.join("resolv.conf"),
        "nameserver 127.0.0.77\noptions timeout:2\n",
    )
    .unwrap();
    fs::write(files.join("nsswitch.conf"), "hosts: files dns\n").unwrap();
    fs::write(files.join("hosts"), "192.0.2.6 files.test\n").unwrap();
    let script = "for name in resolv.conf nsswitch.conf hosts; do
                      mount --bind \"$1/$name\" /etc/$name || exit 90
                  done
                  exec \"$2\" --exact names_resolve_from_files_and_from_dns";
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&files)
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    fs::remove_dir_all(files).unwrap();
}
