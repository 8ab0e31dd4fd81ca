//! Which addresses are the world's, and which are this machine's, its network's or its cloud's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not the public Internet (IANA's registry of special addresses), and
/// what clouds answer at.
const NOT_PUBLIC_4: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    // Carrier-grade NAT, and the metadata service of one cloud.
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Link-local, and the metadata services of most clouds.
    ([169, 254, 0, 0], 16),
    // Public by the registry, but to a machine in that cloud its host.
    ([168, 63, 129, 16], 32),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast, reserved, broadcast.
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];
/// Global unicast of IPv6: everything else is not public.
const GLOBAL_6: ([u16; 8], u32) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// What of it is not: the registry's protocol block (Teredo in it), documentation, 6to4.
const NOT_PUBLIC_6: [([u16; 8], u32); 4] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];
/// IPv4 behind a translator of an IPv6-only network: the address it leads to stands in its end.
const TRANSLATED: ([u16; 8], u32) = ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// Whether an address is one of the public Internet.
#[must_use]
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => !NOT_PUBLIC_4
            .iter()
            .any(|(network, bits)| within_4(four, Ipv4Addr::from(*network), *bits)),
        IpAddr::V6(six) if within_6(six, TRANSLATED) => {
            let [.., a, b, c, d] = six.octets();
            is_public(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(six) => {
            within_6(six, GLOBAL_6) && !NOT_PUBLIC_6.iter().any(|network| within_6(six, *network))
        }
    }
}

fn within_4(address: Ipv4Addr, network: Ipv4Addr, bits: u32) -> bool {
    (address.to_bits() ^ network.to_bits())
        .checked_shr(32 - bits)
        .unwrap_or(0)
        == 0
}

fn within_6(address: Ipv6Addr, (network, bits): ([u16; 8], u32)) -> bool {
    let network = Ipv6Addr::from(network);
    (address.to_bits() ^ network.to_bits())
        .checked_shr(128 - bits)
        .unwrap_or(0)
        == 0
}

/// This machine's own addresses: public or not, behind them stand its own services.
#[must_use]
pub(crate) fn own() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_each_network_are_where_they_should_be() {
        for private in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.255.255",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001:0:1::",
            "3fff::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "4000::1",
            "1fff::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "168.63.129.15",
            "2606:4700::1111",
            "2a00::1",
            "3ffe::1",
            "2001:4860::8888",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn this_machine_knows_its_loopback() {
        assert!(own().iter().any(IpAddr::is_loopback));
    }
}
