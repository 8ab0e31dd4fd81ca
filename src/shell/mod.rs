//! Reads the text of a shell command the way bash does, and runs nothing.

pub mod ast;
