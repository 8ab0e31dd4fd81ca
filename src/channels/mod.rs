//! Where humans are asked.

pub mod console;
pub mod escape;
pub mod slack;
pub mod terminal;
