//! A root directory of a process's own: what it may read and change, its own `/tmp`, `/proc` and
//! `/dev`, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use super::spec::{DEVICES, HELPER, PROXY, SYSTEM, Spec};

/// Where the new root is put together: any directory that is there.
const STAGE: &str = "/tmp";
/// Bytes of the tmpfs that hold the root's own directories, and of `/dev/shm`.
const ROOT_SIZE: &str = "size=1m,mode=755";
const SHM_SIZE: &str = "size=64m,mode=1777";

/// Terminals of its own, none of the host's.
const PTS: &str = "newinstance,ptmxmode=0666,mode=600";

const NONE: Option<&str> = None;

/// Builds the root and makes it this mount namespace's only one. Runs as the first process of a
/// PID namespace, or `/proc` would be another's.
///
/// # Errors
/// Which step failed, and why.
pub fn enter_root(spec: &Spec) -> io::Result<()> {
    let root = Path::new(STAGE);
    // What is mounted from here on stays here.
    step(
        "/",
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE),
    )?;
    // The sources are named in the old root, which the stage hides a part of.
    let plan = plan(spec);
    let sources = plan
        .iter()
        .map(|(path, bind)| open(path, bind))
        .collect::<io::Result<Vec<_>>>()?;
    let tmpfs = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    step(
        STAGE,
        mount(Some("agp"), root, Some("tmpfs"), tmpfs, Some(ROOT_SIZE)),
    )?;
    for ((target, bind), source) in plan.iter().zip(&sources) {
        match source {
            None => {}
            Some(Source::Link(to)) => link(&under(root, target), to)?,
            Some(Source::Open(descriptor)) => attach(&under(root, target), bind, descriptor)?,
        }
    }
    devices(root, spec.terminals)?;
    let proc = under(root, Path::new("/proc"));
    make_directory(&proc)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step(
        "/proc",
        mount(Some("proc"), &proc, Some("proc"), flags, NONE),
    )?;
    seal(root, &plan)?;

    step("chdir", chdir(root))?;
    step("pivot_root", pivot_root(".", "."))?;
    // The old root lies on top of the new one now; without it there is no way back.
    step("umount", umount2(".", MntFlags::MNT_DETACH))?;
    step("chdir", chdir("/"))?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | tmpfs;
    step("/", mount(NONE, "/", NONE, flags, NONE))
}

/// What is bound to a place, and whether it may be changed.
struct Bind {
    from: PathBuf,
    write: bool,
}

/// Places in the new root, parents before what lies in them.
fn plan(spec: &Spec) -> BTreeMap<PathBuf, Bind> {
    let mut plan = BTreeMap::new();
    let mut put = |at: &Path, from: &Path, write| {
        let from = from.to_owned();
        plan.insert(at.to_owned(), Bind { from, write });
    };
    // All of /etc in one: Landlock and, for an ordinary user, the files' own modes say which of it
    // may be read, and every mount costs at each call.
    let etc = [Path::new("/etc")];
    let named = spec.read.iter().map(PathBuf::as_path);
    for path in SYSTEM.iter().map(Path::new).chain(etc).chain(named) {
        put(path, path, false);
    }
    put(Path::new(HELPER), &spec.helper, false);
    put(Path::new("/tmp"), &spec.scratch, true);
    if let Some(home) = &spec.home {
        put(home, &spec.scratch.join("home"), true);
    }
    for device in DEVICES {
        put(Path::new(device), Path::new(device), true);
    }
    for path in &spec.write {
        put(path, path, true);
    }
    if let Some(relay) = &spec.relay {
        put(Path::new(PROXY), &relay.socket, false);
    }
    for placed in &spec.placed {
        put(&placed.at, &placed.from, placed.write);
    }
    plan
}

enum Source {
    /// A link of the system's, such as `/bin` to `usr/bin`.
    Link(PathBuf),
    Open(std::os::fd::OwnedFd),
}

