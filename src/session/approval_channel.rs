//! Who is asked, where no Slack is set up, and what the operator is told of each call.

use std::sync::Arc;

use super::home::{account, person_here};
use super::kinds::Stream;
use super::options::SessionOptions;
use super::{output_view, transcript};
use crate::channels::console::{AutoApprove, Console};
use crate::channels::escape;
use crate::channels::terminal::Terminal;
use crate::contracts::channel::Channel;
use crate::governor::Notice;
use crate::report::failure::Failure;

/// Characters of a warning.
const WARNING_CHARS: usize = 300;

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

pub(crate) fn notices(
    options: &SessionOptions,
    terminal: &Arc<Terminal>,
) -> Box<dyn Fn(&Notice<'_>) + Send + Sync> {
    let (terminal, raw) = (Arc::clone(terminal), options.stream == Stream::Raw);
    let elsewhere = options.slack.is_some() || terminal.unattended_because().is_some();
    let repository = options.repository.clone();
    Box::new(move |notice| match notice {
        // At the console the question itself says so.
        Notice::Asked { call, verdict } if elsewhere => {
            let line = transcript::decided(call, verdict, &repository);
            if raw {
                terminal.tell(&line);
            } else {
                terminal.show(&line);
            }
        }
        Notice::Asked { .. } => {}
        Notice::Decided {
            call,
            verdict,
            withheld,
        } => {
            let line = if *withheld {
                transcript::withheld(verdict)
            } else {
                transcript::decided(call, verdict, &repository)
            };
            // In raw mode standard output is the harness's own, for a program to read.
            if raw {
                terminal.tell(&line);
            } else {
                terminal.show(&line);
            }
        }
        Notice::Executed(execution) => match output_view::ended(execution) {
            Some(line) if raw => terminal.tell(&line),
            Some(line) => terminal.show(&line),
            None => {}
        },
        // A peer's own bytes may stand in it, and a question may stand on the screen.
        Notice::Warning(text) => terminal.tell(&format!(
            "agp: warning: {}",
            escape::line_max(text, WARNING_CHARS)
        )),
    })
}
