//! Commands of the shell, wherever a tool takes one.

use super::atoms::Reading;
use super::disk::Disk;
use super::surroundings::Surroundings;
use super::walk;

/// What a command would do.
#[must_use]
pub fn read(text: &str, at: &Surroundings, disk: &dyn Disk) -> Reading {
    walk::command(text, at, disk)
}
