//! Arguments of `agp`, and which command they lead to.

use std::ffi::OsString;

use argh::FromArgs;

use super::{
    attend, doctor, doctor_confinement, init, internal, keygen, log, policy, quickstart, run,
    sessions, slack_manifest, verify,
};
use crate::contracts::fold::{self, Next};
use crate::report::failure::{self, Failure, Outcome};
use crate::session::home::Home;
use crate::session::{options, panic_hook};

/// Govern a coding agent: policy decides each tool call, a signed journal keeps it.
#[derive(FromArgs)]
struct Arguments {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, parsed once")]
enum Command {
    Init(init::Init),
    Keygen(keygen::Keygen),
    Doctor(doctor::Doctor),
    Run(options::Run),
    Attend(attend::Attend),
    Policy(policy::PolicyTools),
    Verify(verify::Verify),
    Sessions(sessions::Sessions),
    Slack(slack_manifest::Slack),
    Log(log::Log),
    Quickstart(quickstart::Quickstart),
    Version(Version),
}

/// Print the version.
#[derive(FromArgs)]
#[argh(subcommand, name = "version")]
struct Version {}

/// Runs the command that the arguments ask for; gives the exit code.
#[must_use]
pub fn main(arguments: &[OsString]) -> u8 {
    failure::fold_on_a_terminal();
    panic_hook::plainly();
    // The commands that a harness's hook or agp itself starts come first: they must be quick.
    if let Some(code) = internal::main(arguments) {
        return code;
    }
    if let Some(code) = doctor_confinement::main(arguments) {
        return code;
    }
    let words: Option<Vec<&str>> = arguments.iter().map(|word| word.to_str()).collect();
    let Some(words) = words else {
        failure::complain("agp: an argument is not valid UTF-8");
        return failure::exit::USAGE;
    };
    if matches!(words.first(), Some(&("--version" | "-V"))) {
        return finish(version());
    }
    let words = split(&words);
    match Arguments::from_args(&["agp"], &words) {
        Ok(parsed) => finish(dispatch(parsed.command)),
        Err(early) if early.status.is_ok() => {
            failure::say(help(early.output.trim_end()));
            0
        }
        Err(_) if words.is_empty() => {
            let help = Arguments::from_args(&["agp"], &["--help"]);
            failure::complain(help.err().map_or_else(String::new, |help| help.output));
            failure::complain("agp: no command\n  help: start with `agp quickstart`");
            failure::exit::USAGE
        }
        Err(early) => {
            failure::complain(format_args!("agp: {}", early.output.trim()));
            let command = words.first().filter(|word| is_command(word));
            let mut command = command.map_or_else(String::new, |word| format!("{word} "));
            // `policy` has commands of its own: the parser knows which.
            let inner = words.get(1).filter(|_| command == "policy ");
            if let Some(inner) = inner
                && Arguments::from_args(&["agp"], &["policy", inner, "--help"])
                    .is_err_and(|early| early.status.is_ok())
            {
                command.push_str(&format!("{inner} "));
            }
            failure::complain(format_args!("  help: run `agp {command}--help`"));
            failure::exit::USAGE
        }
    }
}

/// Options that take no value.
const SWITCHES: [&str; 13] = [
    "--as-hook",
    "--attend",
    "--confined",
    "--follow",
    "--force",
    "--help",
    "--json",
    "--live",
    "--no-disk",
    "--no-probe",
    "--sarif",
    "--task-command",
    "--unconfined",
];

/// Splits `--name=value` in two, which the parser does not; what stands behind an option that
/// takes a value is its value, whatever it looks like.
fn split<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut split = Vec::with_capacity(words.len());
    let (mut value, mut options) = (false, true);
    for word in words {
        options &= *word != "--" || value;
        let option = options && !value && word.starts_with("--");
        match word.split_once('=') {
            Some((name, given)) if option => {
                split.extend([name, given]);
                value = false;
            }
            _ => {
                split.push(*word);
                value = option && !SWITCHES.contains(word);
            }
        }
    }
    split
}

fn is_command(word: &str) -> bool {
    let help = Arguments::from_args(&["agp"], &[word, "--help"]);
    !word.starts_with('-') && help.is_err_and(|help| help.status.is_ok())
}

/// Stands for a space that is not to be broken at.
const UNBROKEN: char = '\u{1}';

/// A command's help, whose first line stands whole option by option where it is folded.
fn help(text: &str) -> String {
    let (usage, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut depth = 0_usize;
    let usage = usage.chars().map(|c| {
        match c {
            '[' | '<' => depth += 1,
            ']' | '>' => depth = depth.saturating_sub(1),
            ' ' if depth > 0 => return UNBROKEN,
            _ => {}
        }
        c
    });
    let usage = fold::stdout(&usage.collect::<String>(), Next::MESSAGE);
    format!("{}\n{rest}", usage.replace(UNBROKEN, " "))
}

fn finish(outcome: Outcome) -> u8 {
    outcome.unwrap_or_else(|failure: Failure| {
        failure.tell();
        failure.code
    })
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Init(command) => init::init(&Home::find()?, &command),
        Command::Keygen(command) => keygen::keygen(&Home::find()?, &command),
        Command::Doctor(command) => doctor::doctor(&Home::find()?, &command),
        Command::Run(command) => run::run(&Home::find()?, command),
        Command::Attend(command) => attend::attend(&Home::find()?, &command),
        Command::Policy(command) => policy::policy(command),
        Command::Verify(command) => verify::verify(command),
        Command::Sessions(command) => sessions::sessions(&Home::find()?, &command),
        Command::Slack(command) => slack_manifest::slack(&command),
        Command::Log(command) => log::log(&Home::find()?, &command),
        Command::Quickstart(_) => quickstart::quickstart(&Home::find()?),
        Command::Version(_) => version(),
    }
}

fn version() -> Outcome {
    failure::say(format_args!("agp {}", env!("CARGO_PKG_VERSION")));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn an_option_and_its_value_may_be_one_word() {
        let words = [
            "run",
            "--witness=off",
            "--task",
            "--a=b",
            "--no-probe",
            "--repo=x=y",
        ];
        let apart = [
            "run",
            "--witness",
            "off",
            "--task",
            "--a=b",
            "--no-probe",
            "--repo",
            "x=y",
        ];
        assert_eq!(split(&words), apart);
        assert_eq!(
            split(&["verify", "a=b", "--json", "--key=k"]),
            ["verify", "a=b", "--json", "--key", "k"]
        );
        assert_eq!(split(&["x", "--", "--a=b"]), ["x", "--", "--a=b"]);
    }
}
