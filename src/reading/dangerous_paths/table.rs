//! Paths and hosts that are dangerous by themselves, as data, with reasons in an approver's words.

use super::credentials::CREDENTIALS;
use super::machine::MACHINE;
use super::persistence::PERSISTENCE;
use crate::reading::atoms::Category;

/// What is done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is read.
    Read,
    /// It is made, changed or removed.
    Write,
    /// Either.
    Any,
}

/// Paths that are dangerous for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DangerousPaths {
    /// The category.
    pub category: Category,
    /// What is done with them.
    pub when: Use,
    /// What happens, as a sentence without its subject and full stop.
    pub why: &'static str,
    /// `~/x` in the home, `/x` from the root, `x` or `x/y` at any depth. A name may have `*`; a `/` at the end
    /// stands for all below, too.
    pub paths: &'static [&'static str],
}

pub(super) const fn group(
    category: Category,
    when: Use,
    why: &'static str,
    paths: &'static [&'static str],
) -> DangerousPaths {
    DangerousPaths {
        category,
        when,
        why,
        paths,
    }
}

/// All of them. The first of a category that fits gives the reason.
pub fn all() -> impl Iterator<Item = &'static DangerousPaths> {
    [CREDENTIALS, PERSISTENCE, MACHINE].into_iter().flatten()
}

/// Directories of a repository whose keys are made for tests: no credentials.
pub const FIXTURES: &[&str] = &[
    "test",
    "tests",
    "testdata",
    "test-data",
    "testing",
    "spec",
    "fixtures",
    "__fixtures__",
    "__tests__",
    "examples",
    "example",
    "node_modules",
    "vendor",
    "target",
];

/// Hosts that hand out the credentials of the machine they are asked from.
pub const METADATA_HOSTS: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "100.100.100.200",
    "192.0.0.192",
    "metadata.google.internal",
    "metadata",
    "metadata.azure.com",
    "instance-data",
];
