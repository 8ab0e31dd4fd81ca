//! Which process is at the other end of a connection, and that it is no agent's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::{PeerCredentials, PeerPidfd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::contracts::attendant::Attendant;
use crate::contracts::{bounded_file, limits};

use super::rejections::Reason;

/// Bytes of `/proc/PID/stat`: some 300.
const STAT_BYTES: u64 = 4096;
/// What runs a session and what runs in it, by the names that the kernel has of them.
const OWN_PROGRAMS: [&str; 2] = ["agp", "agp-bridge"];

/// What is known of a peer.
pub(super) struct Identified {
    /// Who it is, as far as that can be seen.
    pub(super) attendant: Option<Attendant>,
    /// Why it may not attend, if so.
    pub(super) refused: Option<Reason>,
    /// Readable once the process has ended.
    pub(super) process: Option<OwnedFd>,
}

/// Who may attend a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission {
    /// The user whose session it is.
    pub(super) user: u32,
    /// The process of the session's governor.
    pub(super) governor: i32,
}

impl Admission {
    /// Looks at the peer of a connection. The kernel's handle of the process is taken first, and the process still runs
    /// when all else was read: so its number has been nobody else's meanwhile.
    pub(super) fn identify(self, stream: &UnixStream) -> Identified {
        let unknown = Identified {
            attendant: None,
            refused: Some(Reason::UnknownProcess),
            process: None,
        };
        let (Ok(process), Ok(credentials)) = (
            getsockopt(stream, PeerPidfd),
            getsockopt(stream, PeerCredentials),
        ) else {
            return unknown;
        };
        let (pid, uid) = (credentials.pid(), credentials.uid());
        let Some(stat) = stat(pid) else {
            return unknown;
        };
        let attendant = Attendant {
            pid,
            uid,
            start_ticks: stat.start_ticks,
            terminal: stat.terminal,
        };
        let refused = if uid != self.user {
            Some(Reason::OtherUser)
        } else {
            self.lineage(pid, stat)
        };
        match runs(&process) {
            true => Identified {
                attendant: Some(attendant),
                refused,
                process: Some(process),
            },
            false => unknown,
        }
    }

    /// Looks at what started a process. Whatever a session starts stays below its governor, which takes in orphans.
    fn lineage(self, mut pid: i32, mut stat: Stat) -> Option<Reason> {
        if pid == self.governor {
            return Some(Reason::OwnProcess);
        }
        for _ in 0..limits::ATTEND_ANCESTORS {
            let started = stat.start_ticks;
            pid = stat.parent;
            if pid <= 1 {
                return None;
            }
            let above = self::stat(pid).filter(|above| above.start_ticks <= started);
            let Some(above) = above else {
                return Some(Reason::UnknownProcess);
            };
            if pid == self.governor || OWN_PROGRAMS.contains(&above.program.as_str()) {
                return Some(Reason::OwnProcess);
            }
            stat = above;
        }
        Some(Reason::UnknownProcess)
    }
}

/// Whether a process still runs.
fn runs(process: &OwnedFd) -> bool {
    let mut ended = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    let at_once = Timespec::default();
    matches!(poll(&mut ended, Some(&at_once)), Ok(0))
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
    program: String,
    parent: i32,
    terminal: u32,
    start_ticks: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    // Of a process that this one cannot see the number is 0.
    let path = (pid > 0).then(|| format!("/proc/{pid}/stat"))?;
    let bytes: io::Result<Vec<u8>> = bounded_file::read(Path::new(&path), STAT_BYTES);
    parse(&String::from_utf8_lossy(&bytes.ok()?))
}

/// Its second field is in brackets and holds whatever the program was called.
fn parse(text: &str) -> Option<Stat> {
    let (_, named) = text.split_once('(')?;
    let (program, rest) = named.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let mut field = |at: usize| fields.nth(at);
    let parent = field(1)?.parse().ok()?;
    let terminal: i64 = field(2)?.parse().ok()?;
    let start_ticks = field(14)?.parse().ok()?;
    Some(Stat {
        program: program.to_owned(),
        parent,
        terminal: u32::try_from(terminal).unwrap_or_default(),
        start_ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "S 41 42 42 34819 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";

    #[test]
    fn a_process_is_read_as_the_kernel_writes_it_whatever_it_is_called() {
        for program in ["agp", "a) S 1 1 1 0", "(sd-pam)", "two words"] {
            let stat = parse(&format!("43 ({program}) {REST}\n")).unwrap();
            let expected = Stat {
                program: program.into(),
                parent: 41,
                terminal: 34819,
                start_ticks: 987_654,
            };
            assert_eq!(stat, expected);
        }
        for text in ["", "43 (agp", "43 (agp) S 41", "43 (agp) S x 42 42 0 -1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn whoever_is_below_a_governor_may_not_attend() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let this = i32::try_from(std::process::id()).unwrap();
        let user = rustix::process::geteuid().as_raw();
        let parent = stat(this).unwrap().parent;
        for (governor, user, refused) in [
            (this, user, Some(Reason::OwnProcess)),
            (parent, user, Some(Reason::OwnProcess)),
            (i32::MAX, user + 1, Some(Reason::OtherUser)),
        ] {
            let admission = Admission { user, governor };
            let identified = admission.identify(&ours);
            assert_eq!(identified.refused, refused);
            let attendant = identified.attendant.unwrap();
            assert_eq!((attendant.pid, attendant.start_ticks > 0), (this, true));
        }
        drop(theirs);
    }
}
