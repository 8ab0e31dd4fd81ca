//! What is said of each of the governor's threads: which files it may reach, and which system calls it may
//! make. `profiles.rs` says it; `threads.rs` enters it.

use landlock::{AccessFs, BitFlags};
use nix::libc;

use super::bpf::BpfRule;

/// A thread of the governor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The main thread at first: prepares the session.
    Prepare,
    /// Waits for the end, and clears up. Enters its profile when the session is prepared.
    Main,
    /// Appends, syncs, replaces the head.
    Journal,
    /// Signs.
    JournalSign,
    /// Accepts connections from the session's harness.
    Gateway,
    /// Sees calls through, one after the other.
    Call,
    /// Hears signals.
    Signals,
    /// Follows the harness; plays a script.
    Harness,
    /// Passes the harness's standard error on.
    HarnessStderr,
    /// Reads Codex's output.
    HarnessOutput,
    /// Reads Codex's rollout.
    Rollout,
    /// Starts programs.
    Spawn,
    /// Looks for what a command has left in the repository.
    Look,
    /// Looks at the file system for calls that are decided.
    Paths,
    /// Asks at the terminal.
    Console,
    /// Reads a file that an approver is shown.
    Preview,
    /// Hears Slack.
    SlackSocket,
    /// Opens a connection to Slack.
    SlackDial,
    /// Hands clicks to the sessions that they are of.
    SlackRelay,
    /// Speaks in Slack.
    SlackPost,
    /// Keeps what is to be said there.
    SlackOutbox,
    /// Answers the probe's harness in a model's place.
    ProbeModel,
    /// Speaks to the Docker daemon.
    Docker,
    /// Takes a sandbox's connections to the hosts that are allowed.
    Egress,
    /// Is the host that the way out is tried on.
    EgressTrial,
    /// Speaks to those who attend the session.
    Attend,
}

/// A place that a session gives to a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The directory of the journal and its head.
    Journal,
    /// The directory of `outbox.json`.
    Outbox,
    /// The directory of leases.
    Leases,
    /// The session's private directory.
    Session,
    /// The directory that one stands in.
    Runtime,
    /// The harness's private home.
    Rollouts,
    /// The repository.
    Repository,
    /// The home of the user that the session works for.
    Home,
    /// The directory of temporary files.
    Temporary,
    /// Git's configuration outside of the repository.
    GitConfiguration,
    /// Where the system says how names become addresses.
    Names,
    /// Where the kernel says what runs.
    Processes,
}

/// Rights to what lies below a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ground {
    /// Which.
    pub place: Place,
    /// The rights, as Landlock has them.
    pub rights: BitFlags<AccessFs>,
    /// The rights in words.
    pub may: &'static str,
    /// Why they are needed.
    pub why: &'static str,
}

/// What a profile consists of.
#[derive(Debug, Clone, Copy)]
pub struct ProfileSpec {
    /// The thread's name.
    pub thread: &'static str,
    /// What it does.
    pub does: &'static str,
    /// The thread that starts it, unless that is one without a profile yet. What it may not, this
    /// one may not.
    pub within: Option<Profile>,
    /// The files it may reach. Landlock refuses all others, and every TCP port but those that it is
    /// given.
    pub files: &'static [Ground],
    /// Whether Landlock is left out.
    pub all_files: bool,
    /// The calls that are named.
    pub calls: &'static [&'static [BpfRule]],
    /// Whether a call that is not named is allowed, instead of killing the process.
    pub others: bool,
}

