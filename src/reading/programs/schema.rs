//! The table as it is written: `*.toml` beside this file. `README.md` says how an entry is written.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::reading::atoms::{Category, CodeClass, Set};

/// A file of the table: entries by their words, such as `git` and `git push`.
pub(super) type File = BTreeMap<String, Entry>;

/// One program or subcommand.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Entry {
    /// Siblings of the same shape. Each is an entry under its own name.
    pub(super) names: Vec<String>,
    /// Other spellings of the last word: the entry keeps the key's name.
    pub(super) aliases: Vec<String>,
    /// Takes the options of these entries too.
    pub(super) like: Vec<String>,
    /// Options, in the notation of `README.md`.
    pub(super) options: String,
    /// Roles of the operands; the last may have a `*`, one before it too.
    pub(super) operands: String,
    /// Named sets.
    pub(super) sets: Vec<SetName>,
    /// How options are spelled.
    pub(super) style: Style,
    /// No option of it turns it, those neither that the table leaves out.
    pub(super) tame: bool,
    /// Options end at the first operand. Always so before an inner command.
    pub(super) posix: bool,
    /// A first word without a dash is a cluster of options, whose values follow in order (`tar xf a`).
    pub(super) bundled: bool,
    /// Options of the program are taken behind the subcommand too.
    pub(super) globals_anywhere: bool,
    /// What it does with `.` where no operand is a path; a role.
    pub(super) without: Option<String>,
    /// It runs code in any case.
    pub(super) code: Option<ClassName>,
    /// Class of the code that a subcommand is which the table does not know. Where absent: unknown.
    pub(super) otherwise: Option<ClassName>,
    /// Hosts that it reaches in any case; `*` is one that nobody knows.
    pub(super) hosts: Vec<String>,
    /// Dangers.
    pub(super) dangers: Vec<DangerOf>,
    /// A reader in Rust that amends what the table says.
    pub(super) reader: Option<String>,
    /// The inner command runs as another user or elsewhere.
    pub(super) changed: bool,
    /// Unknown words follow those of the inner command.
    pub(super) more: bool,
    /// Trees are read without what git ignores.
    pub(super) leaves_out_ignored: bool,
}

/// A danger of an entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DangerOf {
    /// The category.
    pub(super) category: CategoryName,
    /// In an approver's words, without a full stop. `{}` stands for the operand, of a danger `of = "operands"`.
    pub(super) why: String,
    /// Only with one of these options. Empty: always.
    #[serde(default)]
    pub(super) with: Vec<String>,
    /// Of what.
    #[serde(default)]
    pub(super) of: Of,
}

/// What a danger belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Of {
    /// The call of the program as a whole.
    #[default]
    Whole,
    /// Each operand that it writes or removes.
    Operands,
}

/// How options are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Style {
    /// `-ab`, `-ovalue`, `-o value`, `--long`, `--long=value`, `--long value`, abbreviations.
    #[default]
    Gnu,
    /// `-long`, `--long`, `-long=value`, `-long value`: no clusters.
    Single,
    /// No options: every word is an operand.
    None,
}

/// Names of the sets.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SetName {
    /// `@reads`.
    Reads,
    /// `@files`.
    Files,
    /// `@git-local`.
    GitLocal,
    /// `@build`.
    Build,
}

impl From<SetName> for Set {
    fn from(name: SetName) -> Self {
        match name {
            SetName::Reads => Self::Reads,
            SetName::Files => Self::Files,
            SetName::GitLocal => Self::GitLocal,
            SetName::Build => Self::Build,
        }
    }
}

/// Names of the classes of code.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ClassName {
    /// Of the repository.
    Repo,
    /// In the command.
    Inline,
    /// Not in the table.
    Unknown,
    /// From the network.
    Fetched,
}

impl From<ClassName> for CodeClass {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Repo => Self::Repo,
            ClassName::Inline => Self::Inline,
            ClassName::Unknown => Self::Unknown,
            ClassName::Fetched => Self::Fetched,
        }
    }
}

/// Names of the categories: those of `Category`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CategoryName {
    Delete,
    Disk,
    Privilege,
    History,
    Discard,
    Execute,
    Credentials,
    Exfiltration,
    Persistence,
    SupplyChain,
    Obfuscation,
    Container,
    Tampering,
}

impl From<CategoryName> for Category {
    fn from(name: CategoryName) -> Self {
        match name {
            CategoryName::Delete => Self::Delete,
            CategoryName::Disk => Self::Disk,
            CategoryName::Privilege => Self::Privilege,
            CategoryName::History => Self::History,
            CategoryName::Discard => Self::Discard,
            CategoryName::Execute => Self::Execute,
            CategoryName::Credentials => Self::Credentials,
            CategoryName::Exfiltration => Self::Exfiltration,
            CategoryName::Persistence => Self::Persistence,
            CategoryName::SupplyChain => Self::SupplyChain,
            CategoryName::Obfuscation => Self::Obfuscation,
            CategoryName::Container => Self::Container,
            CategoryName::Tampering => Self::Tampering,
        }
    }
}
