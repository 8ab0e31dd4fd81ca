//! Patterns by themselves.
