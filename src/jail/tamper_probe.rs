//! Whether something can be made another: its name moved away, a directory on the way to it, a file put
//! beside it, its content changed. What the gate is made of must withstand all of that.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Something that must stay what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Steady {
    /// Where it stands.
    pub path: PathBuf,
    /// Whether its content is written inside, by whoever is asked to.
    pub write: bool,
}

/// The first way in which it can be made another, if there is one. What was moved is moved back, and
/// what was made is removed: where this succeeds it must do no harm. So it goes up from the path
/// itself, and ends with the first success.
#[must_use]
pub fn shaken(part: &Steady) -> Option<String> {
    let name = part.path.display();
    if !part.write && part.path.is_file() && opened(&part.path).is_ok() {
        return Some(format!("{name} is writable"));
    }
    let way = part.path.ancestors().filter(|path| path.parent().is_some());
    for path in way {
        if moved(path).is_ok() {
            return Some(format!("{} can be renamed", path.display()));
        }
        if let Some(parent) = path.parent().filter(|parent| put_into(parent).is_ok()) {
            return Some(format!("a file can be created in {}", parent.display()));
        }
    }
    None
}

/// Makes something in `directory` that can be moved, and sees it move: what was tried elsewhere in vain
/// could have succeeded.
#[must_use]
pub fn succeeds_in(directory: &Path) -> bool {
    let scratch = directory.join(format!(".agp-steady-{}", std::process::id()));
    let part = scratch.join("part");
    let made = fs::create_dir(&scratch).and_then(|()| fs::write(&part, ""));
    let tried = made.is_ok()
        && opened(&part).is_ok()
        && moved(&part).is_ok()
        && moved(&scratch).is_ok()
        && put_into(&scratch).is_ok();
    // Below a directory of the probe's own.
    let _ = fs::remove_dir_all(&scratch);
    tried
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".agp-{}", std::process::id()));
    name.into()
}

fn moved(path: &Path) -> io::Result<()> {
    let away = beside(path);
    fs::rename(path, &away)?;
    fs::rename(&away, path)
}

fn put_into(directory: &Path) -> io::Result<()> {
    let path = beside(&directory.join("probe"));
    let mut new = OpenOptions::new();
    new.write(true).create_new(true).open(&path)?;
    fs::remove_file(path)
}

/// Opens a file for writing, and writes nothing.
fn opened(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_moved_is_found_and_left_as_it_was() {
        let root = std::env::temp_dir().join(format!("agp-shaken-{}", std::process::id()));
        let part = root.join("way/part");
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::write(&part, "text").unwrap();
        let of = |write| Steady {
            path: part.clone(),
            write,
        };
        let change = shaken(&of(false)).unwrap();
        assert!(change.ends_with("part is writable"), "{change}");
        let change = shaken(&of(true)).unwrap();
        assert!(change.ends_with("part can be renamed"), "{change}");
        assert_eq!(fs::read_to_string(&part).unwrap(), "text");
        assert!(succeeds_in(&root));
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        fs::remove_dir_all(&root).unwrap();
        assert!(!succeeds_in(&root));
    }
}
