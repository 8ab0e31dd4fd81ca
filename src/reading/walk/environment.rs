//! Variables that make programs or the shell run something.

/// What setting a variable does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Programs run its value as a command.
    Command,
    /// Programs load the file that it names, or the files below it.
    File,
    /// The shell runs its value, or a file that it names, or reads what follows otherwise.
    Shell,
    /// Programs take their configuration from it: what they do then nobody read.
    Configuration,
    /// A host that programs reach.
    Host,
    /// Where programs are looked up.
    Path,
    /// How the shell splits what is not quoted.
    Separators,
}

/// By name.
const NAMES: &[(&str, Effect)] = &[
    ("PATH", Effect::Path),
    ("IFS", Effect::Separators),
    ("BASH_ENV", Effect::Shell),
    ("ENV", Effect::Shell),
    ("PS4", Effect::Shell),
    ("PS0", Effect::Shell),
    ("PROMPT_COMMAND", Effect::Shell),
    ("SHELLOPTS", Effect::Shell),
    ("BASHOPTS", Effect::Shell),
    ("BASH_LOADABLES_PATH", Effect::Shell),
    ("BASH_COMPAT", Effect::Shell),
    ("POSIXLY_CORRECT", Effect::Shell),
    ("CDPATH", Effect::Shell),
    ("GLOBIGNORE", Effect::Shell),
    ("EXECIGNORE", Effect::Shell),
    ("FPATH", Effect::Shell),
    ("ZDOTDIR", Effect::Shell),
    ("PAGER", Effect::Command),
    ("MANPAGER", Effect::Command),
    ("LESSOPEN", Effect::Command),
    ("LESSCLOSE", Effect::Command),
    ("SYSTEMD_PAGER", Effect::Command),
    ("BAT_PAGER", Effect::Command),
    ("DELTA_PAGER", Effect::Command),
    ("GH_PAGER", Effect::Command),
    ("GLAB_PAGER", Effect::Command),
    ("AWS_PAGER", Effect::Command),
    ("PSQL_PAGER", Effect::Command),
    ("EDITOR", Effect::Command),
    ("VISUAL", Effect::Command),
    ("FCEDIT", Effect::Command),
    ("KUBE_EDITOR", Effect::Command),
    ("PSQL_EDITOR", Effect::Command),
    ("BROWSER", Effect::Command),
    ("GH_BROWSER", Effect::Command),
    ("SHELL", Effect::Command),
    ("MAKESHELL", Effect::Command),
    ("GIT_PAGER", Effect::Command),
    ("GIT_EDITOR", Effect::Command),
    ("GIT_SEQUENCE_EDITOR", Effect::Command),
    ("GIT_SSH", Effect::Command),
    ("GIT_SSH_COMMAND", Effect::Command),
    ("GIT_ASKPASS", Effect::Command),
    ("SSH_ASKPASS", Effect::Command),
    ("SUDO_ASKPASS", Effect::Command),
    ("GIT_EXTERNAL_DIFF", Effect::Command),
    ("GIT_PROXY_COMMAND", Effect::Command),
    ("GIT_DIR", Effect::File),
    ("GIT_COMMON_DIR", Effect::File),
    ("GIT_WORK_TREE", Effect::File),
    ("GIT_INDEX_FILE", Effect::File),
    ("GIT_OBJECT_DIRECTORY", Effect::File),
    ("GIT_ALTERNATE_OBJECT_DIRECTORIES", Effect::File),
    ("GIT_NAMESPACE", Effect::Configuration),
    ("MANOPT", Effect::Command),
    ("LESSKEY", Effect::File),
    ("LESSKEYIN", Effect::File),
    ("LESSHISTFILE", Effect::File),
    ("FZF_DEFAULT_COMMAND", Effect::Command),
    ("FZF_DEFAULT_OPTS", Effect::Configuration),
    ("BAT_CONFIG_PATH", Effect::File),
    ("BAT_OPTS", Effect::Configuration),
    ("GNUPGHOME", Effect::File),
    ("AWS_CONFIG_FILE", Effect::File),
    ("PSQLRC", Effect::File),
    ("DOTNET_STARTUP_HOOKS", Effect::File),
    ("JAVA_HOME", Effect::File),
    ("COVERAGE_PROCESS_START", Effect::File),
    ("CMAKE_TOOLCHAIN_FILE", Effect::File),
    ("RSYNC_PROXY", Effect::Host),
    ("GIT_TEMPLATE_DIR", Effect::File),
    ("GIT_EXEC_PATH", Effect::File),
    ("HG_EDITOR", Effect::Command),
    ("HGEDITOR", Effect::Command),
    ("SVN_SSH", Effect::Command),
    ("SVN_EDITOR", Effect::Command),
    ("CVS_RSH", Effect::Command),
    ("RSYNC_RSH", Effect::Command),
    ("RSYNC_CONNECT_PROG", Effect::Command),
    ("TAR_OPTIONS", Effect::Configuration),
    ("GREP_OPTIONS", Effect::Configuration),
    ("LESS", Effect::Configuration),
    ("MORE", Effect::Configuration),
    ("MAKEFLAGS", Effect::Configuration),
    ("GNUMAKEFLAGS", Effect::Configuration),
    ("MFLAGS", Effect::Configuration),
    ("MAKEFILES", Effect::File),
    ("CC", Effect::Command),
    ("CXX", Effect::Command),
    ("CPP", Effect::Command),
    ("LD", Effect::Command),
    ("AR", Effect::Command),
    ("RUSTC", Effect::Command),
    ("RUSTDOC", Effect::Command),
    ("RUSTC_WRAPPER", Effect::Command),
    ("RUSTC_WORKSPACE_WRAPPER", Effect::Command),
    ("RUSTFLAGS", Effect::Configuration),
    ("GOFLAGS", Effect::Configuration),
    ("GOENV", Effect::File),
    ("GOPROXY", Effect::Host),
    ("GONOSUMDB", Effect::Configuration),
    ("GONOSUMCHECK", Effect::Configuration),
    ("GOSUMDB", Effect::Configuration),
    ("GOTOOLCHAIN", Effect::Configuration),
    ("GOROOT", Effect::File),
    ("NODE_OPTIONS", Effect::Configuration),
    ("NODE_PATH", Effect::File),
    ("BUN_OPTIONS", Effect::Configuration),
    ("DENO_DIR", Effect::File),
    ("NODE_REPL_EXTERNAL_MODULE", Effect::File),
    ("YARN_RC_FILENAME", Effect::File),
    ("PYTHONSTARTUP", Effect::File),
    ("PYTHONPATH", Effect::File),
    ("PYTHONHOME", Effect::File),
    ("PYTHONINSPECT", Effect::Configuration),
    ("PYTHONWARNINGS", Effect::Configuration),
    ("PYTHONBREAKPOINT", Effect::Configuration),
    ("PYTHONUSERBASE", Effect::File),
    ("PYTHONPLATLIBDIR", Effect::File),
    ("PYTEST_ADDOPTS", Effect::Configuration),
    ("PYTEST_PLUGINS", Effect::Configuration),
    ("RUBYOPT", Effect::Configuration),
    ("RUBYLIB", Effect::File),
    ("BUNDLE_GEMFILE", Effect::File),
    ("GEM_HOME", Effect::File),
    ("GEM_PATH", Effect::File),
    ("PERL5OPT", Effect::Configuration),
    ("PERL5LIB", Effect::File),
    ("PERLLIB", Effect::File),
    ("PERL5DB", Effect::Command),
    ("PHPRC", Effect::File),
    ("PHP_INI_SCAN_DIR", Effect::File),
    ("LUA_INIT", Effect::Command),
    ("LUA_PATH", Effect::File),
    ("LUA_CPATH", Effect::File),
    ("AWKPATH", Effect::File),
    ("AWKLIBPATH", Effect::File),
    ("R_PROFILE", Effect::File),
    ("R_PROFILE_USER", Effect::File),
    ("JULIA_LOAD_PATH", Effect::File),
    ("JAVA_TOOL_OPTIONS", Effect::Configuration),
    ("_JAVA_OPTIONS", Effect::Configuration),
    ("JDK_JAVA_OPTIONS", Effect::Configuration),
    ("CLASSPATH", Effect::File),
    ("MAVEN_OPTS", Effect::Configuration),
    ("MAVEN_ARGS", Effect::Configuration),
    ("GRADLE_OPTS", Effect::Configuration),
    ("JAVA_OPTS", Effect::Configuration),
    ("SBT_OPTS", Effect::Configuration),
    ("EMACSLOADPATH", Effect::File),
    ("VIMINIT", Effect::Command),
    ("EXINIT", Effect::Command),
    ("VIMRUNTIME", Effect::File),
    ("MYVIMRC", Effect::File),
    ("GTK_MODULES", Effect::File),
    ("GCONV_PATH", Effect::File),
    ("LOCPATH", Effect::File),
    ("OPENSSL_CONF", Effect::File),
    ("OPENSSL_MODULES", Effect::File),
    ("OPENSSL_ENGINES", Effect::File),
    ("GIO_EXTRA_MODULES", Effect::File),
    ("COMPILER_PATH", Effect::File),
    ("GCC_EXEC_PREFIX", Effect::File),
    ("TERMINFO", Effect::File),
    ("CURL_HOME", Effect::File),
    ("WGETRC", Effect::File),
    ("SYSTEM_WGETRC", Effect::File),
    ("RIPGREP_CONFIG_PATH", Effect::File),
    ("DOCKER_HOST", Effect::Host),
    ("DOCKER_CONFIG", Effect::File),
    ("KUBECONFIG", Effect::File),
    ("INPUTRC", Effect::File),
    ("HTTP_PROXY", Effect::Host),
    ("HTTPS_PROXY", Effect::Host),
    ("ALL_PROXY", Effect::Host),
    ("http_proxy", Effect::Host),
    ("https_proxy", Effect::Host),
    ("all_proxy", Effect::Host),
    ("RES_OPTIONS", Effect::Configuration),
    ("LOCALDOMAIN", Effect::Configuration),
    ("HOSTALIASES", Effect::File),
    ("XDG_CONFIG_HOME", Effect::File),
    ("XDG_CONFIG_DIRS", Effect::File),
    ("XDG_DATA_HOME", Effect::File),
    ("HOME", Effect::File),
];

