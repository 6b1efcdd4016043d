//! Which addresses a model may be fetched from.
//!
//! A source is the user's text and a pod stands inside the cluster's network: without a rule a URI
//! could read the cloud's metadata service or whatever listens beside the pod (server-side request
//! forgery). Public addresses are allowed, private ones where the operator's settings list them,
//! loopback only in local mode, link-local ones never.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses at which clouds give out credentials, besides 169.254.169.254: Azure, Alibaba Cloud, AWS over IPv6.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// What may be dialled.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    /// Private networks that may.
    pub(super) networks: Vec<IpNet>,
    /// Loopback addresses may: local mode.
    pub(super) loopback: bool,
}

impl Rule {
    /// Why `address` may not be dialled; `None` if it may.
    pub(super) fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let address = unmapped(address);
        if address.is_loopback() {
            return (!self.loopback).then_some("is this machine itself");
        }
        if address.is_unspecified() || address.is_multicast() || is_link_local(address) {
            return Some("is a link-local, multicast or unspecified address");
        }
        if METADATA.contains(&address) {
            return Some("is a cloud's metadata service");
        }
        let listed = self
            .networks
            .iter()
            .any(|network| network.contains(&address));
        (is_private(address) && !listed && !self.loopback).then_some(
            "is in a private network that is not listed (operator flag --allow-source-network)",
        )
    }
}

/// The IPv4 address that an IPv6 one stands for: `::ffff:10.0.0.1` is 10.0.0.1, and so is 10.0.0.1
/// behind the well-known NAT64 prefix, in 6to4 and in the deprecated `::10.0.0.1`.
fn unmapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    let four = |high: u16, low: u16| IpAddr::V4((u32::from(high) << 16 | u32::from(low)).into());
    match six.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => four(high, low),
        _ => address,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let [first, second, ..] = four.octets();
            // RFC 1918, RFC 6598 (shared address space), RFC 2544 (benchmarks), "this network",
            // reserved.
            four.is_private()
                || (first == 100 && (64..128).contains(&second))
                || (first == 198 && second & 0xfe == 18)
                || first == 0
                || first >= 240
        }
        // 2001::/32 is Teredo, which tunnels to an IPv4 address.
        IpAddr::V6(six) => {
            six.is_unique_local() || is_site_local(six) || six.segments()[..2] == [0x2001, 0]
        }
    }
}

/// fec0::/10, deprecated by RFC 3879 and still routed inside some sites.
fn is_site_local(six: Ipv6Addr) -> bool {
    six.segments()[0] & 0xffc0 == 0xfec0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rule: &Rule, address: &str) -> bool {
        rule.refusal(address.parse().unwrap()).is_some()
    }

    #[test]
    fn inside_addresses_are_refused_in_every_spelling() {
        let rule = Rule::default();
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::10.0.0.1",
            "2001:0:53aa:64c::1",
            "198.18.0.1",
            "240.0.0.1",
            "168.63.129.16",
            "fd00:ec2::254",
        ] {
            assert!(refused(&rule, address), "{address}");
        }
        for address in ["1.1.1.1", "2606:4700::1", "172.32.0.1", "100.128.0.1"] {
            assert!(!refused(&rule, address), "{address}");
        }
    }

    #[test]
    fn a_listed_network_opens_itself_and_nothing_else() {
        let rule = Rule {
            networks: vec![
                "10.96.0.0/16".parse().unwrap(),
                "169.254.0.0/16".parse().unwrap(),
                "100.64.0.0/10".parse().unwrap(),
            ],
            loopback: false,
        };
        assert!(!refused(&rule, "10.96.3.4"));
        assert!(refused(&rule, "10.97.0.1"));
        assert!(refused(&rule, "169.254.169.254"), "never, listed or not");
        assert!(refused(&rule, "127.0.0.1"));
        assert!(!refused(&rule, "100.64.0.1"));
        assert!(refused(&rule, "100.100.100.200"), "never, listed or not");
    }

    #[test]
    fn a_listed_network_may_be_given_by_any_of_its_addresses() {
        let rule = Rule {
            networks: vec!["10.96.3.4/16".parse().unwrap()],
            loopback: false,
        };
        assert!(!refused(&rule, "10.96.200.1"));
        assert!(refused(&rule, "10.97.0.1"));
    }
}
