//! A root directory of a process's own: what it may read and change, its own `/tmp`, `/proc` and
//! `/dev`, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use super::spec::{DEVICES, EMPTY, HELPER, PROXY, SYSTEM, Spec, Withheld};
use super::unix_sockets;

/// Where the new root is put together: any directory that is there.
const STAGE: &str = "/tmp";
/// Bytes of the tmpfs that hold the root's own directories, and of `/dev/shm`.
const ROOT_SIZE: &str = "size=1m,mode=755";
const SHM_SIZE: &str = "size=64m,mode=1777";

/// Terminals of its own, none of the host's.
const PTS: &str = "newinstance,ptmxmode=0666,mode=600";

const NONE: Option<&str> = None;

/// What is mounted, as this process sees it.
const TABLE: &str = "/proc/self/mountinfo";

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
    let mounts = mounted(&fs::read_to_string(TABLE)?);
    let sources = plan
        .iter()
        .map(|(path, bind)| open(path, bind, &mounts))
        .collect::<io::Result<Vec<_>>>()?;
    let tmpfs = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    step(
        STAGE,
        mount(Some("agp"), root, Some("tmpfs"), tmpfs, Some(ROOT_SIZE)),
    )?;
    let empty = under(root, Path::new(EMPTY));
    make_directory(&empty)?;
    for ((target, bind), source) in plan.iter().zip(&sources) {
        let at = under(root, target);
        match source {
            None => {}
            Some(Source::Link(to)) => link(&at, to)?,
            Some(Source::Open(open)) if bind.closed && open.directory => {
                close(&at, bind, open, &empty)?;
            }
            Some(Source::Open(open)) => attach(&at, bind, open)?,
        }
    }
    for socket in &spec.masked {
        cover(&under(root, socket))?;
    }
    for withheld in &spec.withheld {
        withhold(spec, root, withheld, &empty)?;
    }
    devices(root, spec.terminals)?;
    let proc = under(root, Path::new("/proc"));
    make_directory(&proc)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step(
        "/proc",
        mount(Some("proc"), &proc, Some("proc"), flags, NONE),
    )?;
    seal(spec, root, &plan)?;

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
    /// Whether no socket of it may be reached, also of those that are made later.
    closed: bool,
}

/// Places in the new root, parents before what lies in them.
fn plan(spec: &Spec) -> BTreeMap<PathBuf, Bind> {
    let mut plan = BTreeMap::new();
    let mut put = |at: &Path, from: &Path, write, foreign| {
        let bind = Bind {
            from: from.to_owned(),
            write,
            // Without Unix sockets there is nothing to reach one by. Whoever may write gets the file
            // system itself: its sockets are [`Spec::masked`].
            closed: spec.sockets.unix && foreign && !write,
        };
        plan.insert(at.to_owned(), bind);
    };
    // All of /etc in one: Landlock and, for an ordinary user, the files' own modes say which of it
    // may be read, and every mount costs at each call.
    let etc = [Path::new("/etc")];
    let named = spec.read.iter().map(PathBuf::as_path);
    for path in SYSTEM.iter().map(Path::new).chain(etc).chain(named) {
        put(path, path, false, true);
    }
    put(Path::new(HELPER), &spec.helper, false, false);
    put(Path::new("/tmp"), &spec.scratch, true, false);
    if let Some(home) = &spec.home {
        put(home, &spec.scratch.join("home"), true, false);
    }
    for device in DEVICES {
        put(Path::new(device), Path::new(device), true, true);
    }
    for path in &spec.write {
        put(path, path, true, true);
    }
    if let Some(relay) = &spec.relay {
        put(Path::new(PROXY), &relay.socket, false, false);
    }
    for placed in &spec.placed {
        put(&placed.at, &placed.from, placed.write, placed.foreign);
    }
    plan
}

enum Source {
    /// A link of the system's, such as `/bin` to `usr/bin`.
    Link(PathBuf),
    Open(Open),
}

struct Open {
    descriptor: OwnedFd,
    directory: bool,
    /// Whether something is mounted below it, which an overlay would not show.
    around: bool,
}

