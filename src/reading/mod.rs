//! What a call would do, read from its tool and arguments: programs, paths, hosts, code, and what is unread.
//!
//! Nothing here decides. `policy` holds the atoms against its rules.

pub mod atoms;
pub mod disk;
pub mod hosts;
pub mod paths;
pub mod programs;
pub mod surroundings;
pub mod word;
