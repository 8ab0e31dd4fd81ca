//! `agp run`: one governed session.

use std::sync::Arc;

use crate::channels::terminal::Terminal;
use crate::report::failure::Outcome;
use crate::session::home::Home;
use crate::session::options::{Run, SessionOptions};
use crate::session::run::session;

pub(super) fn run(home: &Home, run: Run) -> Outcome {
    let options = SessionOptions::resolve(home, run)?;
    session(home, &options, &Arc::new(Terminal::find()))
}
