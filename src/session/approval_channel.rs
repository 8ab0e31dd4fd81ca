//! Who is asked, where no Slack is set up, and what the operator is told of each call.

use std::sync::Arc;

use super::home::{account, operator};
use super::kinds::Stream;
use super::options::SessionOptions;
use super::{output_view, transcript};
use crate::channels::console::{AutoApprove, Console};
use crate::channels::escape;
use crate::channels::terminal::Terminal;
use crate::contracts::channel::Channel;
use crate::governor::Notice;

/// Characters of a warning.
const WARNING_CHARS: usize = 300;

pub(crate) fn channel_of(options: &SessionOptions, terminal: &Arc<Terminal>) -> Box<dyn Channel> {
    if options.auto_approve {
        return Box::new(AutoApprove::new(Arc::clone(terminal)));
    }
    Box::new(Console::new(Arc::clone(terminal), operator(), account()))
}

pub(crate) fn notices(
    options: &SessionOptions,
    terminal: &Arc<Terminal>,
) -> Box<dyn Fn(&Notice<'_>) + Send + Sync> {
    let (terminal, raw) = (Arc::clone(terminal), options.stream == Stream::Raw);
    let elsewhere = options.slack.is_some();
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
