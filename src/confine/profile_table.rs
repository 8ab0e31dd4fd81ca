//! The table of profiles: what each of agp's threads may, and why.

use landlock::{AccessFs, BitFlags, make_bitflags};

use super::bpf::BpfRule;
use super::profile::{Ground, Place, Profile, ProfileSpec};
use super::syscall_groups;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const CONTENT: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile});
const LIST: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadDir});
const REPLACE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile});
const REMOVE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{RemoveFile});
const REMOVE_DIRECTORY: BitFlags<AccessFs> = make_bitflags!(AccessFs::{RemoveDir});
const CLEAR: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadDir | RemoveFile | RemoveDir});

const ROLLOUTS: &[Ground] = &[Ground {
    place: Place::Rollouts,
    rights: READ,
    may: "read",
    why: "Codex's rollout, its own account of what it did",
}];
const NAMES: &[Ground] = &[Ground {
    place: Place::Names,
    rights: READ,
    may: "read",
    why: "how the names of hosts become addresses, also when that changes",
}];

/// What a call worker may; its gateway may the same, and take connections.
const CALL: [&[BpfRule]; 11] = [
    syscall_groups::EVERY,
    syscall_groups::NO_FILES,
    syscall_groups::LOOKING,
    syscall_groups::NAMES,
    syscall_groups::NAMES_OLD,
    syscall_groups::WAITING,
    syscall_groups::WAITING_OLD,
    syscall_groups::CONNECTION,
    syscall_groups::CLIENTS,
    syscall_groups::COMMANDS,
    syscall_groups::OWNER,
];
const SLACK: [&[BpfRule]; 9] = [
    syscall_groups::EVERY,
    syscall_groups::READING,
    syscall_groups::LOOKING,
    syscall_groups::NAMES_OLD,
    syscall_groups::WAITING,
    syscall_groups::WAITING_OLD,
    syscall_groups::CONNECTION,
    syscall_groups::NETWORK,
    // A name is looked up on a thread of its own, to be given up in time.
    syscall_groups::THREADS,
];

/// A thread that opens nothing.
const BARE: ProfileSpec = ProfileSpec {
    thread: "",
    does: "",
    within: None,
    files: &[],
    all_files: false,
    calls: &[syscall_groups::EVERY, syscall_groups::NO_FILES],
    others: false,
};

impl Profile {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Prepare,
        Self::Main,
        Self::Journal,
        Self::JournalSign,
        Self::Gateway,
        Self::Call,
        Self::Signals,
        Self::Harness,
        Self::HarnessStderr,
        Self::HarnessOutput,
        Self::Rollout,
        Self::Spawn,
        Self::Look,
        Self::Paths,
        Self::Console,
        Self::Preview,
        Self::SlackSocket,
        Self::SlackDial,
        Self::SlackRelay,
        Self::SlackPost,
        Self::SlackOutbox,
        Self::ProbeModel,
        Self::Docker,
        Self::Egress,
        Self::EgressTrial,
        Self::Attend,
    ];

    /// The profile of the thread of this name.
    #[must_use]
    pub fn of_thread(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|profile| profile.terms().thread == name)
    }

    /// What it consists of.
    #[must_use]
    pub fn terms(self) -> ProfileSpec {
        match self {
            Self::Prepare => ProfileSpec {
                thread: "prepare",
                does: "the main thread, until all that a session needs is read and started",
                // It makes and opens what the others are left with.
                all_files: true,
                calls: &[syscall_groups::FORBIDDEN, syscall_groups::ISOLATING],
                others: true,
                ..BARE
            },
            Self::Main => MAIN,
            Self::Journal => JOURNAL,
            Self::JournalSign => ProfileSpec {
                thread: "journal-sign",
                does: "signs, beside the journal thread",
                calls: &[
                    syscall_groups::EVERY,
                    syscall_groups::NO_FILES,
                    syscall_groups::YIELDING,
                ],
                ..BARE
            },
            Self::Gateway => GATEWAY,
            Self::Call => ProfileSpec {
                thread: "call",
                does: "sees calls through, one after the other: asks the other threads",
                within: Some(Self::Gateway),
                calls: &CALL,
                ..BARE
            },
            Self::Signals => ProfileSpec {
                thread: "signals",
                does: "hears signals",
                calls: &[
                    syscall_groups::EVERY,
                    syscall_groups::NO_FILES,
                    syscall_groups::SIGNALLED,
                ],
                ..BARE
            },
            Self::Harness => HARNESS,
            Self::HarnessStderr => ProfileSpec {
                thread: "harness-stderr",
                does: "passes the harness's standard error on",
                within: Some(Self::HarnessOutput),
                calls: &[
                    syscall_groups::EVERY,
                    syscall_groups::NO_FILES,
                    syscall_groups::WAITING,
                    syscall_groups::WAITING_OLD,
                ],
                ..BARE
            },
            Self::HarnessOutput => HARNESS_OUTPUT,
            Self::Rollout => ProfileSpec {
                thread: "rollout",
                does: "reads Codex's rollout as it grows",
                within: Some(Self::Harness),
                files: ROLLOUTS,
                calls: &[
                    syscall_groups::EVERY,
                    syscall_groups::READING,
                    syscall_groups::LOOKING,
                    syscall_groups::NAMES_OLD,
                ],
                ..BARE
            },
            Self::Spawn => ProfileSpec {
                thread: "spawn",
                does: "starts programs; reads nothing that is foreign",
                // Landlock would keep what it starts from making mounts of its own.
                all_files: true,
                calls: &[syscall_groups::FORBIDDEN],
                others: true,
                ..BARE
            },
            Self::Look => LOOK,
            Self::Paths => PATHS,
            Self::Console => ProfileSpec {
                thread: "console",
                does: "asks at the terminal: draws questions, reads what is typed",
                calls: &[
                    syscall_groups::EVERY,
                    syscall_groups::NO_FILES,
                    syscall_groups::TERMINAL,
                    syscall_groups::WAITING_OLD,
                ],
                ..BARE
            },
            Self::Preview => PREVIEW,
            Self::SlackSocket => ProfileSpec {
                thread: "slack-socket",
                does: "hears Slack: acknowledges, judges clicks",
                files: NAMES,
                calls: &SLACK,
                ..BARE
            },
            Self::SlackDial => ProfileSpec {
                thread: "slack-dial",
                does: "opens one connection to Slack",
                within: Some(Self::SlackSocket),
                files: NAMES,
                calls: &SLACK,
                ..BARE
            },
            Self::SlackRelay => RELAY,
            Self::SlackPost => ProfileSpec {
                thread: "slack-post",
                does: "speaks in Slack, at its pace",
                files: NAMES,
                calls: &SLACK,
                ..BARE
            },
            Self::SlackOutbox => OUTBOX,
            Self::ProbeModel => ProfileSpec {
                thread: "probe-model",
                does: "answers the probe's harness in a model's place",
                calls: &[
                    syscall_groups::EVERY,
                    syscall_groups::NO_FILES,
                    syscall_groups::WAITING,
                    syscall_groups::CONNECTION,
                    syscall_groups::ACCEPTING,
                ],
                ..BARE
            },
            Self::Docker => DOCKER,
            Self::Egress => EGRESS,
            Self::EgressTrial => ProfileSpec {
                thread: "egress-trial",
                does: "is the host that the way out is tried on",
                ..Self::ProbeModel.terms()
            },
            Self::Attend => ATTEND,
        }
    }
}

