//! Commands, until the walk of a script stands here: none is read.

use super::atoms::Reading;
use super::disk::Disk;
use super::surroundings::Surroundings;

/// What a command would do.
#[must_use]
pub fn read(_text: &str, _at: &Surroundings, _disk: &dyn Disk) -> Reading {
    Reading {
        unread: vec!["commands are not read yet".to_owned()],
        ..Reading::default()
    }
}
