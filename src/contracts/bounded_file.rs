//! Reading a whole file that must not be larger than expected.

use crate::contracts::plural::count;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads at most `bound` bytes; a larger file is an error, so that nothing is read in part.
///
/// # Errors
/// What the file system gives, or [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, bound: u64) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?, bound)
}

/// The same of what is open already.
///
/// # Errors
/// As [`read`].
pub fn read_from(from: impl Read, bound: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bound + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bound {
        let problem = format!("larger than {}", count(bound, "byte"));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}
