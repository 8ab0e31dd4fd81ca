//! A harness in a container: what it is given there, made and looked into, and how it is started.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::container::{self, Container, GATE, refused, user};
use crate::contracts::ids::SessionId;
use crate::contracts::intendant::{HarnessError, HarnessFault, HarnessHost};
use crate::contracts::limits;
use crate::hook::pre_post_tool;
use crate::intendants::claude_code::command_shell::{self, CommandAccess};
use crate::intendants::environment::variable;
use crate::intendants::gate_client::Asking;
use crate::intendants::harness_git;
use crate::intendants::{claude_code, codex};
use crate::jail::container_protocol::{REPOSITORY, RUN};
use crate::jail::spec::HELPER;
use crate::report::failure::{Failure, complain};
use crate::sandbox::docker::container::{BOX, ContainerConfig, Docker, HARNESS_BOX};
use crate::sandbox::docker::host_config::Mount;
use crate::sandbox::network::Network;
use crate::session::context::SessionContext;
use crate::session::kinds::{Harness, absolute};
use crate::session::layout::{HarnessPlace, Layout};
use crate::session::lease::HARNESS_HOME;
use crate::session::options::SessionOptions;

/// Where Claude Code looks for what an organisation sets: above all other settings.
const MANAGED: &str = "/etc/claude-code";
/// Where Codex looks for the same.
const CODEX_MANAGED: &str = "/etc/codex";
/// Files that a harness reads, by the variables that name them.
const FILES: [&str; 5] = [
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "CODEX_CA_CERTIFICATE",
    "CLAUDE_CODE_CLIENT_CERT",
    "CLAUDE_CODE_CLIENT_KEY",
];
/// Variables that mean something on this host only.
const HOSTS_OWN: [&str; 13] = [
    "CLAUDE_CODE_TMPDIR",
    "CLAUDE_CONFIG_DIR",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "SSL_CERT_DIR",
    "USER",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Codex's home in a container.
const CODEX_HOME: &str = "/run/agp-codex";
/// What stands above all settings of a Codex in a container: it has nothing to write with, and nobody
/// to ask.
const REQUIREMENTS: &str = "allowed_approval_policies = [\"never\"]\n\
                            allowed_sandbox_modes = [\"read-only\"]\n";

/// Whether a harness in a container has a login, before anything is made for it.
pub(crate) fn login_given(options: &SessionOptions) -> Result<(), Failure> {
    if !options.layout.in_container() {
        return Ok(());
    }
    if let Some(login) = &options.harness_login {
        return login_mount(login).map(drop);
    }
    let (there, mend) = match options.layout.harness() {
        None => return Ok(()),
        Some(Harness::Codex) => (
            codex::login_by_name(),
            "set CODEX_API_KEY (or your provider's env_key variable), or mount a login with \
            --harness-login ~/.codex/auth.json",
        ),
        Some(Harness::ClaudeCode) => (
            claude_code::login_by_name(),
            "set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN (from `claude setup-token`)",
        ),
    };
    if there {
        return Ok(());
    }
    Err(Failure::refused(
        "no login for the harness: in a container it must come from an environment variable",
        mend,
    ))
}

/// What a Claude Code in a container is given with it: its hooks, where it cannot change them, and
/// the mark that its first hook leaves. `shown` stands at `/run/agp`.
pub(crate) fn hooked(
    shown: &Path,
    (session, answer_key): (&SessionId, String),
    deadline: Duration,
) -> Result<Vec<Mount>, Failure> {
    let failed =
        |error: std::io::Error| refused(&format!("cannot write the harness's settings: {error}"));
    let managed = shown.join("managed");
    let made = std::fs::create_dir_all(&managed);
    made.map_err(failed)?;
    let socket = Path::new(RUN).join(GATE);
    let asking = Asking {
        socket: &socket,
        session,
        answer_key: &answer_key,
        // A container has a PID namespace of its own.
        outside: true,
        within: claude_code::hook_patience(deadline),
    };
    let settings = claude_code::managed(Path::new(HELPER), &asking, Path::new(REPOSITORY));
    put(
        &managed.join("managed-settings.json"),
        0o644,
        &settings.to_string(),
    )
    .map_err(failed)?;
    command_shell::lay_out(shown, Path::new(HELPER), CommandAccess::there(), &[])
        .map_err(failed)?;
    harness_git::put(shown, Path::new(HELPER)).map_err(failed)?;
    let mark = shown.join(pre_post_tool::MARK);
    put(&mark, 0o600, "").map_err(failed)?;
    let (uid, gid) = user();
    std::os::unix::fs::chown(&mark, Some(uid), Some(gid)).map_err(failed)?;
    opened(&[shown, &managed, &shown.join(harness_git::DIRECTORY)]).map_err(failed)?;
    Ok(vec![
        Mount {
            source: managed,
            target: PathBuf::from(MANAGED),
            writable: false,
        },
        Mount {
            source: mark,
            target: Path::new(RUN).join(pre_post_tool::MARK),
            writable: true,
        },
    ])
}

/// Lets the user inside enter these, whatever the umask.
fn opened(directories: &[&Path]) -> std::io::Result<()> {
    let open = std::fs::Permissions::from_mode(0o755);
    let mut directories = directories.iter();
    directories.try_for_each(|directory| std::fs::set_permissions(directory, open.clone()))
}

/// Where the files stand that a harness's environment names, each by its variable: on the host they
/// can lie where the container has something of its own.
const FILES_AT: &str = "/run/agp-files";

fn named() -> impl Iterator<Item = (&'static str, String, PathBuf)> {
    let set = FILES.into_iter();
    set.filter_map(|name| Some((name, variable(name)?, Path::new(FILES_AT).join(name))))
}

/// The files that a harness's environment names.
pub(crate) fn named_files() -> Result<Vec<Mount>, Failure> {
    let mounts = named().map(|(name, file, target)| {
        let source = Path::new(&file).canonicalize().map_err(|error| {
            let mend = format!("unset {name}, or set it to an existing file");
            Failure::usage(format!("{name}={file}: {error}"), mend)
        })?;
        Ok(Mount {
            source,
            target,
            writable: false,
        })
    });
    mounts.collect()
}

/// What an environment in the container says instead: where it has these files.
fn there(docker: &Docker) -> Vec<(OsString, OsString)> {
    let files = named().map(|(name, _, target)| (name.into(), target.into()));
    docker.environment().into_iter().chain(files).collect()
}

fn put(path: &Path, mode: u32, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    // Whatever the umask.
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

/// The Codex of a container, and how it is started there.
pub(crate) fn codex_inside(
    docker: &Arc<Docker>,
    place: Arc<dyn HarnessHost>,
) -> Result<(codex::CodexInstall, codex::Inside), HarnessError> {
    let answer = docker.version_of("codex");
    let answer = answer.map_err(|error| HarnessFault::NotInImage("Codex").of(error.0))?;
    let install = codex::found_elsewhere(PathBuf::from("codex"), &answer)?;
    let options = Arc::clone(docker);
    let ask = move |words: &[&str], environment: &[(OsString, OsString)]| {
        let text = |text: &OsString| text.to_string_lossy().into_owned();
        let given = environment.iter();
        let given: Vec<_> = given
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let words = ["codex"].iter().chain(words).map(|word| (*word).to_owned());
        options
            .answer_of(words.collect(), &given, limits::CATALOGUE_BYTES)
            .map_err(|error| HarnessFault::Image.of(error.0))
    };
    let inside = codex::Inside {
        place,
        ask: Box::new(ask),
        environment: there(docker),
        without: HOSTS_OWN.to_vec(),
        home: PathBuf::from(CODEX_HOME),
        repository: PathBuf::from(REPOSITORY),
        bridge: PathBuf::from(HELPER),
        socket: Path::new(RUN).join(GATE),
        owner: user(),
    };
    Ok((install, inside))
}

/// The Claude Code of a container, and how it is started there.
pub(crate) fn claude_inside(
    docker: &Arc<Docker>,
    place: Arc<dyn HarnessHost>,
) -> Result<(claude_code::ClaudeInstall, claude_code::Inside), HarnessError> {
    let answer = docker.version_of("claude");
    let answer = answer.map_err(|error| HarnessFault::NotInImage("Claude Code").of(error.0))?;
    let install = claude_code::found_elsewhere(PathBuf::from("claude"), &answer)?;
    let shell = Path::new(RUN).join(command_shell::FILES[0]);
    let mut environment = there(docker);
    environment.push((command_shell::VARIABLE.into(), shell.into()));
    // Whether the image has a git is seen when it is asked for.
    let git = Path::new(RUN).join(harness_git::DIRECTORY);
    harness_git::first(&git, &mut environment).map_err(|error| {
        HarnessFault::Image.of(format_args!("invalid PATH in the image: {error}"))
    })?;
    let inside = claude_code::Inside {
        place,
        environment,
        without: HOSTS_OWN.to_vec(),
    };
    Ok((install, inside))
}

/// A container of a harness's own: that of a session's harness, or of the probe's before it.
pub(crate) struct OwnContainer<'a> {
    /// The session whose container it is.
    pub(crate) context: &'a SessionContext<'a>,
    pub(crate) container: &'a Container,
    /// What tells it from the session's other containers.
    pub(crate) suffix: &'static str,
    /// The session's private directory, or a probe's.
    pub(crate) directory: &'a Path,
    pub(crate) repository: &'a Path,
    pub(crate) network: Network,
    /// The login that is mounted for it.
    pub(crate) login: Option<&'a Path>,
    pub(crate) lost: Arc<dyn Fn(String) + Send + Sync>,
}

/// Makes a container for a Codex whose tools are agp's and run elsewhere, and looks into it.
pub(crate) fn codex_container(settings: OwnContainer<'_>) -> Result<Arc<Docker>, Failure> {
    let failed = |error: std::io::Error| {
        refused(&format!(
            "cannot prepare the harness's home directory: {error}"
        ))
    };
    let home = settings.directory.join(HARNESS_HOME);
    let made = std::fs::DirBuilder::new().mode(0o700).create(&home);
    made.map_err(failed)?;
    let (uid, gid) = user();
    std::os::unix::fs::chown(&home, Some(uid), Some(gid)).map_err(failed)?;
    let run_directory = settings.directory.join(HARNESS_BOX);
    let managed = run_directory.join("managed");
    std::fs::create_dir_all(&managed).map_err(failed)?;
    put(&managed.join("requirements.toml"), 0o644, REQUIREMENTS).map_err(failed)?;
    opened(&[&run_directory, &managed]).map_err(failed)?;
    let mut mounts = vec![
        Mount {
            source: home,
            target: PathBuf::from(CODEX_HOME),
            writable: true,
        },
        Mount {
            source: managed,
            target: PathBuf::from(CODEX_MANAGED),
            writable: false,
        },
    ];
    mounts.extend(named_files()?);
    settings.made(HARNESS_BOX, false, mounts)
}

/// Makes a container for a Claude Code that is to be tried, and looks into it.
pub(crate) fn claude_container(
    settings: OwnContainer<'_>,
    session: (&SessionId, String),
    deadline: Duration,
) -> Result<Arc<Docker>, Failure> {
    let mut mounts = hooked(&settings.directory.join(BOX), session, deadline)?;
    mounts.extend(named_files()?);
    settings.made(BOX, true, mounts)
}

/// The login that is asked to be mounted, where that can be.
pub(crate) fn login(path: Option<PathBuf>, layout: Layout) -> Result<Option<PathBuf>, Failure> {
    let Some(path) = path else {
        return Ok(None);
    };
    match layout.place() {
        HarnessPlace::OwnContainer => absolute(&[path]).map(|mut paths| paths.pop()),
        // Read-only it could not be renewed, and a renewal that is not kept ends the operator's own
        // login; to be changed it would be where every command can.
        HarnessPlace::SessionContainer => Err(Failure::usage(
            "--harness-login works only in mediated mode: in hook mode the agent could read the \
            file",
            "set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN (from `claude setup-token`)",
        )),
        HarnessPlace::Nowhere | HarnessPlace::Host(_) => Err(Failure::usage(
            "--harness-login is only for Codex in a container; on this host the harness uses its \
            own login",
            "omit --harness-login",
        )),
    }
}

/// A login of Codex's, which renews it in place.
fn login_mount(login: &Path) -> Result<Mount, Failure> {
    let (uid, _) = user();
    let owner = std::fs::metadata(login).map(|meta| (meta.is_file(), meta.uid()));
    let file = login.display();
    match owner {
        Ok((true, owner)) if owner == uid => Ok(Mount {
            source: login.to_owned(),
            target: Path::new(CODEX_HOME).join("auth.json"),
            writable: true,
        }),
        Ok((true, owner)) => Err(Failure::refused(
            format!("user {owner} owns {file}, but Codex runs as user {uid} in the container"),
            "run agp as the file's owner, or set CODEX_API_KEY",
        )),
        Ok((false, _)) => Err(Failure::usage(
            format!("{file} is not a file"),
            "pass --harness-login ~/.codex/auth.json",
        )),
        Err(error) => Err(Failure::usage(
            format!("{file}: {error}"),
            "pass --harness-login ~/.codex/auth.json",
        )),
    }
}

impl OwnContainer<'_> {
    fn made(
        self,
        shown: &'static str,
        repository_writable: bool,
        mounts: Vec<Mount>,
    ) -> Result<Arc<Docker>, Failure> {
        let config = container::setup(self.context, self.container, self.directory)?;
        let config = ContainerConfig {
            name: format!("{}-{}", config.name, self.suffix),
            shown,
            repository: self.repository.to_owned(),
            repository_writable,
            network: self.network,
            login: self.login.map(login_mount).transpose()?,
            mounts,
            lost: self.lost,
            left: Arc::new(|text| complain(text)),
            ..config
        };
        let docker = Docker::prepare(config).map_err(|error| refused(&error.0))?;
        Ok(Arc::new(docker))
    }
}
