//! For tests alone (`--features inject`): `agp`, of which one thread was taken over as soon as it was
//! confined. `AGP_TAKE_OVER` is the thread's name, then what it does. `call panic asked ID` and
//! `call panic decided ID` are about the worker of one call, in its midst.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agp::confine::inject;
use agp_raw_call as raw;

fn main() -> ExitCode {
    // The processes of `agp doctor --check confinement` must die as they would in a release.
    if env::args().nth(1).as_deref() != Some("confinement-trial") {
        inject::trap_first();
    }
    raw::catch_traps();
    let order = env::var("AGP_TAKE_OVER").unwrap_or_default();
    if order.ends_with(" killed") {
        // As in a release, where nobody tells.
        inject::trap_never();
    }
    let panics = order.strip_prefix("call panic ").unwrap_or_default();
    inject::on_each_call(panic_amid(panics.to_owned()));
    inject::on_each_thread(move |thread: &str| {
        raw::remember_thread(thread);
        let mut words = order.split(' ');
        if words.next() == Some(thread) {
            let words: Vec<&str> = words.collect();
            match words.as_slice() {
                ["survey", key, journal, socket, port] => {
                    survey(thread, [*key, *journal, *socket, *port]);
                }
                deed => did(thread, deed),
            }
        }
    });
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    ExitCode::from(agp::cli::main(&arguments))
}

/// Panics at this stage of the call of this id. Where it was only asked for, not before another call was
/// asked for as well: that one must not be lost.
fn panic_amid(place: String) -> impl Fn(&str, &str) {
    let asked = AtomicUsize::new(0);
    move |stage, call| {
        if stage == "asked" {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        if place != format!("{stage} {call}") {
            return;
        }
        let until = Instant::now() + Duration::from_secs(20);
        while stage == "asked" && asked.load(Ordering::SeqCst) < 2 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        #[expect(clippy::panic, reason = "that is what it is to do")]
        {
            panic!("as it was told to");
        }
    }
}

/// Does it all, one after the other: a call that would kill is skipped, and told of.
fn survey(thread: &str, [key, journal, socket, port]: [&str; 4]) {
    raw::skip_traps(true);
    let deeds: [&[&str]; 9] = [
        &["read", key],
        &["write", journal],
        &["unix", socket],
        &["tcp", port],
        // ptrace, mount, bpf, io_uring_setup on x86-64.
        &["call", "101"],
        &["call", "165"],
        &["call", "321"],
        &["call", "425"],
        &["exec"],
    ];
    // Whoever may would not come back from the last.
    let last = deeds.len() - usize::from(["prepare", "spawn"].contains(&thread));
    for deed in deeds.into_iter().take(last) {
        did(thread, deed);
    }
    raw::skip_traps(false);
}

/// Does it, and says what came of it where the thread lives on.
fn did(thread: &str, words: &[&str]) {
    let got = match words {
        ["call", number, ..] => {
            let junk = [u64::MAX; 6];
            raw::call(number.parse().unwrap_or(-1), junk)
        }
        ["read", path] => raw::open(path, 0),
        ["write", path] => raw::open(path, 0o2001),
        ["unix", path] => raw::connect_unix(path),
        ["tcp", port] => raw::connect_tcp(port.parse().unwrap_or(1)),
        ["exec", ..] => raw::exec("/bin/true"),
        #[expect(clippy::panic, reason = "that is what it is to do")]
        ["panic"] => panic!("as it was told to"),
        _ => return,
    };
    let came = match raw::trapped() {
        Some(number) => format!("is deadly ({number})"),
        None => format!("gives {got}"),
    };
    let line = format!("TAKEN OVER: {thread}: {} {came}\n", words.join(" "));
    // Standard error, past all locks.
    let _ = raw::call(1, [2, line.as_ptr() as u64, line.len() as u64, 0, 0, 0]);
}
