//! Which hosts may be reached: the operator's list, read strictly, and the hosts that are asked for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::contracts::limits;
use crate::contracts::plural::count;

/// The port of an entry that names none: TLS.
pub(crate) const HTTPS: u16 = 443;
/// Bytes of a whole name and of one of its labels (RFC 1035).
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;
/// The one name that means this machine, wherever it is asked (RFC 6761).
pub const LOCALHOST: &str = "localhost";

/// A host as it is asked for, in one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name, in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(six)) => write!(f, "[{six}]"),
            Self::Address(four) => write!(f, "{four}"),
        }
    }
}

impl Host {
    /// Reads a host: an address (IPv6 in brackets), or a name of letters, digits, `-` and `_`.
    ///
    /// # Errors
    /// What about it is neither.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(inside) = text.strip_prefix('[') {
            let inside = inside.strip_suffix(']').ok_or("missing closing bracket")?;
            let six: Ipv6Addr = inside
                .parse()
                .map_err(|_| "no IPv6 address in the brackets")?;
            return Ok(Self::Address(canonical(six.into())));
        }
        if let Ok(four) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(four.into()));
        }
        name(text).map(Self::Name)
    }
}

/// An address mapped into IPv6 is the one that it stands for.
#[must_use]
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("the host is missing");
    }
    if text.len() > NAME_BYTES {
        return Err("the name is too long");
    }
    if text.ends_with('.') {
        return Err("omit the final dot of the name");
    }
    for label in text.split('.') {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if label.is_empty() || label.len() > LABEL_BYTES || !label.bytes().all(plain) {
            return Err("not a host name (write a non-ASCII name in its xn-- form)");
        }
    }
    // `127.1`, `0x7f000001` and `2130706433` are addresses to the system's resolver.
    let last = text.rsplit('.').next().unwrap_or_default();
    let digits = last.strip_prefix("0x").or(last.strip_prefix("0X"));
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if last.bytes().all(|byte| byte.is_ascii_digit()) || digits.is_some_and(number) {
        return Err("a name cannot end in a number");
    }
    Ok(text.to_ascii_lowercase())
}

/// Splits `HOST:PORT`, the port in decimal without more.
///
/// # Errors
/// What is wrong with it.
pub fn host_and_port(text: &str) -> Result<(Host, Option<u16>), &'static str> {
    let (host, port) = match text.rsplit_once(':') {
        // The last colon of a bare IPv6 address is not a port's.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            // One spelling alone: `0443` is no port.
            let decimal = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
            let number = port.parse::<u16>().ok();
            let port = number.filter(|port| decimal && *port > 0);
            (host, Some(port.ok_or("the port must be 1 to 65535")?))
        }
        Some(_) if text.starts_with('[') => (text, None),
        Some(_) => return Err("write an IPv6 address in brackets"),
        None => (text, None),
    };
    Ok((Host::parse(host)?, port))
}

/// What the session's policy says of a host, besides the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruled {
    /// Nothing: the list decides.
    Listed,
    /// It may be reached at port 443, listed or not.
    Open,
    /// It may not be reached, listed or not.
    Refused,
}

/// Asks the policy about a host and a port.
pub type HostPolicy = dyn Fn(&Host, u16) -> Ruled + Send + Sync;

/// What one entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(Host),
    /// Every name below this one, which is not named itself.
    Below(String),
}

/// Why a list of hosts is none; it is the operator's to correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowlistError {
    /// An entry names no host.
    Entry {
        /// The entry.
        text: String,
        /// What is wrong with it, and how it is written instead.
        wrong: &'static str,
    },
    /// There are more than [`limits::EGRESS_ENTRIES`].
    TooMany,
}

impl fmt::Display for AllowlistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry { text, wrong } => write!(f, "{text:?}: {wrong}"),
            Self::TooMany => write!(f, "more than {}", count(limits::EGRESS_ENTRIES, "host")),
        }
    }
}