/// By the beginning of a name.
const BEGINNINGS: &[(&str, Effect)] = &[
    ("LD_", Effect::File),
    ("DYLD_", Effect::File),
    ("BASH_FUNC_", Effect::Shell),
    ("GIT_CONFIG", Effect::Configuration),
    ("GIT_TRACE", Effect::File),
    ("TERMINFO_", Effect::File),
    ("CORECLR_", Effect::File),
    ("npm_config_", Effect::Configuration),
    ("NPM_CONFIG_", Effect::Configuration),
    ("npm_package_", Effect::Configuration),
    ("YARN_", Effect::Configuration),
    ("BUN_CONFIG_", Effect::Configuration),
    ("PIP_", Effect::Configuration),
    ("UV_", Effect::Configuration),
    ("POETRY_", Effect::Configuration),
    ("CARGO_HOME", Effect::File),
    ("CARGO_BUILD_", Effect::Configuration),
    ("CARGO_TARGET_", Effect::Configuration),
    ("CARGO_REGISTRIES_", Effect::Configuration),
    ("CARGO_REGISTRY_", Effect::Configuration),
    ("CARGO_SOURCE_", Effect::Configuration),
    ("CARGO_ALIAS_", Effect::Configuration),
    ("CARGO_UNSTABLE_", Effect::Configuration),
    ("CARGO_NET_", Effect::Configuration),
    ("CARGO_HTTP_", Effect::Configuration),
    ("RUSTUP_", Effect::Configuration),
    ("BUNDLE_", Effect::Configuration),
    ("COMPOSER_", Effect::Configuration),
    ("ANSIBLE_", Effect::Configuration),
    ("TF_CLI_", Effect::Configuration),
    ("MALLOC_", Effect::Configuration),
];

