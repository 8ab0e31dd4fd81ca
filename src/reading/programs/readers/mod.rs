//! Readers of programs whose words say more than options and operands can.

use super::parse::Parsed;
use super::{Context, Invocation};

mod archives;
mod awk;
mod compilers;
mod containers;
mod databases;
mod files;
mod find;
mod git;
mod git_objects;
mod git_settings;
mod handing_on;
mod interpreters;
mod network;
mod packages;
mod remote;
mod sed;
mod shell;
mod text;

/// Amends what the table says of an invocation.
pub(super) type Reader = fn(&Parsed<'_>, &dyn Context, &mut Invocation);

/// The reader that an entry names.
pub(super) fn by_name(name: &str) -> Option<Reader> {
    Some(match name {
        "shell" => shell::shell,
        "source" => shell::source,
        "eval" => shell::eval,
        "chrt" => handing_on::chrt,
        "docker-build" => containers::build,
        "docker-cp" => containers::copy,
        "docker-run" => containers::run,
        "gdb" => compilers::gdb,
        "protoc" => compilers::protoc,
        "response-files" => compilers::response_files,
        "sqlite" => databases::sqlite,
        "editor" => handing_on::editor,
        "env" => handing_on::env,
        "jq" => text::jq,
        "less" => text::less,
        "man" => text::man,
        "mv" => files::mv,
        "pgrep" => handing_on::pgrep,
        "printenv" => text::printenv,
        "ps" => text::ps,
        "rm" => files::rm,
        "strace" => handing_on::strace,
        "unknown-inner" => handing_on::unknown_inner,
        "busybox" => handing_on::busybox,
        "chmod" => files::chmod,
        "chown" => files::chown,
        "compressed" => files::compressed,
        "crontab" => handing_on::crontab,
        "dd" => files::dd,
        "entr" => handing_on::entr,
        "flock" => handing_on::flock,
        "install" => files::install,
        "split" => files::split,
        "interpreter" => interpreters::interpreter,
        "node" => interpreters::node,
        "perl" => interpreters::perl,
        "php" => interpreters::php,
        "python" => interpreters::python,
        "kill" => handing_on::kill,
        "ln" => files::ln,
        "loads" => files::loads,
        "parallel" => handing_on::parallel,
        "patch" => files::patch,
        "script" => files::script,
        "shell-words" => handing_on::shell_words,
        "ssh-keygen" => files::ssh_keygen,
        "unzip" => files::unzip,
        "cluster" => packages::cluster,
        "make" => files::make,
        "npm-setting" => packages::npm_setting,
        "packages" => packages::packages,
        "runner" => packages::runner,
        "environment" => packages::environment,
        "run" => packages::run,
        "curl" => network::curl,
        "rsync" => remote::rsync,
        "scp" => remote::scp,
        "ssh" => remote::ssh,
        "tar" => archives::tar,
        "wget" => network::wget,
        "awk" => awk::awk,
        "fd" => find::fd,
        "find" => find::find,
        "sed" => sed::sed,
        "git" => git::git,
        "git-diff" => git_objects::diff,
        "git-objects" => git_objects::objects,
        "git-checkout" => git_objects::checkout,
        "git-clean" => git_objects::clean,
        "git-push" => git::push,
        "git-remote-operand" => git::remote_operand,
        "git-add" => git::add,
        "git-clone" => git::clone,
        "git-config" => git_settings::config,
        "git-apply" => git::apply,
        "git-foreach" => git::foreach,
        "xargs" => shell::xargs,
        _ => return None,
    })
}
