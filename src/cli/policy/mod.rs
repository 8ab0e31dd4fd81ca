//! `agp policy`: what a policy says, without a session.

mod asking;
pub mod cases;
mod check;
mod decide;
mod explain;
mod faults;
mod hook_line;
mod import;
mod places;
mod recorded;
mod replay;
mod sarif;
mod schema;
mod suggest;
mod test;
mod warnings;
mod which;

use argh::FromArgs;

use crate::report::failure::Outcome;

pub(super) use check::summary;

/// Check, explain and try a policy without a session.
#[derive(FromArgs)]
#[argh(subcommand, name = "policy")]
pub(super) struct PolicyTools {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Check(check::Check),
    Explain(explain::Explain),
    Decide(decide::Decide),
    Test(test::Test),
    Replay(replay::Replay),
    Suggest(suggest::Suggest),
    Import(import::Import),
    Schema(schema::Schema),
}

pub(super) fn policy(command: PolicyTools) -> Outcome {
    match command.command {
        Command::Check(command) => check::check(&command),
        Command::Explain(command) => explain::explain(&command),
        Command::Decide(command) => decide::decide(&command),
        Command::Test(command) => test::test(&command),
        Command::Replay(command) => replay::replay(&command),
        Command::Suggest(command) => suggest::suggest(&command),
        Command::Import(command) => import::import(&command),
        Command::Schema(command) => schema::schema(&command),
    }
}