impl std::error::Error for AllowlistError {}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    pattern: Pattern,
    port: u16,
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Pattern::Exact(host) => write!(f, "{host}:{}", self.port),
            Pattern::Below(suffix) => write!(f, "*.{suffix}:{}", self.port),
        }
    }
}

impl AllowedHost {
    /// Reads `HOST`, `*.SUFFIX` or an address, each with `:PORT` or for port 443.
    ///
    /// # Errors
    /// What is wrong with it, and how it is written instead.
    pub fn parse(text: &str) -> Result<Self, AllowlistError> {
        let wrong = |wrong: &'static str| {
            let text = text.to_owned();
            Err(AllowlistError::Entry { text, wrong })
        };
        if text.contains("://") || text.contains('/') {
            return wrong("use HOST or HOST:PORT, without scheme or path");
        }
        if text == "*" || text.starts_with("*:") {
            return wrong("for every host, use --egress full");
        }
        if text.contains(['@', ' ', ',']) {
            return wrong("use one HOST or HOST:PORT");
        }
        if let Some(below) = text.strip_prefix("*.") {
            return match host_and_port(below) {
                Ok((Host::Name(suffix), port)) if suffix.contains('.') => Ok(Self {
                    pattern: Pattern::Below(suffix),
                    port: port.unwrap_or(HTTPS),
                }),
                Ok((Host::Name(_), _)) => wrong("the suffix cannot be a top-level domain"),
                Ok((Host::Address(_), _)) => wrong("an address has no subdomains"),
                Err(why) => wrong(why),
            };
        }
        if text.contains('*') {
            return wrong("* is allowed only at the start, as in *.example.com");
        }
        match host_and_port(text) {
            Ok((host, port)) => Ok(Self {
                pattern: Pattern::Exact(host),
                port: port.unwrap_or(HTTPS),
            }),
            Err(why) => wrong(why),
        }
    }

    fn matches(&self, host: &Host, port: u16) -> bool {
        self.port == port
            && match (&self.pattern, host) {
                (Pattern::Exact(listed), host) => listed == host,
                (Pattern::Below(suffix), Host::Name(name)) => name
                    .strip_suffix(suffix.as_str())
                    .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
                (Pattern::Below(_), Host::Address(_)) => false,
            }
    }
}

/// The hosts that may be reached. An empty list reaches none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowlist(Vec<AllowedHost>);

impl Allowlist {
    /// Reads the entries of a list; one that stands there twice counts once.
    ///
    /// # Errors
    /// The first entry that is none, or that there are more than [`limits::EGRESS_ENTRIES`].
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, AllowlistError> {
        let mut list = Self::default();
        for text in entries {
            let entry = AllowedHost::parse(text)?;
            if !list.0.contains(&entry) {
                list.0.push(entry);
            }
            if list.0.len() > limits::EGRESS_ENTRIES {
                return Err(AllowlistError::TooMany);
            }
        }
        Ok(list)
    }

    /// The entries, each in its one spelling.
    #[must_use]
    pub fn entries(&self) -> Vec<String> {
        self.0.iter().map(AllowedHost::to_string).collect()
    }

    /// The ports that are listed.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.0.iter().map(|entry| entry.port)
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this host may be reached at this port.
    #[must_use]
    pub fn allows(&self, host: &Host, port: u16) -> bool {
        self.0.iter().any(|entry| entry.matches(host, port))
    }

    /// Whether this address itself is listed, so that a name may lead to it though it is private.
    #[must_use]
    pub fn names(&self, address: IpAddr, port: u16) -> bool {
        self.allows(&Host::Address(canonical(address)), port)
    }

