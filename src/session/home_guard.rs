//! Whether an argument of a call leads into agp's own home, or to what agp has put beside the harness inside, read as
//! whoever takes it for a path might. What links inside come to is the hook's to look at (`hook/kept_apart.rs`).

use std::io;
use std::path::{Path, PathBuf};

use crate::jail::path_resolution::{self, End, kept_apart_inside};

use super::home::Home;
use super::options::SessionOptions;

/// Whether a text, taken for a path from the repository, leads into agp's home, by links too.
pub(crate) fn own_file(
    home: &Home,
    options: &SessionOptions,
) -> Box<dyn Fn(&str) -> bool + Send + Sync> {
    let own_home = home.real_root();
    let repository = options.repository.clone();
    let user = std::env::var_os("HOME");
    Box::new(move |text| {
        let paths = path_resolution::readings(text, &repository, user.as_deref());
        paths.iter().any(|path| leads_into(path, &own_home))
    })
}

/// Whether what stands at a path, or of what is not there yet the nearest directory above that is, lies in
/// this directory; or nobody here can tell, because the harness may get further than agp, or elsewhere.
fn leads_into(path: &Path, directory: &Path) -> bool {
    leads_by(path, directory, |path| std::fs::read_link(path))
}

/// The same for whoever sees links so.
fn leads_by(
    path: &Path,
    directory: &Path,
    read_link: impl Fn(&Path) -> io::Result<PathBuf>,
) -> bool {
    match path_resolution::end_by(path, read_link) {
        End::At(at) => at.starts_with(directory) || kept_apart_inside(&at),
        // Inside something may be there all the same: what agp has put there for the harness.
        End::Nothing { above, way } => above.starts_with(directory) || kept_apart_inside(&way),
        End::OfProcess | End::Hidden => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_is_followed_as_the_kernel_does_and_no_further_than_agp_sees() {
        let root = std::env::temp_dir().join(format!("agp-own-file-{}", std::process::id()));
        let (directory, repository) = (root.join("own"), root.join("repo/deep"));
        fs::create_dir_all(directory.join("signing")).unwrap();
        fs::create_dir_all(&repository).unwrap();
        let root = root.canonicalize().unwrap();
        let home = root.join("own");
        let link =
            |target: &Path, name: &str| symlink(target, root.join("repo").join(name)).unwrap();
        link(&home, "there");
        link(Path::new("../own/signing"), "beside");
        link(Path::new("there"), "again");
        link(Path::new("round"), "round");
        link(Path::new("/proc/self/cwd"), "cwd");
        link(Path::new("/proc/self/status"), "status");
        for (path, leads) in [
            ("own", true),
            ("own/not/yet", true),
            ("own/..", false),
            ("repo/../own", true),
            ("repo/there/x", true),
            ("repo/there/..", false),
            ("repo/beside", true),
            ("repo/beside/..", true),
            ("repo/beside/../..", false),
            ("repo/again/signing/../x", true),
            ("repo/deep/../../own", true),
            ("repo/none/../../own", false),
            ("repo/round/x", false),
            ("repo/cwd", true),
            ("repo/status", false),
            ("repo/deep", false),
            ("ownx", false),
        ] {
            assert_eq!(leads_into(&root.join(path), &home), leads, "{path}");
        }
        for path in ["/proc/self/root", "/proc/thread-self/cwd/x", "/dev/fd/0"] {
            assert!(leads_into(Path::new(path), &home), "{path}");
        }
        for path in [
            "/proc/self/maps",
            "/proc/meminfo",
            "/dev/null",
            "/",
            "/a\0b",
            "/nowhere/x",
        ] {
            assert!(!leads_into(Path::new(path), &home), "{path}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_agp_has_put_inside_is_kept_apart_whether_it_is_here_or_not() {
        let root = std::env::temp_dir().join(format!("agp-kept-apart-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let root = root.canonicalize().unwrap();
        let link = |target: &str, name: &str| symlink(target, root.join(name)).unwrap();
        link("/run/agp/harness-login/.credentials.json", "login");
        link("/run/agp/harness-home", "own");
        let leads = |path: &str| leads_into(&root.join(path), &root.join("home"));
        for path in [
            "login",
            "own/remote-settings.json",
            "own/projects/../settings.json",
            "/run/agp/settings.json",
            "/run/agp",
            "/run/../run/agp/harness-home/x",
        ] {
            assert!(leads(path), "{path}");
        }
        for path in ["own/projects/p/s/tool-results/x.txt", "/run/agpx", "/run/x"] {
            assert!(!leads(path), "{path}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_agp_is_not_shown_may_lead_anywhere() {
        let target_of = |path: &Path| match path.to_str() {
            Some("/closed/x") => Err(io::ErrorKind::PermissionDenied.into()),
            Some("/gone") => Err(io::ErrorKind::NotFound.into()),
            _ => Err(rustix::io::Errno::INVAL.into()),
        };
        let leads = |path: &str| leads_by(Path::new(path), Path::new("/own"), target_of);
        assert!(leads("/own/x") && leads("/closed/x"));
        assert!(!leads("/closed") && !leads("/gone/x") && !leads("/there"));
    }
}
