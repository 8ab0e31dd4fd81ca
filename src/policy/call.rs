//! What a policy is asked about besides what a call would do.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::memory::Memory;
use crate::contracts::call::Actor;
use crate::reading::disk::{Disk, Git, Inodes, Resolved};
use crate::reading::surroundings::Surroundings;

/// A call, and where and when it is made.
#[derive(Clone, Copy)]
pub struct Conditions<'a> {
    /// The tool's name in the harness's words.
    pub tool: &'a str,
    /// Its arguments.
    pub args: &'a Map<String, Value>,
    /// Who calls.
    pub actor: Actor,
    /// Where.
    pub around: &'a Surroundings,
    /// The directory of the call, absolute; `None` where nobody knows.
    pub directory: Option<&'a str>,
    /// The branch that is checked out; `None` where nobody knows.
    pub branch: Option<&'a str>,
    /// Commands run in a sandbox, and egress is not `full`.
    pub confined: bool,
    /// The day, `2026-12-31`; `None` where nobody looked: an allow with `until` does not hold.
    pub today: Option<&'a str>,
    /// The secrets that the call asks for, by name.
    pub secrets: &'a BTreeSet<String>,
    /// What the session did before.
    pub memory: Option<&'a Memory>,
    /// The machine.
    pub disk: &'a dyn Disk,
}

/// What one listing gave, by directory and whether ignored files are left out.
type Listings = HashMap<(String, bool), Option<Vec<String>>>;

/// A disk that is asked each question once a call.
pub(super) struct Asked<'a> {
    disk: &'a dyn Disk,
    below: RefCell<Listings>,
    linked: RefCell<Listings>,
    inodes: RefCell<HashMap<String, Option<Inodes>>>,
    resolved: RefCell<HashMap<String, Option<Resolved>>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(disk: &'a dyn Disk) -> Self {
        Self {
            disk,
            below: RefCell::default(),
            linked: RefCell::default(),
            inodes: RefCell::default(),
            resolved: RefCell::default(),
        }
    }
}

impl Disk for Asked<'_> {
    fn resolve(&self, path: &str) -> Option<Resolved> {
        let mut resolved = self.resolved.borrow_mut();
        let entry = resolved.entry(path.to_owned());
        entry.or_insert_with(|| self.disk.resolve(path)).clone()
    }

    fn names(&self, directory: &str) -> Option<Vec<String>> {
        self.disk.names(directory)
    }

    fn below(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>> {
        let mut below = self.below.borrow_mut();
        let entry = below.entry((directory.to_owned(), leave_out_ignored));
        let listed = || self.disk.below(directory, leave_out_ignored);
        entry.or_insert_with(listed).clone()
    }

    fn linked(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>> {
        let mut linked = self.linked.borrow_mut();
        let entry = linked.entry((directory.to_owned(), leave_out_ignored));
        let listed = || self.disk.linked(directory, leave_out_ignored);
        entry.or_insert_with(listed).clone()
    }

    fn inodes(&self, directory: &str) -> Option<Inodes> {
        let mut inodes = self.inodes.borrow_mut();
        let entry = inodes.entry(directory.to_owned());
        entry.or_insert_with(|| self.disk.inodes(directory)).clone()
    }

    fn script(&self, path: &str) -> Option<String> {
        self.disk.script(path)
    }

    fn git(&self, directory: &str) -> Option<Git> {
        self.disk.git(directory)
    }

    fn ignored(&self, path: &str) -> Option<bool> {
        self.disk.ignored(path)
    }

    fn looks(&self) -> bool {
        self.disk.looks()
    }

    fn spent(&self) -> bool {
        self.disk.spent()
    }
}
