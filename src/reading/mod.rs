//! What a call would do, read from its tool and arguments: programs, paths, hosts, code, and what is unread.
//!
//! Nothing here decides. `policy` holds the atoms against its rules.

pub mod atoms;
pub mod dangerous_paths;
pub mod disk;
pub mod hosts;
pub mod known_tools;
pub mod pathname;
pub mod paths;
pub mod programs;
pub mod registries;
pub mod resolve;
pub mod surroundings;
pub mod tools;
pub mod walk;
pub mod word;

/// Makes the tables, where nobody waits for them yet: the first call that is read needs them.
pub fn warm() {
    programs::warm();
    dangerous_paths::warm();
}