const MAIN: ProfileSpec = ProfileSpec {
    thread: "main",
    does: "waits for a signal, a broken promise or the harness's end; then clears up",
    files: &[
        Ground {
            place: Place::Session,
            rights: CLEAR,
            may: "list, remove",
            why: "the session's directory goes with the session",
        },
        Ground {
            place: Place::Runtime,
            rights: REMOVE_DIRECTORY,
            may: "remove empty directories",
            why: "the session's directory stands there",
        },
        Ground {
            place: Place::Leases,
            rights: REMOVE,
            may: "remove files",
            why: "the lease goes with the session",
        },
    ],
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::READING,
        syscall_groups::LOOKING,
        syscall_groups::NAMES_OLD,
        syscall_groups::WAITING,
        syscall_groups::WAITING_OLD,
        syscall_groups::CONNECTION,
        syscall_groups::CLEARING,
        syscall_groups::CLEARING_OLD,
        syscall_groups::OWNER,
    ],
    ..BARE
};

const JOURNAL: ProfileSpec = ProfileSpec {
    thread: "journal",
    does: "appends, syncs, replaces the head; has the signing key",
    files: &[Ground {
        place: Place::Journal,
        rights: REPLACE,
        may: "read, write, make, remove files",
        why: "the journal, its head, and a torn line kept aside",
    }],
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::WRITING,
        syscall_groups::WRITING_OLD,
        syscall_groups::LOOKING,
        syscall_groups::NAMES_OLD,
        syscall_groups::WAITING,
    ],
    ..BARE
};

const OUTBOX: ProfileSpec = ProfileSpec {
    thread: "slack-outbox",
    does: "keeps what is still to be said in Slack",
    files: &[Ground {
        place: Place::Outbox,
        rights: REPLACE,
        may: "read, write, make, remove files",
        why: "outbox.json is replaced whole, under a lock beside it",
    }],
    calls: JOURNAL.calls,
    ..BARE
};

const RELAY: ProfileSpec = ProfileSpec {
    thread: "slack-relay",
    does: "hands clicks to the home's sessions that they are of; takes over the connection to Slack",
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::NO_FILES,
        syscall_groups::WAITING,
        syscall_groups::WAITING_OLD,
        syscall_groups::CONNECTION,
        syscall_groups::ACCEPTING,
        syscall_groups::NEIGHBOURS,
    ],
    ..BARE
};

