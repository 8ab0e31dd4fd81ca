//! Who is asked, where no Slack is set up.

use std::sync::Arc;

use super::home::{account, person_here};
use super::options::SessionOptions;
use crate::channels::console::{AutoApprove, Console};
use crate::channels::terminal::Terminal;
use crate::contracts::channel::Channel;
use crate::report::failure::Failure;

pub(crate) fn channel_of(
    options: &SessionOptions,
    terminal: &Arc<Terminal>,
) -> Result<Box<dyn Channel>, Failure> {
    let terminal = Arc::clone(terminal);
    if options.auto_approve {
        return Ok(Box::new(AutoApprove::new(terminal)));
    }
    let console = Console::start(terminal, person_here(), account(), options.approval_bell);
    let console = console.map_err(|error| {
        let problem = format!("cannot start the terminal's thread: {error}");
        Failure::refused(problem, "run `agp doctor --check confinement`")
    })?;
    Ok(Box::new(console))
}
