//! Every rule of every profile, held against the kernel: what a thread may is made, what it may not is
//! caught, as root and as an ordinary user. Calls are trapped here where a release kills, so that one
//! thread can be asked about all of them; `tests/taken_over.rs` shows the killing.
//! `cargo test --features inject --test confinement_rules`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot prepare has failed"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use agp::confine::bpf::{BpfRule, Then};
use agp::confine::{self, Place, Places, Profile, inject};
use agp_raw_call as raw;
use nix::libc;

const JUNK: [u64; 6] = [u64::MAX; 6];
const NOBODY: u64 = 65534;

/// What comes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    Caught,
    Refused(i32),
    Made,
}

/// What the table says comes of it.
fn expected(profile: Profile, number: i64, arguments: [u64; 6]) -> Comes {
    let terms = profile.terms();
    let otherwise = if terms.others {
        Comes::Made
    } else {
        Comes::Caught
    };
    let Some(rule) = terms.rules().find(|rule| rule.call == number) else {
        return otherwise;
    };
    if rule.cases.is_empty() {
        return Comes::Made;
    }
    let low = |argument: u8| u32::try_from(arguments[usize::from(argument)] & 0xffff_ffff).unwrap();
    let case = rule.cases.iter().find(|case| {
        let mut when = case.when.iter();
        when.all(|when| when.values.contains(&(low(when.argument) & when.mask)))
    });
    match case.map(|case| case.then) {
        None => otherwise,
        Some(Then::Allow) => Comes::Made,
        Some(Then::Refuse(error)) => Comes::Refused(error),
    }
}

/// `uretprobe` and `uprobe`: the kernel answers them before any filter, with `SIGILL` wherever it did
/// not itself put the call.
const PROBES: [i64; 2] = [335, 336];

/// Ends what asks, or starts something that would go on from a wild address.
fn harms(number: i64) -> bool {
    [
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_rt_sigreturn,
        libc::SYS_clone,
    ]
    .contains(&number)
}

fn try_one(profile: Profile, number: i64, arguments: [u64; 6]) {
    let expected = expected(profile, number, arguments);
    if expected == Comes::Made && harms(number) {
        return;
    }
    let _ = raw::trapped();
    let got = raw::call(number, arguments);
    let came = match (raw::trapped(), expected) {
        (Some(caught), _) => {
            assert_eq!(caught, number);
            Comes::Caught
        }
        (None, Comes::Refused(error)) if got == -i64::from(error) => Comes::Refused(error),
        (None, _) => Comes::Made,
    };
    let thread = profile.terms().thread;
    assert_eq!(
        came, expected,
        "{thread}: call {number} {arguments:x?}: {got}"
    );
}

/// Arguments that fit each case of a rule, and their neighbours that do not.
fn variations(rule: &BpfRule) -> Vec<[u64; 6]> {
    let mut all = Vec::new();
    for case in rule.cases {
        let mut fitting = JUNK;
        for when in case.when {
            fitting[usize::from(when.argument)] = u64::from(when.values[0]);
        }
        all.push(fitting);
        for when in case.when {
            for value in when.values {
                let neighbours = [
                    u64::from(*value),
                    u64::from(value.wrapping_add(1)),
                    u64::from(value ^ 0x8000_0000),
                    u64::from(value ^ 4),
                    u64::from(*value) | 1 << 40,
                ];
                for neighbour in neighbours {
                    let mut arguments = fitting;
                    arguments[usize::from(when.argument)] = neighbour;
                    all.push(arguments);
                }
            }
        }
    }
    all
}

/// Runs on a thread that was confined as one that its starter, confined too, has started.
fn within(profile: Profile, places: Places, ordinary: bool, test: impl FnOnce() + Send + 'static) {
    inject::trap_first();
    raw::catch_traps();
    let tried = thread::spawn(move || {
        raw::skip_traps(true);
        if ordinary {
            // Of this thread alone: the kernel keeps a user for each.
            assert_eq!(raw::call(libc::SYS_setresgid, [NOBODY; 6]), 0);
            assert_eq!(raw::call(libc::SYS_setresuid, [NOBODY; 6]), 0);
        }
        let mut chain = vec![profile];
        while let Some(starter) = chain[0].terms().within {
            chain.insert(0, starter);
        }
        for profile in chain {
            confine::enter(profile, &places).unwrap();
        }
        test();
    });
    if tried.join().is_err() {
        panic!("{} as an ordinary user: {ordinary}", profile.terms().thread);
    }
}