impl Open {
    /// A name of it that holds whatever is mounted over its own.
    fn name(&self) -> String {
        format!("/proc/self/fd/{}", self.descriptor.as_raw_fd())
    }
}

/// Holds a source by a descriptor, or finds that there is none.
fn open(target: &Path, bind: &Bind, mounts: &[PathBuf]) -> io::Result<Option<Source>> {
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
        Ok(descriptor) => {
            let directory = rustix::fs::fstat(&descriptor)?.st_mode & 0o170_000 == 0o040_000;
            let mut open = Open {
                descriptor,
                directory,
                around: false,
            };
            let path = fs::read_link(open.name())?;
            open.around = mounts
                .iter()
                .any(|mount| *mount != path && mount.starts_with(&path));
            Ok(Some(Source::Open(open)))
        }
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::ACCESS) if !bind.write => Ok(None),
        Err(error) => Err(named(error.into())),
    }
}

fn attach(at: &Path, bind: &Bind, source: &Open) -> io::Result<()> {
    if source.directory {
        make_directory(at)?;
    } else {
        make_file(at)?;
    }
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    step(
        &bind.from.display().to_string(),
        mount(Some(source.name().as_str()), at, NONE, flags, NONE),
    )
}

/// Shows a directory so that no socket in it can be reached: through an overlay, or, where there is none to
/// be had, with something over each that is there.
fn close(at: &Path, bind: &Bind, source: &Open, empty: &Path) -> io::Result<()> {
    if !source.around && overlay(at, source, empty).is_ok() {
        return Ok(());
    }
    attach(at, bind, source)?;
    unix_sockets::below(at)?
        .iter()
        .try_for_each(|socket| cover(socket))
}

/// Shows a directory through an overlay. A socket seen through one is another file than the one that is
/// listened at, so nothing connects to it, also where it is made later.
fn overlay(at: &Path, source: &Open, empty: &Path) -> io::Result<()> {
    make_directory(at)?;
    // Of one layer alone there is no overlay.
    let layers = format!("lowerdir={}:{}", source.name(), empty.display());
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_RDONLY;
    let (kind, layers) = (Some("overlay"), Some(layers.as_str()));
    Ok(mount(Some("agp"), at, kind, flags, layers)?)
}

/// Puts something over a socket that nobody listens at. One that has gone meanwhile needs none.
fn cover(socket: &Path) -> io::Result<()> {
    let null = Some("/dev/null");
    match mount(null, socket, NONE, MsFlags::MS_BIND, NONE) {
        Err(nix::Error::ENOENT) => Ok(()),
        done => step(&socket.display().to_string(), done),
    }
}

