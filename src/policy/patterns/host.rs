//! Hosts: a name, `*.name`, a port, the beginning of a URL, or a named set.

use super::{List, PatternError};
use crate::reading::atoms::Host as Reached;
use crate::reading::registries;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Any,
    Exact(String),
    /// Any name below, with its leading dot.
    Below(String),
    Registries,
    /// This machine: `localhost`, `127.0.0.0/8`, `::1`.
    Loopback,
}

/// A pattern of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Host {
    named: Named,
    port: Option<u16>,
    scheme: Option<String>,
    /// What a URL's path begins with.
    path: Option<String>,
    /// The path may go on.
    more: bool,
}

impl Host {
    /// Reads one.
    ///
    /// # Errors
    /// What makes it no pattern.
    pub(in crate::policy) fn parse(text: &str) -> Result<Self, PatternError> {
        let error = |wrong| PatternError::Host(text.to_owned(), wrong);
        let wrong = || {
            error("write a host's name, *.name, name:port, the beginning of a URL, or @registries")
        };
        let mut host = Self {
            named: Named::Registries,
            port: None,
            scheme: None,
            path: None,
            more: false,
        };
        if text.starts_with('@') {
            return match text {
                "@registries" => Ok(host),
                "@loopback" => {
                    host.named = Named::Loopback;
                    Ok(host)
                }
                _ => Err(error(
                    "the named sets of hosts are @registries and @loopback",
                )),
            };
        }
        let mut rest = text;
        if let Some((scheme, behind)) = text.split_once("://") {
            host.scheme = Some(scheme.to_ascii_lowercase());
            let (name, path) = match behind.find('/') {
                Some(at) => behind.split_at_checked(at).ok_or_else(wrong)?,
                None => (behind, ""),
            };
            rest = name;
            if !path.is_empty() && path != "/*" && path != "/" {
                let path = path
                    .strip_suffix('*')
                    .inspect(|_| host.more = true)
                    .unwrap_or(path);
                if path.contains('*') || path.contains("..") || path.contains('%') {
                    return Err(error("a URL's path can end in *, and has no .. or %"));
                }
                host.path = Some(path.to_owned());
            }
        }
        if let Some(inside) = rest.strip_prefix('[') {
            let (name, port) = inside.split_once(']').ok_or_else(wrong)?;
            host.port = match port.strip_prefix(':') {
                None if port.is_empty() => None,
                Some(port) => Some(port.parse().map_err(|_| wrong())?),
                None => return Err(wrong()),
            };
            host.named = Named::Exact(name.to_ascii_lowercase());
            return Ok(host);
        }
        if let (Some((name, port)), 1) = (rest.split_once(':'), rest.matches(':').count()) {
            host.port = Some(port.parse().map_err(|_| wrong())?);
            rest = name;
        }
        let name = rest.trim_end_matches('.').to_ascii_lowercase();
        let letter = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        let plain = |name: &str| !name.is_empty() && name.chars().all(letter);
        host.named = match name.strip_prefix('*') {
            Some("") => Named::Any,
            Some(below) if below.starts_with('.') && plain(below) => Named::Below(below.to_owned()),
            None if plain(&name) => Named::Exact(name),
            _ => return Err(wrong()),
        };
        Ok(host)
    }

    /// The one host that it names by itself.
    pub(in crate::policy) fn exact(&self) -> Option<&str> {
        match &self.named {
            Named::Exact(name) => Some(name),
            _ => None,
        }
    }

    fn named(&self, name: &str) -> bool {
        match &self.named {
            Named::Any => true,
            Named::Exact(own) => own == name,
            Named::Below(below) => name.len() > below.len() && name.ends_with(below.as_str()),
            Named::Registries => registries::group_of(name).is_some(),
            Named::Loopback => is_loopback(name),
        }
    }

    /// Whether it speaks about this host for certain.
    pub(in crate::policy) fn certain(&self, host: &Reached) -> bool {
        let named = match &host.name {
            Some(name) => self.named(name),
            None => self.named == Named::Any,
        };
        // Other schemes speak to servers that never meant to hear an agent.
        let usual = self.named != Named::Loopback
            || matches!(
                host.scheme.as_deref(),
                None | Some("http" | "https" | "ws" | "wss")
            );
        named && usual && self.scheme_and_port(host, false) && self.path_certain(host)
    }

    /// Whether it could.
    pub(in crate::policy) fn could(&self, host: &Reached) -> bool {
        let named = host.name.as_ref().is_none_or(|name| self.named(name));
        // How a server reads a path is not known: a deny of a URL's beginning holds for the whole host where the
        // path has anything that could be read in another way.
        let path = match (&self.path, &host.path) {
            (Some(own), Some(path)) if plain_path(path) => self.begins(own, path),
            _ => true,
        };
        named && path && self.scheme_and_port(host, true)
    }

    fn scheme_and_port(&self, host: &Reached, unknown: bool) -> bool {
        let scheme = match (&self.scheme, &host.scheme) {
            (None, _) => true,
            (Some(own), Some(scheme)) => own == scheme,
            (Some(_), None) => unknown,
        };
        let usual = match host.scheme.as_deref() {
            Some("https" | "wss") => Some(443),
            Some("http" | "ws") => Some(80),
            Some("ssh") => Some(22),
            _ => None,
        };
        let port = match (self.port, host.port.or(usual)) {
            (None, _) => true,
            (Some(own), Some(port)) => own == port,
            (Some(_), None) => unknown,
        };
        scheme && port
    }

    fn path_certain(&self, host: &Reached) -> bool {
        match (&self.path, &host.path) {
            (None, _) => true,
            (Some(own), Some(path)) => plain_path(path) && self.begins(own, path),
            (Some(_), None) => false,
        }
    }

    fn begins(&self, own: &str, path: &str) -> bool {
        match self.more {
            true => path.starts_with(own),
            false => path == own,
        }
    }
}

/// Whether a name can only be this machine's.
fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Nothing in it that leads elsewhere when it is normalized.
fn plain_path(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    !path.contains(['%', '\\', ';']) && !path.split('/').any(|name| name == "." || name == "..")
}

impl List<Host> {
    pub(in crate::policy) fn certain(&self, host: &Reached) -> bool {
        self.has(|own| own.certain(host), |own| own.could(host))
    }

    pub(in crate::policy) fn could(&self, host: &Reached) -> bool {
        self.has(|own| own.could(host), |own| own.certain(host))
    }
}