/// As the user that runs the tests, and as nobody where that is root.
fn users() -> Vec<bool> {
    if rustix::process::geteuid().is_root() {
        vec![false, true]
    } else {
        vec![false]
    }
}

#[test]
fn every_call_of_every_profile_is_made_or_caught_as_the_table_says() {
    for ordinary in users() {
        for profile in Profile::ALL {
            within(profile, Places::none(), ordinary, move || {
                for rule in profile.terms().rules() {
                    for arguments in variations(rule) {
                        try_one(profile, rule.call, arguments);
                    }
                }
                // Of those that are not named, the threads that start programs may make all.
                let all = if profile.terms().others { 0 } else { 700 };
                for number in (0..all).filter(|number| !PROBES.contains(number)) {
                    try_one(profile, number, JUNK);
                }
                for number in [0x4000_0000, 0x4000_0029, 100_000] {
                    if !profile.terms().others {
                        try_one(profile, number, JUNK);
                    }
                }
                for rule in profile.terms().rules().filter(|rule| rule.cases.is_empty()) {
                    try_one(profile, rule.call, JUNK);
                }
            });
        }
    }
}

#[test]
fn whoever_starts_threads_can_and_nobody_else() {
    for profile in Profile::ALL {
        within(profile, Places::none(), false, move || {
            let may = profile.terms().may(libc::SYS_clone);
            if may {
                thread::spawn(|| ()).join().unwrap();
            } else {
                // As glibc starts one: first by the newer call.
                for call in [libc::SYS_clone3, libc::SYS_clone, libc::SYS_fork] {
                    let _ = raw::call(call, JUNK);
                    assert_eq!(raw::trapped(), Some(call), "{profile:?}");
                }
            }
        });
    }
}

struct World {
    root: PathBuf,
}

impl World {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("agp-rules-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for directory in ["", "own", "own/inner", "other"] {
            let path = root.join(directory);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        for file in ["own/file", "other/file"] {
            let path = root.join(file);
            fs::write(&path, "text").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        }
        Self { root }
    }

