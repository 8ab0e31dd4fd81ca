//! What the tests share.

pub(crate) mod asking;
pub(crate) mod attendee;
pub(crate) mod codex;
pub(crate) mod dockerd;
pub(crate) mod governed;
pub(crate) mod journal;
pub(crate) mod login_double;
pub(crate) mod model;
pub(crate) mod named_git;
pub(crate) mod named_tests;
pub(crate) mod namespaces;
pub(crate) mod operator;
pub(crate) mod peer;
pub(crate) mod permit;
pub(crate) mod responses;
pub(crate) mod session;
pub(crate) mod slack;
pub(crate) mod slack_phone;
pub(crate) mod slack_world;
pub(crate) mod tls;
