//! Who runs agp in a test: whoever runs the test, an ordinary user, or one to whom the kernel gives no
//! namespaces.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use super::session::{self, World};

/// Who runs agp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Whoever runs the test.
    Same,
    /// An ordinary user; root can be one.
    Ordinary,
    /// One whom the kernel gives no namespaces.
    WithoutNamespaces,
}

const NOBODY: u32 = 65534;

impl Operator {
    /// A program that starts agp as this one, and a harness that he can run. `None` where this
    /// machine cannot show it.
    pub(crate) fn of(self, world: &World, claude: &Path) -> Option<(PathBuf, PathBuf)> {
        let root = world.root();
        let before = match self {
            Self::Same => return Some((env!("CARGO_BIN_EXE_agp").into(), claude.to_owned())),
            Self::Ordinary if !rustix::process::geteuid().is_root() => {
                return Some((env!("CARGO_BIN_EXE_agp").into(), claude.to_owned()));
            }
            Self::Ordinary => {
                format!("setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --")
            }
            Self::WithoutNamespaces => format!("unshare --user --map-user={NOBODY} --"),
        };
        let before_works = Command::new("sh")
            .args(["-c", &format!("{before} true")])
            .status();
        if !before_works.unwrap().success() {
            session::skip(&before, "a kernel that permits it");
            return None;
        }
        // This checkout and the harness may lie where nobody else may look.
        let copied = |from: &Path, to: &str| {
            let to = root.join(to);
            let copied = Command::new("cp")
                .arg("-rL")
                .args([from, &to])
                .status()
                .unwrap();
            assert!(copied.success(), "{}", from.display());
            to
        };
        let agp = copied(env!("CARGO_BIN_EXE_agp").as_ref(), "agp-itself");
        copied(env!("CARGO_BIN_EXE_agp-bridge").as_ref(), "agp-bridge");
        let claude = copied(&claude.canonicalize().unwrap(), "claude");
        let start = root.join("start");
        session::put_program(
            &start,
            format!("#!/bin/sh\nexec {before} {} \"$@\"\n", agp.display()),
        );
        Some((start, claude))
    }

    /// Makes the world this one's.
    pub(crate) fn own(self, world: &World) {
        if self == Self::Ordinary && rustix::process::geteuid().is_root() {
            let owner = format!("{NOBODY}:{NOBODY}");
            let chown = Command::new("chown")
                .args(["-R", &owner])
                .arg(world.root())
                .status();
            assert!(chown.unwrap().success());
        }
    }
}