/// Names that begin as one of those, and only say where output goes or how much of it.
const HARMLESS: &[&str] = &[
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_JOBS",
    "CARGO_NET_OFFLINE",
    "CARGO_NET_RETRY",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "PIP_NO_INPUT",
    "PIP_QUIET",
    "UV_OFFLINE",
    "UV_NO_PROGRESS",
    "npm_config_loglevel",
    "npm_config_yes",
    "YARN_SILENT",
];

/// Values of a variable that names a command, which run nothing but a program that prints.
const TAME: &[&str] = &["", "cat", "true", ":", "false", "less", "more", "head"];

/// Values of configurations that ask for nothing but more words, warnings or memory.
const TAME_WORDS: &[(&str, &[&str])] = &[
    (
        "RUSTFLAGS",
        &[
            "-Dwarnings",
            "-D",
            "-A",
            "-W",
            "warnings",
            "-Awarnings",
            "-Wwarnings",
            "",
        ],
    ),
    ("LESS", &["-F", "-R", "-X", "-FRX", "-FRSX", "-S", ""]),
    (
        "NODE_OPTIONS",
        &[
            "--trace-warnings",
            "--no-warnings",
            "--experimental-vm-modules",
            "",
        ],
    ),
    (
        "GOFLAGS",
        &[
            "-mod=mod",
            "-mod=vendor",
            "-mod=readonly",
            "-count=1",
            "-v",
            "",
        ],
    ),
    (
        "PYTEST_ADDOPTS",
        &[
            "-q",
            "-v",
            "-x",
            "-vv",
            "-s",
            "--color=no",
            "--color=yes",
            "",
        ],
    ),
    ("MAKEFLAGS", &["-j", "-s", "-k", ""]),
    (
        "PYTHONWARNINGS",
        &["ignore", "default", "error", "always", ""],
    ),
    ("PYTHONINSPECT", &[""]),
    ("CC", &["gcc", "clang", "cc"]),
    ("CXX", &["g++", "clang++", "c++"]),
    ("GOTOOLCHAIN", &["local"]),
    ("PYTHONBREAKPOINT", &["0", ""]),
];

