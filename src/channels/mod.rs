//! Where humans are asked.

pub mod console;
pub mod escape;
pub mod terminal;