    /// Listed hosts that mean this machine: programs must not take the short way to them.
    #[must_use]
    pub fn local(&self) -> Vec<String> {
        let local = |entry: &AllowedHost| match &entry.pattern {
            Pattern::Exact(Host::Name(name)) => (name == LOCALHOST).then(|| name.clone()),
            Pattern::Exact(Host::Address(address)) => {
                address.is_loopback().then(|| address.to_string())
            }
            Pattern::Below(_) => None,
        };
        self.0.iter().filter_map(local).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &[&str], name: &str) -> bool {
        let list = Allowlist::parse(list.iter().copied()).unwrap();
        let (host, port) = host_and_port(name).unwrap();
        list.allows(&host, port.unwrap())
    }

    #[test]
    fn a_host_is_allowed_at_its_port_and_in_no_other_way() {
        let list = [
            "api.example.com",
            "*.example.org:8443",
            "192.0.2.7:443",
            "[2001:DB8::1]",
        ];
        for yes in [
            "api.example.com:443",
            "API.Example.COM:443",
            "a.example.org:8443",
            "a.b.example.org:8443",
            "192.0.2.7:443",
            "[2001:db8:0::1]:443",
            "[::ffff:192.0.2.7]:443",
        ] {
            assert!(allows(&list, yes), "{yes}");
        }
        for no in [
            "api.example.com:80",
            "example.com:443",
            "xapi.example.com:443",
            "a.api.example.com:443",
            "api.example.com.evil.test:443",
            "example.org:8443",
            "xexample.org:8443",
            "evilexample.org:8443",
            "evil-example.org:8443",
            "a.example.org:443",
            "192.0.2.8:443",
            "192.0.2.7:8443",
            "[2001:db8::2]:443",
        ] {
            assert!(!allows(&list, no), "{no}");
        }
        assert!(!allows(&[], "api.example.com:443"));
    }

    #[test]
    fn what_is_no_entry_says_how_it_is_written() {
        for (text, said) in [
            ("https://a.test", "without scheme or path"),
            ("a.test/x", "without scheme or path"),
            ("*", "--egress full"),
            ("*:443", "--egress full"),
            ("*.com", "top-level domain"),
            ("*.127.0.0.1", "no subdomains"),
            ("a.*.test", "only at the start"),
            ("*a.test", "only at the start"),
            ("a.test.", "final dot"),
            ("a..test", "not a host name"),
            ("", "missing"),
            (":443", "missing"),
            ("a.test:", "port"),
            ("a.test:0", "port"),
            ("a.test:0443", "port"),
            ("a.test:+443", "port"),
            ("a.test:65536", "port"),
            ("2001:db8::1", "brackets"),
            ("[2001:db8::1", "bracket"),
            ("[fe80::1%eth0]", "no IPv6"),
            ("127.1", "cannot end in a number"),
            ("0x7f000001", "cannot end in a number"),
            ("2130706433", "cannot end in a number"),
            ("0177.0.0.1", "cannot end in a number"),
            ("b\u{fc}cher.test", "xn--"),
            ("a.test,b.test", "use one HOST"),
            ("user@a.test", "use one HOST"),
        ] {
            let why = AllowedHost::parse(text).unwrap_err().to_string();
            assert!(why.contains(said), "{text}: {why}");
        }
    }

    #[test]
    fn an_entry_is_shown_in_its_one_spelling_and_counts_once() {
        let list = Allowlist::parse(["A.test", "a.test:443", "[::FFFF:10.0.0.1]:1"]).unwrap();
        assert_eq!(list.entries(), ["a.test:443", "10.0.0.1:1"]);
        let many: Vec<String> = (0..=limits::EGRESS_ENTRIES)
            .map(|number| format!("h{number}.test"))
            .collect();
        assert!(Allowlist::parse(many.iter().map(String::as_str)).is_err());
    }

    #[test]
    fn every_spelling_of_an_address_is_the_one() {
        for text in ["[::ffff:a00:1]", "10.0.0.1"] {
            assert_eq!(Host::parse(text), Ok(Host::Address([10, 0, 0, 1].into())));
        }
    }
}
