//! The table as it is used: compiled once from its files, never again.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock, OnceLock};

use crate::reading::atoms::{CodeClass, Danger, Set};
use crate::reading::registries;

use super::notation::{self, Operands, Opt, Unsound};
use super::readers::{self, Reader};
use super::schema::{self, File, Of, Style};

/// The files of the table.
pub(super) const FILES: &[(&str, &str)] = &[
    ("text.toml", include_str!("text.toml")),
    ("files.toml", include_str!("files.toml")),
    ("search.toml", include_str!("search.toml")),
    ("network.toml", include_str!("network.toml")),
    ("archives.toml", include_str!("archives.toml")),
    ("system.toml", include_str!("system.toml")),
    ("interpreters.toml", include_str!("interpreters.toml")),
    ("containers.toml", include_str!("containers.toml")),
    ("git.toml", include_str!("git.toml")),
    ("rust.toml", include_str!("rust.toml")),
    ("node.toml", include_str!("node.toml")),
    ("python.toml", include_str!("python.toml")),
    ("go.toml", include_str!("go.toml")),
    ("make.toml", include_str!("make.toml")),
    ("services.toml", include_str!("services.toml")),
    ("handing_on.toml", include_str!("handing_on.toml")),
];

/// The table. It is empty where its files are not sound, and then every program is unknown: a test holds that they are.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| load(FILES).unwrap_or_default());

/// Reads the table, where nobody waits for it yet.
pub(crate) fn warm() {
    LazyLock::force(&TABLE);
}

/// Every entry, and the programs by name.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// In no order.
    pub(super) entries: Vec<Entry>,
    /// Programs by the last part of their path.
    programs: HashMap<String, usize>,
}

impl Table {
    /// The entry of a program.
    pub(super) fn program(&self, name: &str) -> Option<&Entry> {
        self.entries.get(*self.programs.get(name)?)
    }

    /// The entry of a subcommand.
    pub(super) fn subcommand(&self, of: &Entry, name: &str) -> Option<&Entry> {
        self.entries.get(*of.subcommands.get(name)?)
    }

    /// Names of all programs.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.programs.keys().map(String::as_str)
    }
}

/// The entries that are in a named set, in no order. A set may hold one by more than this says (a reader's).
#[must_use]
pub fn members(set: Set) -> Vec<String> {
    let entries = TABLE.entries.iter();
    let within = entries.filter(|entry| entry.sets.contains(&set));
    within.map(|entry| entry.name.clone()).collect()
}

/// One program or subcommand.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its words: `git push`.
    pub(super) name: String,
    /// By every spelling.
    pub(super) subcommands: HashMap<String, usize>,
    /// What it has in common with its siblings.
    shape: Arc<Shape>,
}

impl Deref for Entry {
    type Target = Shape;

    fn deref(&self) -> &Shape {
        &self.shape
    }
}

/// Options of an entry.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// By every spelling.
    pub(super) by_spelling: HashMap<String, usize>,
    /// What the spellings stand for.
    pub(super) meanings: Vec<Opt>,
}

/// What siblings have in common.
#[derive(Debug)]
pub(super) struct Shape {
    /// As they are written. A session meets few of all programs: a program's are compiled when it is met.
    written: String,
    options: OnceLock<Options>,
    /// What operands are.
    pub(super) operands: Operands,
    /// Named sets.
    pub(super) sets: Vec<Set>,
    /// How options are spelled.
    pub(super) style: Style,
    /// An option can turn it.
    pub(super) can_turn: bool,
    /// An option that the table leaves out turns it.
    pub(super) unknown_turns: bool,
    /// Options end at the first operand.
    pub(super) posix: bool,
    /// A first word without a dash is a cluster.
    pub(super) bundled: bool,
    /// The program's options are taken behind a subcommand too.
    pub(super) globals_anywhere: bool,
    /// What it does with `.` where no operand is a path.
    pub(super) without: Option<notation::Role>,
    /// It runs code in any case.
    pub(super) code: Option<CodeClass>,
    /// What an unknown subcommand is.
    pub(super) otherwise: CodeClass,
    /// Hosts that it reaches.
    pub(super) hosts: Vec<String>,
    /// Dangers, with the options that they need and what they belong to.
    pub(super) dangers: Vec<(Danger, Vec<String>, Of)>,
    /// Amends what the table says.
    pub(super) reader: Option<Reader>,
    /// The inner command runs as another user or elsewhere.
    pub(super) changed: bool,
    /// Unknown words follow those of the inner command.
    pub(super) more: bool,
    /// Trees are read without what git ignores.
    pub(super) leaves_out_ignored: bool,
}

impl Shape {
    /// Its options. There are none where they are not sound, and then each that is given turns the program, but for a tame
    /// one: a test holds that they are.
    pub(super) fn options(&self) -> &Options {
        self.options
            .get_or_init(|| options(&self.written).unwrap_or_default())
    }
}

