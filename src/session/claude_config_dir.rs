//! Claude Code's configuration directory: the session's own, empty but for what a login needs, and gone with it.
//! Nothing that is written there is obeyed by a later session, or by a `claude` without agp.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::process::Pid;

use crate::confine::Spawner;
use crate::hook::login_renewal::{CONFIGURATION, RenewalConfig, STORE};
use crate::intendants::claude_code;
use crate::intendants::claude_code::login_process::Carrier;
use crate::intendants::environment::variable;
use crate::intendants::executable::{bridge_program, package};
use crate::jail::writable_paths::Changeable;
use crate::sandbox::harness_host::Enclosure;

use super::lease::{HARNESS_HOME, HARNESS_LOGIN, LOGIN_SCRATCH};
use crate::report::failure::complain;

/// What a renewal needs of this machine besides the system and its program.
const READ: [&str; 1] = ["/etc/resolv.conf"];
/// Variables that name a file it reads.
const FILES: [&str; 5] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "CLAUDE_CODE_CLIENT_CERT",
    "CLAUDE_CODE_CLIENT_KEY",
];

/// A session's own configuration of Claude Code.
pub(crate) struct ClaudeHome {
    directory: PathBuf,
    /// Where the harness finds its login, which it cannot change: a name that no command can know, so that none
    /// can put a link to it in the harness's way.
    login: PathBuf,
    carrier: Option<Carrier>,
}

impl ClaudeHome {
    /// Makes an empty one in the session's directory.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub(crate) fn empty(directory: &Path) -> io::Result<Self> {
        for name in [HARNESS_HOME, HARNESS_LOGIN, LOGIN_SCRATCH] {
            DirBuilder::new().mode(0o700).create(directory.join(name))?;
        }
        let mut unknown = [0_u8; 16];
        let random = SystemRandom::new().fill(&mut unknown);
        random.map_err(|_| io::Error::other("the system provides no random numbers"))?;
        let login = directory.join(HARNESS_LOGIN);
        let login = login.join(format!("{:032x}", u128::from_ne_bytes(unknown)));
        DirBuilder::new().mode(0o700).create(&login)?;
        Ok(Self {
            directory: directory.to_owned(),
            login,
            carrier: None,
        })
    }

    /// Makes one, and has the operator's login carried there, if there is one to carry: a login that is passed by
    /// name needs none.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub(crate) fn with_login(
        directory: &Path,
        spawner: &Spawner,
        changeable: &Changeable,
    ) -> io::Result<Self> {
        let mut home = Self::empty(directory)?;
        let store = claude_code::store().filter(claude_code::Store::exists);
        if let Some(store) = store.filter(|_| !claude_code::login_by_name()) {
            match home.carry(&store, spawner, changeable) {
                Ok(carrier) => home.carrier = Some(carrier),
                Err(error) => complain(format_args!(
                    "WARNING: cannot pass Claude Code's login to the session: {error}"
                )),
            }
        }
        Ok(home)
    }

    /// Where the harness has its configuration.
    fn configuration(&self) -> PathBuf {
        self.directory.join(HARNESS_HOME)
    }

    /// The process that carries the login: what it has begun is not to be cut off.
    pub(crate) fn carrier(&self) -> Option<Pid> {
        self.carrier.as_ref().and_then(Carrier::pid)
    }

    fn carry(
        &self,
        store: &claude_code::Store,
        spawner: &Spawner,
        changeable: &Changeable,
    ) -> io::Result<Carrier> {
        let program = claude_code::program(changeable);
        let program = program.map_err(|error| io::Error::other(error.problem))?;
        let bridge = bridge_program()?;
        let named = READ.iter().map(PathBuf::from);
        let files = FILES.iter().filter_map(variable).map(PathBuf::from);
        let mut read: Vec<PathBuf> = named
            .chain(files)
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        read.extend([package(&program), bridge.clone()]);
        let order = RenewalConfig {
            store: store.directory.clone(),
            state: store.state.clone(),
            shown: self.login.clone(),
            configuration: self.configuration(),
            scratch: self.directory.join(LOGIN_SCRATCH),
            program,
            read,
        };
        Carrier::start(&order, spawner, changeable)
    }

    /// The variables that tell the harness where these are, confined or not.
    pub(crate) fn variables(
        &self,
        enclosed: Option<&Enclosure>,
    ) -> Vec<(&'static str, Option<String>)> {
        let spec = enclosed.map(Enclosure::spec);
        let place = |path: &Path| {
            let there = spec.as_ref().map(|spec| spec.inside(path));
            Some(there.as_deref().unwrap_or(path).display().to_string())
        };
        vec![
            (CONFIGURATION, place(&self.configuration())),
            (STORE, place(&self.login)),
        ]
    }
}
