//! Who is at the other end of a session's socket for people, as the kernel says.

use serde_json::{Value, json};

/// A process that attends a session: the person at its terminal answers questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attendant {
    /// Its id when it connected.
    pub pid: i32,
    /// Its effective user when it connected.
    pub uid: u32,
    /// When it started, in clock ticks since the machine did (field 22 of `/proc/PID/stat`). With the id it names one
    /// process, also when ids begin anew.
    pub start_ticks: u64,
    /// The device number of its controlling terminal (field 7 there); 0 without one.
    pub terminal: u32,
}

/// Major number of virtual consoles and serial lines; the first minor number of the latter.
const TTY: (u32, u32) = (4, 64);
/// Major numbers of pseudo-terminals: 256 each.
const PTS: std::ops::RangeInclusive<u32> = 136..=143;

impl Attendant {
    /// The terminal as people know it, such as `/dev/pts/3`; `None` without one.
    #[must_use]
    pub fn terminal_name(&self) -> Option<String> {
        // The kernel's encoding of a device (`new_encode_dev`).
        let major = self.terminal >> 8 & 0xfff;
        let minor = self.terminal & 0xff | self.terminal >> 12 & 0xf_ff00;
        let (tty, serial) = TTY;
        match major {
            _ if self.terminal == 0 => None,
            _ if PTS.contains(&major) => {
                let number = (major - PTS.start()) * 256 + minor;
                Some(format!("/dev/pts/{number}"))
            }
            _ if major == tty && minor < serial => Some(format!("/dev/tty{minor}")),
            _ if major == tty => Some(format!("/dev/ttyS{}", minor - serial)),
            _ => Some(format!("terminal {major}:{minor}")),
        }
    }

    /// A person's name as this channel knows it: `root at /dev/pts/3`. `user` is the account's name.
    #[must_use]
    pub fn person(&self, user: &str) -> String {
        match self.terminal_name() {
            Some(terminal) => format!("{user} at {terminal}"),
            None => format!("{user} without a terminal"),
        }
    }

    /// What the journal has of it, as `peer`.
    #[must_use]
    pub fn record(&self) -> Value {
        json!({
            "pid": self.pid,
            "uid": self.uid,
            "startTicks": self.start_ticks,
            "terminal": self.terminal_name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_the_name_that_people_know() {
        let name = |terminal| {
            let attendant = Attendant {
                pid: 7,
                uid: 0,
                start_ticks: 1,
                terminal,
            };
            attendant.person("root")
        };
        for (device, expected) in [
            (0, "root without a terminal"),
            (136 << 8, "root at /dev/pts/0"),
            (136 << 8 | 3, "root at /dev/pts/3"),
            (137 << 8 | 1, "root at /dev/pts/257"),
            // The kernel gives pseudo-terminals minor numbers beyond 255 too.
            (136 << 8 | 2 | 1 << 20, "root at /dev/pts/258"),
            (4 << 8 | 1, "root at /dev/tty1"),
            (4 << 8 | 64, "root at /dev/ttyS0"),
            (229 << 8 | 2, "root at terminal 229:2"),
        ] {
            assert_eq!(name(device), expected, "{device}");
        }
    }
}
