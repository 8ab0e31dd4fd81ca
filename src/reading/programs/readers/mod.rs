//! Readers of programs whose words say more than options and operands can.

use super::parse::Parsed;
use super::{Context, Invocation};

mod shell;

/// Amends what the table says of an invocation.
pub(super) type Reader = fn(&Parsed<'_>, &dyn Context, &mut Invocation);

/// The reader that an entry names.
pub(super) fn by_name(name: &str) -> Option<Reader> {
    Some(match name {
        "shell" => shell::shell,
        "source" => shell::source,
        "eval" => shell::eval,
        "xargs" => shell::xargs,
        _ => return None,
    })
}
