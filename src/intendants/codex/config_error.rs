//! Why a governed Codex gets no configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no configuration, by whose text it is that does not fit.
#[derive(Debug)]
pub enum ConfigError {
    /// The operator's: the file cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The operator's: the file is not UTF-8.
    NotUtf8(PathBuf),
    /// The operator's: the file is not TOML.
    NotToml {
        /// The file.
        path: PathBuf,
        /// What the parser says, without the line, which can hold a credential.
        problem: String,
    },
    /// The operator's: no configuration can name the repository, whose path is not UTF-8.
    Repository,
    /// Codex's: its catalogue of models is no JSON.
    CatalogueNotJson(serde_json::Error),
    /// Codex's: its catalogue of models is none; says what of it.
    Catalogue(&'static str),
    /// agp's: what it would write is no TOML.
    Unwritable(toml::ser::Error),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NotUtf8(path) => write!(f, "{}: not UTF-8", path.display()),
            Self::NotToml { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Repository => f.write_str("the repository's path is not valid UTF-8"),
            Self::CatalogueNotJson(error) => {
                write!(f, "cannot read Codex's model catalogue: {error}")
            }
            Self::Catalogue(problem) => f.write_str(problem),
            Self::Unwritable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::CatalogueNotJson(error) => Some(error),
            Self::Unwritable(error) => Some(error),
            Self::NotUtf8(_) | Self::NotToml { .. } | Self::Repository | Self::Catalogue(_) => None,
        }
    }
}
