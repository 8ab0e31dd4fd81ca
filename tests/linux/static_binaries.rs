//! The binaries need nothing of the machine they run on: no loader, no libraries, an empty root.
//! And though static, they resolve names as `hosts: files dns` says, and are as hardened as others.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot prepare has failed; a skip must be seen"
)]

use std::fs;
use std::io::Write;
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
    // The printing macros are swallowed where a test passes.
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {why}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn scratch(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("agp-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// One program header.
struct Segment {
    kind: u32,
    flags: u32,
    /// Where its bytes stand in the file.
    at: std::ops::Range<usize>,
}

fn u64_at(elf: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(elf[at..at + 8].try_into().unwrap())
}

/// The program headers of a 64-bit little-endian ELF, and the file's own type.
fn program_headers(elf: &[u8]) -> (u16, Vec<Segment>) {
    let u16_at = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let usize_at = |at: usize| usize::try_from(u64_at(elf, at)).unwrap();
    assert_eq!(&elf[..6], b"\x7fELF\x02\x01");
    let offset = usize_at(32);
    let (size, count) = (usize::from(u16_at(54)), usize::from(u16_at(56)));
    let segments = (0..count).map(|header| {
        let at = offset + header * size;
        let begin = usize_at(at + 8);
        Segment {
            kind: u32_at(at),
            flags: u32_at(at + 4),
            at: begin..begin + usize_at(at + 32),
        }
    });
    (u16_at(16), segments.collect())
}

const ET_DYN: u16 = 3;

fn has_loader(headers: &[Segment]) -> bool {
    const PT_INTERP: u32 = 3;
    headers.iter().any(|segment| segment.kind == PT_INTERP)
}

#[test]
fn no_binary_asks_for_a_loader() {
    for binary in BINARIES {
        let (_, headers) = program_headers(&fs::read(binary).unwrap());
        assert!(!headers.is_empty() && !has_loader(&headers), "{binary}");
    }
}

/// Position independent; nothing both writable and executable, the stack neither; relocations read-only,
/// all of them, once the program runs.
#[test]
fn every_binary_is_hardened() {
    const PT_DYNAMIC: u32 = 2;
    const PT_GNU_STACK: u32 = 0x6474_e551;
    const PT_GNU_RELRO: u32 = 0x6474_e552;
    const EXECUTE: u32 = 1;
    const WRITE: u32 = 2;
    // Entries of the dynamic section, and the flags of two of them.
    const DT_TEXTREL: u64 = 22;
    const DT_FLAGS: u64 = 30;
    const DF_BIND_NOW: u64 = 8;
    const DT_FLAGS_1: u64 = 0x6fff_fffb;
    const DF_1_NOW: u64 = 1;
    for binary in BINARIES {
        let elf = fs::read(binary).unwrap();
        let (kind, segments) = program_headers(&elf);
        assert_eq!(kind, ET_DYN, "{binary} is not position independent");
        let of = |kind: u32| segments.iter().find(|segment| segment.kind == kind);
        for segment in &segments {
            let both = segment.flags & (EXECUTE | WRITE);
            assert_ne!(both, EXECUTE | WRITE, "{binary}: writable and executable");
        }
        let stack = of(PT_GNU_STACK).expect(binary);
        assert_eq!(stack.flags & EXECUTE, 0, "{binary}: executable stack");
        assert!(of(PT_GNU_RELRO).is_some(), "{binary}: no RELRO");
        let dynamic = &elf[of(PT_DYNAMIC).expect(binary).at.clone()];
        let entries = dynamic.chunks_exact(16);
        let entries: Vec<(u64, u64)> = entries
            .map(|entry| (u64_at(entry, 0), u64_at(entry, 8)))
            .collect();
        let set = |tag: u64, flag: u64| {
            entries
                .iter()
                .any(|entry| entry.0 == tag && entry.1 & flag != 0)
        };
        assert!(
            set(DT_FLAGS, DF_BIND_NOW) || set(DT_FLAGS_1, DF_1_NOW),
            "{binary}: relocations stay writable"
        );
        assert!(
            !entries.iter().any(|entry| entry.0 == DT_TEXTREL),
            "{binary}: text is relocated"
        );
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
        kind == ET_DYN && !has_loader(&headers),
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
                  exec \"$2\" --exact static_binaries::names_resolve_from_files_and_from_dns";
    let inside = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&files)
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stdout);
    let passed = inside.status.success() && said.contains("1 passed");
    assert!(passed, "{inside:?}");
    fs::remove_dir_all(files).unwrap();
}