/// Covers what a policy hides, or makes a mount of its own of what it keeps from being changed, which
/// [`seal`] makes read-only. A name below what may be changed can by now be another file's, or a link out of the new
/// root: nothing is mounted there then, and nothing runs.
fn withhold(spec: &Spec, root: &Path, withheld: &Withheld, empty: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
    let path = withheld.path.as_path();
    let within = |given: &[PathBuf]| given.iter().any(|given| path.starts_with(given));
    let changeable = within(&spec.write);
    let moved = || {
        let problem = format!(
            "{}: the policy withholds it, and it was moved",
            path.display()
        );
        io::Error::other(problem)
    };
    let stage = openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let opened = openat2(
        &stage,
        path.strip_prefix("/").unwrap_or(path),
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    );
    let opened = match opened {
        Ok(opened) => opened,
        // Nothing of it is in the new root.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) if !changeable => return Ok(()),
        Err(_) => return Err(moved()),
    };
    let meta = fstat(&opened)?;
    // An overlay has numbers of its own, and nobody inside can change what lies below it.
    if changeable && meta.st_ino != withheld.inode {
        return Err(moved());
    }
    let at = format!("/proc/self/fd/{}", opened.as_raw_fd());
    let itself = Path::new(&at);
    let source = match (withheld.hidden, meta.st_mode & 0o170_000 == 0o040_000) {
        (false, _) => itself,
        (true, true) => empty,
        (true, false) => Path::new("/dev/null"),
    };
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    step(
        &path.display().to_string(),
        mount(Some(source), itself, NONE, flags, NONE),
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
fn seal(spec: &Spec, root: &Path, plan: &BTreeMap<PathBuf, Bind>) -> io::Result<()> {
    let table = fs::read_to_string(TABLE)?;
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
        let withheld = spec.withheld.iter().any(|one| one.path == inside);
        if has("ro") || withheld || !bind.write {
            flags |= MsFlags::MS_RDONLY;
        }
        step(
            &inside.display().to_string(),
            mount(NONE, &place, NONE, flags, NONE),
        )?;
    }
    Ok(())
}

/// The places of all mounts.
fn mounted(table: &str) -> Vec<PathBuf> {
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    places.map(|place| unescaped(place).into()).collect()
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
        io::Error::new(error.kind(), format!("cannot mount {what}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jail::spec::{Limits, Namespaces, Placed, Sockets};

    fn spec(unix: bool) -> Spec {
        let placed = |from: &str, at: &str, write, foreign| Placed {
            from: from.into(),
            at: at.into(),
            write,
            foreign,
        };
        Spec {
            namespaces: Namespaces::User,
            read: vec!["/srv/read".into()],
            write: vec!["/srv/repo".into()],
            placed: vec![
                placed(
                    "/tmp/s/settings.json",
                    "/run/agp/settings.json",
                    false,
                    false,
                ),
                placed("/tmp/s/hooked", "/run/agp/hooked", true, false),
                placed("/home/u/claude", "/run/agp-bin/harness/claude", false, true),
            ],
            masked: Vec::new(),
            withheld: Vec::new(),
            scratch: "/tmp/s/tmp".into(),
            home: Some("/home/u".into()),
            terminals: false,
            directory: "/srv/repo".into(),
            helper: "/home/u/.cargo/bin/agp-bridge".into(),
            sockets: Sockets { inet: false, unix },
            relay: None,
            limits: Limits {
                processes: 1,
                open_files: 1,
                file_bytes: 1,
                address_bytes: 1,
                data_bytes: 1,
            },
            free_bytes: 0,
        }
    }

    #[test]
    fn no_part_of_the_gate_stands_below_what_may_be_changed() {
        let plan = plan(&spec(true));
        let at = |path: &str| plan.get(Path::new(path)).unwrap();
        assert_eq!(at(HELPER).from, Path::new("/home/u/.cargo/bin/agp-bridge"));
        let parts: Vec<&PathBuf> = plan.keys().filter(|at| at.starts_with("/run")).collect();
        assert_eq!(parts.len(), 4, "{parts:?}");
        for part in parts {
            let above = part.ancestors().skip(1).filter_map(|above| plan.get(above));
            assert_eq!(above.count(), 0, "{}", part.display());
            assert_eq!(
                plan[part].write,
                part.ends_with("hooked"),
                "{}",
                part.display()
            );
        }
    }

    #[test]
    fn what_is_read_is_closed_to_sockets_where_there_are_any() {
        let closed = |unix| -> Vec<PathBuf> {
            let plan = plan(&spec(unix));
            let closed = plan.into_iter().filter(|(_, bind)| bind.closed);
            closed.map(|(at, _)| at).collect()
        };
        let paths = closed(true);
        for at in ["/usr", "/etc", "/srv/read", "/run/agp-bin/harness/claude"] {
            assert!(paths.iter().any(|path| path == Path::new(at)), "{at}");
        }
        for at in ["/srv/repo", "/tmp", "/run/agp/settings.json", HELPER] {
            assert!(!paths.iter().any(|path| path == Path::new(at)), "{at}");
        }
        assert_eq!(closed(false), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_mounts_path_may_hold_blanks() {
        assert_eq!(unescaped("/a\\040b\\134c"), "/a b\\c");
        let table = "1 2 0:1 / /a\\040b rw - tmpfs agp rw\n2 1 0:2 / / ro - ext4 x rw\n";
        assert_eq!(mounted(table), [Path::new("/a b"), Path::new("/")]);
    }
}
