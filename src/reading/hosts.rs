//! Which host a text names: a URL, `host:port`, or `user@host:path` as ssh and git write it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::atoms::Host;

/// Bytes of a host's name at most.
const NAME_BYTES: usize = 253;

/// The host that a URL or an address names. Its name is `None` where two programs could read it differently.
#[must_use]
pub fn host(text: &str) -> Host {
    let unknown = |scheme: Option<String>| Host {
        name: None,
        scheme,
        port: None,
        path: None,
    };
    // Programs differ in what they make of these.
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\' || !c.is_ascii();
    let Some((scheme, rest)) = text.split_once("://") else {
        return match text.contains(odd) {
            true => unknown(None),
            false => bare(text),
        };
    };
    let letters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let is_scheme =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(letters);
    let scheme = is_scheme.then(|| scheme.to_ascii_lowercase());
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if scheme.is_none() || authority.contains(odd) {
        return unknown(scheme);
    }
    // The name stands behind the last `@`: what is before it are the user and the password.
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    let (name, port) = split_port(place);
    let path = match path {
        "" => "/".to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    Host {
        name: port.is_ok().then(|| named(name)).flatten(),
        scheme,
        port: port.ok().flatten(),
        path: Some(path),
    }
}

/// `host`, `host:port`, `user@host`, `user@host:path`.
fn bare(text: &str) -> Host {
    let before = text.split('/').next().unwrap_or(text);
    // `a:b@c` is a path on `a` to ssh, and a password for `c` to curl.
    let ambiguous = |at: usize| before.find(':').is_some_and(|colon| colon < at);
    if before.rfind('@').is_some_and(ambiguous) {
        return Host {
            name: None,
            scheme: None,
            port: None,
            path: None,
        };
    }
    let place = before.rsplit_once('@').map_or(before, |(_, place)| place);
    let (name, port) = match split_port(place) {
        (name, Ok(port)) => (name, port),
        // A path behind the colon.
        (name, Err(())) => (name, None),
    };
    Host {
        name: named(name),
        scheme: None,
        port,
        path: None,
    }
}

fn split_port(place: &str) -> (&str, Result<Option<u16>, ()>) {
    if let Some((name, rest)) = place
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok(None),
            Some(port) => port.parse().map(Some).map_err(drop),
            None => Err(()),
        };
        return (name, port);
    }
    match place.split_once(':') {
        None => (place, Ok(None)),
        Some((name, "")) => (name, Ok(None)),
        Some((name, port)) => (name, port.parse().map(Some).map_err(drop)),
    }
}

/// A host's name in lower case, an address in its usual form.
fn named(name: &str) -> Option<String> {
    if let Ok(address) = name.parse::<Ipv6Addr>() {
        return Some(match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => address.to_string(),
        });
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let labels = || name.split('.');
    let whole = labels().all(|label| !label.is_empty() && label.chars().all(letters));
    if name.is_empty() || name.len() > NAME_BYTES || !whole {
        return None;
    }
    let last = labels().next_back().unwrap_or("");
    let number = |label: &str| label.starts_with("0x") || label.chars().all(|c| c.is_ascii_digit());
    match number(last) {
        true => address(&name).map(|address| address.to_string()),
        false => Some(name),
    }
}

/// An IPv4 address in any form that `inet_aton` takes: one to four numbers, decimal, octal or hexadecimal.
fn address(name: &str) -> Option<Ipv4Addr> {
    let numbers: Option<Vec<u32>> = name
        .split('.')
        .map(|part| match part.strip_prefix("0x") {
            Some("") => Some(0),
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None if part.len() > 1 && part.starts_with('0') => u32::from_str_radix(part, 8).ok(),
            None => part.parse().ok(),
        })
        .collect();
    let numbers = numbers?;
    let (last, high) = numbers.split_last()?;
    if high.len() > 3 || high.iter().any(|part| *part > 255) {
        return None;
    }
    let bits = 8 * (4 - u32::try_from(high.len()).ok()?);
    if bits < 32 && *last >> bits != 0 {
        return None;
    }
    let shifted = high.iter().zip([24, 16, 8]).map(|(part, by)| part << by);
    Some(Ipv4Addr::from(shifted.sum::<u32>() | last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_that_a_program_would_reach_is_named() {
        for (text, name, port) in [
            ("https://crates.io/x", Some("crates.io"), None),
            ("HTTPS://Crates.IO:8443", Some("crates.io"), Some(8443)),
            ("https://crates.io.", Some("crates.io"), None),
            ("https://crates.io@evil.com/", Some("evil.com"), None),
            ("https://a:b@crates.io@evil.com", Some("evil.com"), None),
            ("https://evil.com#@crates.io/", Some("evil.com"), None),
            ("https://evil.com?@crates.io/", Some("evil.com"), None),
            ("https://evil.com\\@crates.io/", None, None),
            ("https://crates.io /", None, None),
            ("https://crates.io%2eevil.com/", None, None),
            ("https://crаtes.io/", None, None),
            ("https:///x", None, None),
            ("1://crates.io", None, None),
            ("https://crates.io:x/", None, None),
            ("ssh://git@github.com:22/o/r", Some("github.com"), Some(22)),
            ("git@github.com:o/r.git", Some("github.com"), None),
            ("github.com:o/r@evil.com", Some("github.com"), None),
            ("github.com:o@evil.com", None, None),
            ("localhost:3000/x", Some("localhost"), Some(3000)),
            ("http://[::1]:80/", Some("::1"), Some(80)),
            ("http://[::ffff:127.0.0.1]/", Some("127.0.0.1"), None),
            ("http://169.254.169.254/", Some("169.254.169.254"), None),
            ("http://2852039166/", Some("169.254.169.254"), None),
            ("http://0xa9fea9fe/", Some("169.254.169.254"), None),
            ("http://0251.0376.43518", Some("169.254.169.254"), None),
            ("http://127.1", Some("127.0.0.1"), None),
            ("http://1.2.3.4.5", None, None),
            ("http://1.2.3.256", None, None),
            ("", None, None),
            ("a..b", None, None),
        ] {
            let result = host(text);
            assert_eq!(
                (result.name.as_deref(), result.port),
                (name, port),
                "{text}"
            );
        }
        let result = host("https://a.b?x=1");
        assert_eq!(result.path.as_deref(), Some("/?x=1"));
        assert_eq!(result.scheme.as_deref(), Some("https"));
    }
}