/// Holds a source by a descriptor, or finds that there is none.
fn open(target: &Path, bind: &Bind) -> io::Result<Option<Source>> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", bind.from.display()))
    };
    // Only the root's own links are kept: others are followed, and their target is bound.
    if target.parent() == Some(Path::new("/")) {
        match fs::symlink_metadata(&bind.from) {
            Ok(meta) if meta.is_symlink() => {
                return fs::read_link(&bind.from)
                    .map(Source::Link)
                    .map(Some)
                    .map_err(named);
            }
            _ => {}
        }
    }
    match openat(
        CWD,
        &bind.from,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(descriptor) => Ok(Some(Source::Open(descriptor))),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::ACCESS) if !bind.write => Ok(None),
        Err(error) => Err(named(error.into())),
    }
}

fn attach(at: &Path, bind: &Bind, source: &std::os::fd::OwnedFd) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    if rustix::fs::fstat(source)?.st_mode & 0o170_000 == 0o040_000 {
        make_directory(at)?;
    } else {
        make_file(at)?;
    }
    let from = format!("/proc/self/fd/{}", source.as_raw_fd());
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    step(
        &bind.from.display().to_string(),
        mount(Some(from.as_str()), at, NONE, flags, NONE),
    )
}

fn devices(root: &Path, terminals: bool) -> io::Result<()> {
    let shm = under(root, Path::new("/dev/shm"));
    make_directory(&shm)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    step(
        "/dev/shm",
        mount(Some("agp"), &shm, Some("tmpfs"), flags, Some(SHM_SIZE)),
    )?;
    if terminals {
        let pts = under(root, Path::new("/dev/pts"));
        make_directory(&pts)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        step(
            "/dev/pts",
            mount(Some("agp"), &pts, Some("devpts"), flags, Some(PTS)),
        )?;
        link(&under(root, Path::new("/dev/ptmx")), Path::new("pts/ptmx"))?;
    }
    for (name, to) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        link(&under(root, Path::new(name)), Path::new(to))?;
    }
    Ok(())
}

/// Takes the right to write, to use devices and set-user-ID programs from what was bound, also from
/// what is mounted below it.
fn seal(root: &Path, plan: &BTreeMap<PathBuf, Bind>) -> io::Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    for line in table.lines() {
        // Fields 5 and 6 of proc_pid_mountinfo(5): the place, and the mount's own options.
        let mut fields = line.split(' ').skip(4);
        let (Some(place), Some(options)) = (fields.next(), fields.next()) else {
            continue;
        };
        let place = PathBuf::from(unescaped(place));
        let Ok(inside) = place.strip_prefix(root) else {
            continue;
        };
        let inside = Path::new("/").join(inside);
        let bind = inside.ancestors().find_map(|above| plan.get(above));
        let Some(bind) = bind else {
            continue;
        };
        let has = |option: &str| options.split(',').any(|one| one == option);
        let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NOSUID;
        let device = DEVICES.iter().any(|device| inside == Path::new(device));
        if !device || has("nodev") {
            flags |= MsFlags::MS_NODEV;
        }
        if has("noexec") {
            flags |= MsFlags::MS_NOEXEC;
        }
        if has("ro") || !bind.write {
            flags |= MsFlags::MS_RDONLY;
        }
        step(
            &inside.display().to_string(),
            mount(NONE, &place, NONE, flags, NONE),
        )?;
    }
    Ok(())
}

/// A path of `mountinfo`, where blanks and backslashes are octal.
fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for (octal, character) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        plain = plain.replace(octal, character);
    }
    plain
}

fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn make_directory(path: &Path) -> io::Result<()> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path);
    made.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn make_file(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    if path.exists() {
        return Ok(());
    }
    fs::write(path, "")
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn link(at: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = at.parent() {
        make_directory(parent)?;
    }
    std::os::unix::fs::symlink(to, at)
}

fn step(what: &str, done: nix::Result<()>) -> io::Result<()> {
    done.map_err(|error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("mounting {what}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn a_mounts_path_may_hold_blanks() {
        assert_eq!(unescaped("/a\\040b\\134c"), "/a b\\c");
    }
}