/// Compiles files, but for options.
///
/// # Errors
/// The file and entry that is not sound, and why.
pub(super) fn load(files: &[(&str, &str)]) -> Result<Table, Unsound> {
    let mut written: HashMap<String, schema::Entry> = HashMap::new();
    for (file, text) in files {
        let read: File = toml::from_str(text).map_err(|why| Unsound(format!("{file}: {why}")))?;
        for (key, entry) in read {
            if written.contains_key(&key) {
                return Err(Unsound(format!("{file}: `{key}` has an entry already")));
            }
            written.insert(key, entry);
        }
    }
    let mut table = Table::default();
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    // Parents first, so that a subcommand finds its own.
    let mut keys: Vec<&str> = written.keys().map(String::as_str).collect();
    keys.sort_unstable_by_key(|key| (key.split(' ').count(), *key));
    for key in keys {
        let Some(entry) = written.get(key) else {
            continue;
        };
        let (parent, last) = match key.rsplit_once(' ') {
            Some((parent, last)) => (Some(parent), last),
            None => (None, key),
        };
        let above: Vec<Option<usize>> = match parent {
            None => vec![None],
            Some(parent) => places
                .get(parent)
                .ok_or_else(|| Unsound(format!("`{key}`: there is no `{parent}`")))?
                .iter()
                .map(|place| Some(*place))
                .collect(),
        };
        let mut options = String::new();
        for of in &entry.like {
            let of = written
                .get(of)
                .ok_or_else(|| Unsound(format!("`{key}`: like `{of}`, which is not there")))?;
            options.push_str(&of.options);
            options.push('\n');
        }
        options.push_str(&entry.options);
        let shape = compile(entry, options).map_err(|why| Unsound(format!("`{key}`: {why}")))?;
        let shape = Arc::new(shape);
        for above in above {
            for (position, name) in std::iter::once(last)
                .chain(entry.names.iter().map(String::as_str))
                .enumerate()
            {
                if position > 0 && name == last {
                    continue;
                }
                let parent = above.and_then(|above| table.entries.get(above));
                let full = match parent {
                    Some(parent) => format!("{} {name}", parent.name),
                    None => name.to_owned(),
                };
                let place = table.entries.len();
                table.entries.push(Entry {
                    name: full.clone(),
                    subcommands: HashMap::new(),
                    shape: Arc::clone(&shape),
                });
                // A subcommand of the key belongs to every sibling, one of a sibling to that alone.
                places.entry(key.to_owned()).or_default().push(place);
                if position > 0 {
                    places.entry(full).or_default().push(place);
                }
                let mut spellings = vec![name];
                if position == 0 {
                    spellings.extend(entry.aliases.iter().map(String::as_str));
                }
                for spelling in spellings {
                    let by_name = match above {
                        None => &mut table.programs,
                        Some(above) => match table.entries.get_mut(above) {
                            Some(parent) => &mut parent.subcommands,
                            None => continue,
                        },
                    };
                    if by_name.insert(spelling.to_owned(), place).is_some() {
                        return Err(Unsound(format!("`{key}`: `{spelling}` is there already")));
                    }
                }
            }
        }
    }
    Ok(table)
}

/// Hosts as an entry writes them: `@npm` stands for those of a registry.
fn hosts(written: &[String]) -> Result<Vec<String>, Unsound> {
    let mut hosts = Vec::new();
    for host in written {
        match host.strip_prefix('@') {
            None => hosts.push(host.clone()),
            Some(group) => {
                let group = registries::group(group)
                    .ok_or_else(|| Unsound(format!("there is no registry `{host}`")))?;
                hosts.extend(group.iter().map(|host| (*host).to_owned()));
            }
        }
    }
    Ok(hosts)
}

/// Compiles options.
fn options(text: &str) -> Result<Options, Unsound> {
    let mut options = Options::default();
    for written in text.split_whitespace() {
        for option in notation::option(written)? {
            for spelling in &option.spellings {
                // What is written later, or by the entry itself, holds.
                options
                    .by_spelling
                    .insert(spelling.clone(), options.meanings.len());
            }
            options.meanings.push(option);
        }
    }
    Ok(options)
}

/// Whether all options are sound, and each danger's is one.
///
/// # Errors
/// The entry that is not, and why.
#[cfg(test)]
pub(super) fn check(table: &Table) -> Result<(), Unsound> {
    for entry in &table.entries {
        let options =
            options(&entry.written).map_err(|why| Unsound(format!("`{}`: {why}", entry.name)))?;
        let mut with = entry.dangers.iter().flat_map(|(_, with, _)| with);
        if let Some(option) = with.find(|with| !options.by_spelling.contains_key(*with)) {
            let name = &entry.name;
            return Err(Unsound(format!(
                "`{name}`: a danger with `{option}`, which is no option"
            )));
        }
    }
    Ok(())
}

fn compile(entry: &schema::Entry, written: String) -> Result<Shape, Unsound> {
    let operands = notation::operands(&entry.operands)?;
    let reader = match &entry.reader {
        None => None,
        Some(reader) => Some(
            readers::by_name(reader)
                .ok_or_else(|| Unsound(format!("there is no reader `{reader}`")))?,
        ),
    };
    let any_turns = || {
        written
            .split_whitespace()
            .any(|option| option.starts_with('!'))
    };
    Ok(Shape {
        can_turn: entry.style != Style::None && (!entry.tame || any_turns()),
        unknown_turns: !entry.tame,
        posix: entry.posix || operands.hands_on(),
        written,
        options: OnceLock::new(),
        operands,
        sets: entry.sets.iter().map(|set| Set::from(*set)).collect(),
        style: entry.style,
        bundled: entry.bundled,
        globals_anywhere: entry.globals_anywhere,
        without: entry.without.as_deref().map(notation::role).transpose()?,
        code: entry.code.map(CodeClass::from),
        otherwise: entry.otherwise.map_or(CodeClass::Unknown, CodeClass::from),
        hosts: hosts(&entry.hosts)?,
        dangers: entry
            .dangers
            .iter()
            .map(|danger| {
                let category = danger.category.into();
                let why = danger.why.clone();
                (Danger { category, why }, danger.with.clone(), danger.of)
            })
            .collect(),
        reader,
        changed: entry.changed,
        more: entry.more,
        leaves_out_ignored: entry.leaves_out_ignored,
    })
}
