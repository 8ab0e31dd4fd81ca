//! From a name to the addresses that are connected to: asked once, checked, and used as checked.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::contracts::limits;
use crate::tunnel::{Slots, is_over};

use super::address_classes;
use super::allowlist::{Allowlist, Host, LOCALHOST, canonical};
use super::refusal::Reason;

/// How often who waits for a name sees whether the session is over.
const GLANCE: Duration = Duration::from_millis(50);

/// Looks names up.
pub trait Resolver: Send + Sync {
    /// The addresses of a name.
    ///
    /// # Errors
    /// Why there are none.
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's own resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Resolver for System {
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((name, port).to_socket_addrs()?.collect())
    }
}

/// Finds, for a host that is allowed, the addresses that may be connected to.
pub(crate) struct Finder {
    resolver: Arc<dyn Resolver>,
    patience: Duration,
    own: Vec<IpAddr>,
    lookups: Slots,
}

/// An address that was found, and why it is not used.
pub(crate) type Unusable = (Reason, Option<IpAddr>);

impl Finder {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, patience: Duration) -> Self {
        Self {
            resolver,
            patience,
            own: address_classes::own(),
            lookups: Slots::new(limits::EGRESS_LOOKUPS),
        }
    }

    /// The addresses of a host. One that is not public, of any that its name leads to, refuses all,
    /// unless it is on the list itself.
    pub(crate) fn find(
        &self,
        host: &Host,
        port: u16,
        list: &Allowlist,
        stop: BorrowedFd<'_>,
    ) -> Result<Vec<SocketAddr>, Unusable> {
        let name = match host {
            // Listed, or this was not asked.
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
            // By its meaning, and whatever a resolver may say.
            Host::Name(name) if name == LOCALHOST => {
                let both = [
                    IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(Ipv6Addr::LOCALHOST),
                ];
                return Ok(both.map(|address| SocketAddr::new(address, port)).into());
            }
            Host::Name(name) => name,
        };
        let addresses = self.look_up(name, port, stop);
        let mut addresses = addresses.map_err(|why| (why, None))?;
        addresses.truncate(limits::EGRESS_ADDRESSES);
        for address in &mut addresses {
            *address = SocketAddr::new(canonical(address.ip()), port);
            let ip = address.ip();
            let fine = address_classes::is_public(ip) && !self.own.contains(&ip);
            if !fine && !list.names(ip, port) {
                return Err((Reason::NotPublic, Some(ip)));
            }
        }
        if addresses.is_empty() {
            return Err((Reason::NotResolved, None));
        }
        Ok(addresses)
    }

    /// On a thread of its own: the system's resolver takes as long as it likes, and a deep stack.
    fn look_up(
        &self,
        name: &str,
        port: u16,
        stop: BorrowedFd<'_>,
    ) -> Result<Vec<SocketAddr>, Reason> {
        let until = Instant::now() + self.patience;
        let slot = self.lookups.take().ok_or(Reason::NotResolved)?;
        let (resolver, name) = (Arc::clone(&self.resolver), name.to_owned());
        let (tell, answers) = sync_channel(1);
        let looking = thread::Builder::new().name("egress-resolve".into());
        let looking = looking.spawn(move || {
            let _slot = slot;
            // Whoever asked may have given up.
            let _ = tell.send(resolver.resolve(&name, port));
        });
        looking.map_err(|_| Reason::NotResolved)?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match answers.recv_timeout(left.min(GLANCE)) {
                Ok(addresses) => return addresses.map_err(|_| Reason::NotResolved),
                Err(RecvTimeoutError::Timeout) if is_over(stop) => return Err(Reason::Over),
                Err(RecvTimeoutError::Timeout) if left > GLANCE => {}
                Err(_) => return Err(Reason::NotResolved),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A resolver that knows every name, by these addresses.
    struct Says(&'static [&'static str]);

    impl Resolver for Says {
        fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), 1);
            Ok(self.0.iter().map(address).collect())
        }
    }

    const OWN: &str = "198.41.0.4";

    fn find(says: &'static [&'static str], listed: &[&str]) -> Result<Vec<String>, Unusable> {
        let mut finder = Finder::new(Arc::new(Says(says)), Duration::from_secs(20));
        finder.own = vec![OWN.parse().unwrap()];
        let list = Allowlist::parse(listed.iter().copied()).unwrap();
        let host = Host::parse("a.test").unwrap();
        let (stop, _open) = io::pipe().unwrap();
        let addresses = finder.find(&host, 443, &list, std::os::fd::AsFd::as_fd(&stop))?;
        Ok(addresses.iter().map(SocketAddr::to_string).collect())
    }

    #[test]
    fn a_name_leads_to_public_addresses_and_to_listed_ones_at_the_port_that_was_asked_for() {
        let list = ["a.test", "10.0.0.1:443", "10.0.0.2:80"];
        assert_eq!(
            find(&["8.8.8.8", "::ffff:10.0.0.1"], &list),
            Ok(vec!["8.8.8.8:443".to_owned(), "10.0.0.1:443".to_owned()])
        );
        for says in [
            &["10.0.0.2"][..],
            &["169.254.169.254"],
            &["8.8.8.8", "127.0.0.1"],
            &["10.0.0.1", "::ffff:10.0.0.3"],
            &[OWN],
        ] {
            let (why, address) = find(says, &list).unwrap_err();
            assert_eq!(why, Reason::NotPublic, "{says:?}");
            assert!(address.is_some());
        }
        assert_eq!(find(&[], &list), Err((Reason::NotResolved, None)));
    }
}
