//! For tests alone (`--features inject`): `agp`, of which one thread was taken over as soon as it was
//! confined. `AGP_TAKE_OVER` is the thread's name, then what it does. `THREAD panic STAGE OF` is about
//! its midst: of the call of an id, or of the second event of a kind.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    inject::on_each_stage(panic_amid(&order));
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

/// Panics at this stage of this. Where a call was only asked for, not before another one was as well: that
/// one must not be lost. In the journal, with the second event of the kind, when the session is under way.
fn panic_amid(order: &str) -> impl Fn(&str, &str) + use<> {
    let place = order.split_once(" panic ").unwrap_or_default().1;
    let (at, wanted) = place.split_once(' ').unwrap_or_default();
    let (at, wanted) = (at.to_owned(), wanted.to_owned());
    let (requests, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let over = AtomicBool::new(false);
    let wait_for = |happened: &dyn Fn() -> bool| {
        let until = Instant::now() + Duration::from_secs(20);
        while !happened() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    };
    move |stage, of| {
        match stage {
            "asked" => _ = requests.fetch_add(1, Ordering::SeqCst),
            "taken" if of == wanted => _ = taken.fetch_add(1, Ordering::SeqCst),
            _ => {}
        }
        if stage == "written" && at == "signing" && taken.load(Ordering::SeqCst) >= 2 {
            // The helper gives way to all: nothing must be over before it has had its turn.
            wait_for(&|| over.load(Ordering::SeqCst));
        }
        // Who writes or signs does not know what.
        let is_there = stage == at && (of == wanted || of.is_empty());
        let is_call = ["asked", "decided"].contains(&stage);
        if !is_there || !is_call && taken.load(Ordering::SeqCst) < 2 {
            return;
        }
        if stage == "asked" {
            wait_for(&|| requests.load(Ordering::SeqCst) >= 2);
        }
        let _over = Over(&over);
        #[expect(clippy::panic, reason = "that is what it is to do")]
        {
            panic!("as it was told to");
        }
    }
}

/// Says that a panic's hook has done its work.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
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
