//! Which dangers a policy asks about or denies.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::fields::{OneOf, Text};
use crate::contracts::verdict::Decision;
use crate::reading::atoms::Category;

/// The categories by the names that a policy gives them, with what they are, for people.
pub const CATEGORIES: [(&str, Category, &str); 13] = [
    (
        "delete",
        Category::Delete,
        "recursive or bulk removal of what git does not ignore and this session did not make",
    ),
    (
        "disk",
        Category::Disk,
        "writes to devices, disks, file systems, partitions",
    ),
    (
        "privilege",
        Category::Privilege,
        "sudo, setuid, capabilities, ownership",
    ),
    (
        "history",
        Category::History,
        "published history is rewritten",
    ),
    (
        "discard",
        Category::Discard,
        "work that stands nowhere else is thrown away",
    ),
    ("execute", Category::Execute, "text from the network is run"),
    ("credentials", Category::Credentials, "credentials are read"),
    ("exfiltration", Category::Exfiltration, "data is sent away"),
    (
        "persistence",
        Category::Persistence,
        "something will run later: shell start-up, cron, systemd, git hooks, editor and agent settings",
    ),
    (
        "supply-chain",
        Category::SupplyChain,
        "unknown runners, look-alike package names, registry changes",
    ),
    (
        "obfuscation",
        Category::Obfuscation,
        "the command hides what it does",
    ),
    (
        "container",
        Category::Container,
        "a container is left or given rights",
    ),
    (
        "tampering",
        Category::Tampering,
        "agp, its policy, its hooks: always denied",
    ),
];

/// What stands for all other categories.
const OTHERS: &str = "*";

/// What a policy says of a category.
const SETTINGS: &[(&str, Option<Decision>)] = &[
    ("require", Some(Decision::Require)),
    ("deny", Some(Decision::Deny)),
    ("off", None),
];

/// The name that a policy gives a category.
#[must_use]
pub fn category_name(category: Category) -> &'static str {
    let row = CATEGORIES.iter().find(|(_, row, _)| *row == category);
    row.map_or("", |(name, _, _)| name)
}

/// The category of a name.
pub(super) fn category<E: de::Error>(name: &str) -> Result<Category, E> {
    let row = CATEGORIES.iter().find(|(row, _, _)| *row == name);
    row.map(|(_, category, _)| *category).ok_or_else(|| {
        let names: Vec<&str> = CATEGORIES.iter().map(|(name, _, _)| *name).collect();
        E::custom(format_args!(
            "unknown category {name:?}, expected one of {}",
            names.join(" ")
        ))
    })
}

/// The settings of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Danger {
    others: Option<Decision>,
    named: BTreeMap<Category, Option<Decision>>,
}

impl Danger {
    /// What a category asks for: `None` where it is off.
    pub(super) fn says(&self, category: Category) -> Option<Decision> {
        if category == Category::Tampering {
            return Some(Decision::Deny);
        }
        self.named.get(&category).copied().unwrap_or(self.others)
    }

    /// Whether any is on.
    pub(super) fn is_on(&self) -> bool {
        self.others.is_some() || self.named.values().any(Option::is_some)
    }
}

/// Reads the settings.
pub(super) struct DangerSeed;

impl<'de> DeserializeSeed<'de> for DangerSeed {
    type Value = Danger;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Danger, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DangerSeed {
    type Value = Danger;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("danger as an object of categories with require, deny or off")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Danger, A::Error> {
        let mut danger = Danger::default();
        while let Some(name) = access.next_key_seed(Text::name("a category"))? {
            if name == OTHERS {
                danger.others = access.next_value_seed(OneOf("danger", SETTINGS))?;
                continue;
            }
            let category = category(&name)?;
            let setting = access.next_value_seed(OneOf("danger", SETTINGS))?;
            if category == Category::Tampering && setting != Some(Decision::Deny) {
                return Err(de::Error::custom("tampering is always denied"));
            }
            danger.named.insert(category, setting);
        }
        Ok(danger)
    }
}