const GATEWAY: ProfileSpec = ProfileSpec {
    thread: "gateway",
    does: "accepts connections, hands each to a call worker",
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::NO_FILES,
        syscall_groups::LOOKING,
        syscall_groups::NAMES,
        syscall_groups::NAMES_OLD,
        syscall_groups::WAITING,
        syscall_groups::WAITING_OLD,
        syscall_groups::CONNECTION,
        syscall_groups::CLIENTS,
        syscall_groups::COMMANDS,
        syscall_groups::OWNER,
        syscall_groups::ACCEPTING,
        syscall_groups::THREADS,
    ],
    ..BARE
};

const HARNESS: ProfileSpec = ProfileSpec {
    thread: "harness",
    does: "follows the harness's output; plays a script as a call worker",
    files: ROLLOUTS,
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::READING,
        syscall_groups::LOOKING,
        syscall_groups::NAMES,
        syscall_groups::NAMES_OLD,
        syscall_groups::WAITING,
        syscall_groups::WAITING_OLD,
        syscall_groups::COMMANDS,
        syscall_groups::THREADS,
    ],
    ..BARE
};

const HARNESS_OUTPUT: ProfileSpec = ProfileSpec {
    thread: "harness-output",
    does: "reads Codex's output",
    within: Some(Profile::Harness),
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::NO_FILES,
        syscall_groups::LOOKING,
        syscall_groups::WAITING,
        syscall_groups::WAITING_OLD,
        syscall_groups::COMMANDS,
        syscall_groups::THREADS,
    ],
    ..BARE
};

const LOOK: ProfileSpec = ProfileSpec {
    thread: "look",
    does: "looks for what a command has left in the repository for others to run",
    files: &[Ground {
        place: Place::Repository,
        rights: LIST,
        may: "list",
        why: "names and times, never what stands in a file",
    }],
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::READING,
        syscall_groups::LOOKING,
        syscall_groups::NAMES_OLD,
    ],
    ..BARE
};

const PATHS: ProfileSpec = ProfileSpec {
    thread: "paths",
    does: "looks at the file system for calls that are decided: where paths lead, what a directory holds",
    files: &[
        Ground {
            place: Place::Repository,
            rights: READ,
            may: "list, read",
            why: "scripts, lists of what git ignores, git's configuration",
        },
        Ground {
            place: Place::Home,
            rights: LIST,
            may: "list",
            why: "names, never what stands in a file",
        },
        Ground {
            place: Place::Temporary,
            rights: LIST,
            may: "list",
            why: "names, never what stands in a file",
        },
        Ground {
            place: Place::GitConfiguration,
            rights: READ,
            may: "list, read",
            why: "hosts of remotes, aliases, programs that git would run",
        },
    ],
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::READING,
        syscall_groups::LOOKING,
        syscall_groups::NAMES,
        syscall_groups::NAMES_OLD,
    ],
    ..BARE
};

const PREVIEW: ProfileSpec = ProfileSpec {
    thread: "preview",
    does: "reads a file of the repository as it is, for whoever is asked about a call that changes it",
    files: &[Ground {
        place: Place::Repository,
        rights: CONTENT,
        may: "read",
        why: "the old text in the diff that an approver sees",
    }],
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::NO_FILES,
        syscall_groups::LOOKING,
        syscall_groups::BENEATH,
    ],
    ..BARE
};

const DOCKER: ProfileSpec = ProfileSpec {
    thread: "docker",
    does: "speaks to the Docker daemon",
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::NO_FILES,
        syscall_groups::LOOKING,
        syscall_groups::WAITING,
        syscall_groups::WAITING_OLD,
        syscall_groups::CONNECTION,
        syscall_groups::DAEMON,
        syscall_groups::THREADS,
    ],
    ..BARE
};

const EGRESS: ProfileSpec = ProfileSpec {
    thread: "egress",
    does: "takes a sandbox's connections to the hosts that are allowed; a thread for each",
    files: NAMES,
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::READING,
        syscall_groups::LOOKING,
        syscall_groups::NAMES_OLD,
        syscall_groups::WAITING,
        syscall_groups::WAITING_OLD,
        syscall_groups::CONNECTION,
        syscall_groups::NETWORK,
        syscall_groups::ACCEPTING,
        syscall_groups::THREADS,
    ],
    ..BARE
};

const ATTEND: ProfileSpec = ProfileSpec {
    thread: "attend",
    does: "speaks to those who attend the session; takes and judges their answers",
    files: &[Ground {
        place: Place::Processes,
        rights: READ,
        may: "read",
        why: "which process is at the other end, when it started, at which terminal, and below what",
    }],
    calls: &[
        syscall_groups::EVERY,
        syscall_groups::READING,
        syscall_groups::LOOKING,
        syscall_groups::NAMES_OLD,
        syscall_groups::WAITING,
        syscall_groups::WAITING_OLD,
        syscall_groups::CONNECTION,
        syscall_groups::ACCEPTING,
    ],
    ..BARE
};