impl ProfileSpec {
    /// The calls that are named, one by one.
    pub fn rules(&self) -> impl Iterator<Item = &'static BpfRule> {
        self.calls.iter().copied().flatten()
    }

    /// Whether it may make a call of this number, with some arguments.
    #[must_use]
    pub fn may(&self, call: i64) -> bool {
        match self.rules().find(|rule| rule.call == call) {
            Some(rule) => rule.allows(),
            None => self.others,
        }
    }

    /// Which sockets it can make.
    #[must_use]
    pub fn sockets(&self) -> &'static str {
        let makes = |family: libc::c_int| {
            let mut makers = self.rules().filter(|rule| rule.call == libc::SYS_socket);
            makers.any(|rule| rule.allows_first(family.unsigned_abs()))
        };
        match (self.others, makes(libc::AF_INET), makes(libc::AF_UNIX)) {
            (true, _, _) => "any",
            (false, true, _) => "inet",
            (false, false, true) => "unix",
            (false, false, false) => "none",
        }
    }

    /// Whether it can execute a program.
    #[must_use]
    pub fn execs(&self) -> bool {
        self.may(libc::SYS_execve)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_profile_is_in_the_table_under_a_name_of_its_own_that_the_kernel_keeps_whole() {
        let names: HashSet<&str> = Profile::ALL.map(|profile| profile.terms().thread).into();
        assert_eq!(names.len(), Profile::ALL.len());
        for name in names {
            assert!((1..16).contains(&name.len()), "{name}");
            assert_eq!(Profile::of_thread(name).unwrap().terms().thread, name);
        }
    }

    #[test]
    fn no_profile_names_a_call_twice() {
        for profile in Profile::ALL {
            let mut seen = HashSet::new();
            for rule in profile.terms().rules() {
                let thread = profile.terms().thread;
                assert!(seen.insert(rule.call), "{thread}: {}", rule.name());
                assert!(!rule.why.is_empty());
            }
        }
    }

    #[test]
    fn a_thread_starts_none_that_may_what_it_may_not() {
        for profile in Profile::ALL {
            let terms = profile.terms();
            let Some(starter) = terms.within else {
                continue;
            };
            let starter = starter.terms();
            for rule in terms.rules().filter(|rule| rule.allows()) {
                let known = starter.rules().find(|other| other.call == rule.call);
                let known = known.unwrap_or_else(|| panic!("{}: {}", terms.thread, rule.name()));
                let wider = known.cases.is_empty() || known.cases == rule.cases;
                assert!(wider, "{}: {}", terms.thread, rule.name());
            }
            for name in ["SYS_clone", "SYS_prctl", "SYS_seccomp"] {
                assert!(starter.rules().any(|rule| rule.constant == name), "{name}");
            }
            // Landlock can be entered once more, but what stands in the way stays.
            for ground in terms.files {
                assert!(starter.files.contains(ground), "{}", terms.thread);
            }
        }
    }

    /// The threads that the main thread starts while it prepares are under what that takes away, all but
    /// the one that was started before it.
    #[test]
    fn no_thread_is_to_do_what_its_starter_is_refused() {
        let refused = Profile::Prepare.terms();
        for profile in Profile::ALL {
            if profile == Profile::Spawn {
                continue;
            }
            for rule in refused.rules() {
                let may = profile.terms().may(rule.call);
                assert!(!may, "{profile:?} {}", rule.name());
            }
        }
    }

    /// What no thread may, and what only the named ones may.
    #[test]
    fn authority_is_where_the_design_says_and_nowhere_else() {
        let only = |calls: &[i64], allowed: &[Profile]| {
            for profile in Profile::ALL {
                for call in calls {
                    let may = profile.terms().may(*call);
                    assert_eq!(may, allowed.contains(&profile), "{profile:?} {call}");
                }
            }
        };
        only(
            &[
                libc::SYS_ptrace,
                libc::SYS_init_module,
                libc::SYS_finit_module,
                libc::SYS_perf_event_open,
                libc::SYS_bpf,
                libc::SYS_io_uring_setup,
                libc::SYS_keyctl,
                libc::SYS_add_key,
                libc::SYS_kexec_load,
                libc::SYS_process_vm_readv,
            ],
            &[],
        );
        // What it starts inherits its filter, and makes itself a sandbox.
        only(
            &[libc::SYS_mount, libc::SYS_unshare, libc::SYS_setns],
            &[Profile::Spawn],
        );
        // Besides the main thread, while it prepares: it asks a harness its version.
        only(
            &[
                libc::SYS_execve,
                libc::SYS_execveat,
                libc::SYS_kill,
                libc::SYS_tgkill,
                libc::SYS_pidfd_open,
                libc::SYS_listen,
                libc::SYS_socketpair,
            ],
            &[Profile::Spawn, Profile::Prepare],
        );
        let slack = [Profile::SlackSocket, Profile::SlackDial, Profile::SlackPost];
        let network = [
            &slack[..],
            &[
                Profile::SlackRelay,
                Profile::Egress,
                Profile::Docker,
                Profile::Spawn,
                Profile::Prepare,
            ],
        ]
        .concat();
        only(&[libc::SYS_socket, libc::SYS_connect], &network);
        let changes = [
            Profile::Journal,
            Profile::SlackOutbox,
            Profile::Spawn,
            Profile::Prepare,
        ];
        only(&[libc::SYS_fdatasync, libc::SYS_renameat], &changes);
    }
}