/// What setting a variable does; `None`: nothing but to be there.
pub(super) fn effect(name: &str) -> Option<Effect> {
    if HARMLESS.contains(&name) {
        return None;
    }
    let named = NAMES.iter().find(|(other, _)| *other == name);
    let begins = || BEGINNINGS.iter().find(|(other, _)| name.starts_with(other));
    named.or_else(begins).map(|(_, effect)| *effect)
}

/// The command line in the value of a variable that programs give to a shell. A single name is a file that they look up.
pub(super) fn command(name: &str, value: &str) -> Option<String> {
    let to_a_shell = name.ends_with("PAGER")
        || name.ends_with("EDITOR")
        || matches!(
            name,
            "VISUAL"
                | "FCEDIT"
                | "LESSOPEN"
                | "LESSCLOSE"
                | "GIT_SSH_COMMAND"
                | "GIT_EXTERNAL_DIFF"
                | "GIT_PROXY_COMMAND"
                | "FZF_DEFAULT_COMMAND"
        );
    let value = match name {
        "LESSOPEN" => value
            .trim_start_matches(['|', '-'])
            .replace("%s", "/dev/null"),
        _ => value.to_owned(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    (to_a_shell && !value.chars().all(plain)).then_some(value)
}

/// Whether a value that is known runs nothing.
pub(super) fn is_tame(name: &str, effect: Effect, value: &str) -> bool {
    let words = |of: &[&str]| value.split(' ').all(|word| of.contains(&word));
    if TAME_WORDS
        .iter()
        .any(|(other, of)| *other == name && words(of))
    {
        return true;
    }
    match effect {
        Effect::Command => TAME.contains(&value),
        Effect::Shell => match name {
            "PS4" | "PS0" => !value.contains(['$', '`', '\\']),
            "BASH_ENV" | "ENV" | "PROMPT_COMMAND" | "CDPATH" => value.is_empty(),
            "POSIXLY_CORRECT" => false,
            _ => false,
        },
        Effect::File if name.starts_with("GIT_TRACE") => {
            matches!(value, "0" | "1" | "2" | "true" | "false" | "")
        }
        Effect::File | Effect::Host => value.is_empty(),
        Effect::Configuration => {
            let memory = value
                .strip_prefix("--max-old-space-size=")
                .or_else(|| value.strip_prefix("-j"))
                .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
            memory || (name.starts_with("GIT_CONFIG") && value == "/dev/null")
        }
        Effect::Path | Effect::Separators => false,
    }
}
