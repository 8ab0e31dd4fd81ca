//! Where humans are asked.

pub mod attend;
pub mod console;
pub mod escape;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod screen;
pub mod slack;
pub mod terminal;