    fn path(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

const DENIED: i64 = -(libc::EACCES as i64);
const READ: i32 = libc::O_RDONLY;
const LIST: i32 = libc::O_RDONLY | libc::O_DIRECTORY;
const APPEND: i32 = libc::O_WRONLY | libc::O_APPEND;
const MAKE: i32 = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;

/// Opens, and says whether that was caught.
fn opened(path: &str, flags: i32) -> Result<bool, i64> {
    opening(path, raw::open(path, flags))
}

/// The same by `openat2`.
fn opened_beneath(path: &str, flags: i32) -> Result<bool, i64> {
    opening(path, raw::open_beneath(path, flags))
}

fn opening(path: &str, got: i64) -> Result<bool, i64> {
    match (raw::trapped(), got) {
        (Some(_), _) => Err(got),
        (None, DENIED) => Ok(false),
        (None, got) => {
            assert!(got >= 0, "{path}: {got}");
            Ok(true)
        }
    }
}

#[test]
fn files_are_those_of_the_profile_and_no_others() {
    for ordinary in users() {
        for profile in Profile::ALL
            .into_iter()
            .filter(|profile| !profile.terms().others)
        {
            let world = World::new(&format!("{profile:?}-{ordinary}"));
            let mut places = Places::none();
            for ground in profile.terms().files {
                places = places.with(ground.place, world.root.join("own"));
            }
            let names = [
                "own/file",
                "own",
                "own/new",
                "other/file",
                "other",
                "other/new",
            ];
            let paths = names.map(|name| world.path(name));
            within(profile, places, ordinary, move || {
                let [file, own, new, other_file, other, other_new] = &paths;
                let terms = profile.terms();
                let beneath = terms.may(libc::SYS_openat2);
                if beneath {
                    // By the other call it opens nothing at all.
                    assert_eq!(opened(file, READ), Ok(false), "{profile:?}");
                }
                let opened = if beneath { opened_beneath } else { opened };
                let given = |word: &str| terms.files.iter().any(|ground| ground.may.contains(word));
                let writes = given("write");
                // Reading another's file never is had; opening to write kills, or is refused.
                assert_eq!(opened(other_file, READ), Ok(false), "{profile:?}");
                assert_eq!(opened(other, LIST), Ok(false), "{profile:?}");
                for (path, flags) in [(other_file, APPEND), (other_new, MAKE)] {
                    // Flags of `openat2` cannot be looked into: Landlock refuses them.
                    let expected = if writes || beneath { Some(false) } else { None };
                    assert_eq!(opened(path, flags).ok(), expected, "{profile:?} {path}");
                }
                assert_eq!(opened(file, READ), Ok(given("read")), "{profile:?}");
                let lists = given("list") || given("read") && !beneath;
                assert_eq!(opened(own, LIST), Ok(lists), "{profile:?}");
                for (path, flags) in [(file, APPEND), (new, MAKE)] {
                    let expected = if beneath {
                        Some(false)
                    } else {
                        writes.then_some(true)
                    };
                    assert_eq!(opened(path, flags).ok(), expected, "{profile:?} {path}");
                }
            });
        }
    }
}

#[test]
fn what_looks_for_calls_reads_the_repository_and_git_s_configuration_and_only_lists_the_rest() {
    for ordinary in users() {
        let world = World::new(&format!("paths-{ordinary}"));
        for name in ["repo", "home", "tmp", "git"] {
            let path = world.root.join(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("file"), "text").unwrap();
            std::os::unix::fs::symlink(world.path("other/file"), path.join("link")).unwrap();
        }
        let places = Places::none()
            .with(Place::Repository, world.root.join("repo"))
            .with(Place::Home, world.root.join("home"))
            .with(Place::Temporary, world.root.join("tmp"))
            .with(Place::GitConfiguration, world.root.join("git/file"));
        let path = |name: &str| world.path(name);
        let files = [
            "repo/file",
            "git/file",
            "home/file",
            "tmp/file",
            "other/file",
        ]
        .map(path);
        let links = ["repo/link", "home/link"].map(path);
        let directories = ["repo", "home", "tmp", "git", "other"].map(path);
        within(Profile::Paths, places, ordinary, move || {
            let read = files.each_ref().map(|file| opened(file, READ));
            assert_eq!(read, [Ok(true), Ok(true), Ok(false), Ok(false), Ok(false)]);
            // A link leads to nothing more.
            assert_eq!(
                links.each_ref().map(|link| opened(link, READ)),
                [Ok(false); 2]
            );
            let listed = directories
                .each_ref()
                .map(|directory| opened(directory, LIST));
            assert_eq!(listed, [Ok(true), Ok(true), Ok(true), Ok(false), Ok(false)]);
            // Where names lead is looked up everywhere.
            assert!(fs::symlink_metadata(&files[4]).is_ok());
            assert_eq!(fs::read_link(&links[0]).unwrap(), PathBuf::from(&files[4]));
            for file in &files {
                assert!(opened(file, APPEND).is_err(), "{file}");
            }
            for call in [
                libc::SYS_socket,
                libc::SYS_connect,
                libc::SYS_execve,
                libc::SYS_unlinkat,
            ] {
                let _ = raw::call(call, JUNK);
                assert_eq!(raw::trapped(), Some(call));
            }
        });
    }
}

#[test]
fn what_the_main_thread_is_left_with_clears_a_session_up_and_nothing_else() {
    let world = World::new("main");
    let above = world.root.join("above");
    let session = above.join("session");
    fs::create_dir_all(session.join("tmp/home")).unwrap();
    fs::write(session.join("gate.sock"), "").unwrap();
    let leases = world.root.join("leases");
    fs::create_dir(&leases).unwrap();
    fs::write(leases.join("s.lease"), "").unwrap();
    let places = Places::none()
        .with(Place::Session, &session)
        .with(Place::Runtime, &above)
        .with(Place::Leases, &leases);
    let others = world.root.join("other");
    let gone = session.clone();
    within(Profile::Main, places, false, move || {
        fs::remove_file(session.join("gate.sock")).unwrap();
        fs::remove_dir_all(session.join("tmp")).unwrap();
        fs::remove_dir(&session).unwrap();
        fs::remove_file(leases.join("s.lease")).unwrap();
        let denied = |result: std::io::Result<()>| {
            let kind = result.unwrap_err().kind();
            assert_eq!(kind, std::io::ErrorKind::PermissionDenied);
        };
        denied(fs::remove_file(others.join("file")));
        denied(fs::remove_dir_all(&others));
    });
    assert!(!gone.exists());
    assert!(Path::new(&world.path("other/file")).exists());
}

#[test]
fn the_network_is_for_those_who_need_it_at_the_ports_they_were_given() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new("net");
    let unix = world.path("daemon.sock");
    let _daemon = UnixListener::bind(&unix).unwrap();
    fs::set_permissions(&unix, fs::Permissions::from_mode(0o777)).unwrap();
    let (port, other_port) = (
        listener.local_addr().unwrap().port(),
        other.local_addr().unwrap().port(),
    );
    for ordinary in users() {
        for profile in Profile::ALL
            .into_iter()
            .filter(|profile| !profile.terms().others)
        {
            let unix = unix.clone();
            within(profile, Places::none().port(port), ordinary, move || {
                let tcp = |port| {
                    let got = raw::connect_tcp(port);
                    (got, raw::trapped())
                };
                let by_path = |path: &str| {
                    let got = raw::connect_unix(path);
                    (got, raw::trapped())
                };
                let socket = Some(libc::SYS_socket);
                match profile.terms().sockets() {
                    "inet" => {
                        assert_eq!(tcp(port), (0, None), "{profile:?}");
                        assert_eq!(tcp(other_port), (DENIED, None), "{profile:?}");
                        assert_eq!(by_path(&unix), (DENIED, None), "{profile:?}");
                    }
                    "unix" => {
                        assert_eq!(by_path(&unix), (0, None), "{profile:?}");
                        assert_eq!(tcp(port).1, socket, "{profile:?}");
                    }
                    _ => {
                        assert_eq!(tcp(port).1, socket, "{profile:?}");
                        assert_eq!(by_path(&unix).1, socket, "{profile:?}");
                    }
                }
                if profile.terms().sockets() != "unix" {
                    // A raw socket, and the kernel's packets.
                    let _ = raw::call(libc::SYS_socket, [2, 3, 1, 0, 0, 0]);
                    assert_eq!(raw::trapped(), socket, "{profile:?}");
                    let _ = raw::call(libc::SYS_socket, [17, 3, 0, 0, 0, 0]);
                    assert_eq!(raw::trapped(), socket, "{profile:?}");
                }
            });
        }
    }
}

#[test]
fn a_name_is_still_resolved_where_names_are_needed() {
    use std::net::ToSocketAddrs;
    for ordinary in users() {
        for profile in [Profile::SlackDial, Profile::SlackPost, Profile::Egress] {
            within(
                profile,
                Places::none().names().port(53),
                ordinary,
                move || {
                    let found: Vec<_> = ("localhost", 1).to_socket_addrs().unwrap().collect();
                    assert_eq!(raw::trapped(), None, "{profile:?}");
                    assert!(found.iter().any(|address| address.ip().is_loopback()));
                    // One that is not in a file asks the network, and may fail there.
                    let _ = ("name.invalid", 1).to_socket_addrs();
                    assert_eq!(raw::trapped(), None, "{profile:?}");
                },
            );
        }
    }
}
