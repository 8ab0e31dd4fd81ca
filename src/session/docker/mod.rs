//! The container of a session.

pub(crate) mod calls;
pub(crate) mod container;
pub(crate) mod harness;
