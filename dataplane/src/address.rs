//! Which addresses may be dialled because a resource names them.
//!
//! An address is the user's text and a pod stands inside the cluster's network: without a rule a URI
//! could read the cloud's metadata service or whatever listens beside the pod (server-side request
//! forgery). For models public addresses are allowed, private ones where the operator's settings list
//! them, loopback only in local mode; for traces those too, as collectors are mostly there.
//! Link-local ones are never.

mod resolver;
mod special;

pub(crate) use resolver::{CheckedResolver, RefusedAddress, refused_literal};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use self::special::{Reach, reach};

/// Addresses at which clouds give out credentials, besides 169.254.169.254: Azure, Alibaba Cloud, Oracle
/// Cloud, AWS and Google Cloud over IPv6.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// What may be dialled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Private networks that may.
    pub(crate) networks: Vec<IpNet>,
    /// Loopback addresses and all private networks may: local mode.
    pub(crate) loopback: bool,
}

impl Rule {
    /// Every network, and this machine, where a collector may run beside the server: what is sent to it
    /// is a batch of spans, always to the same path.
    pub(crate) fn for_traces() -> Self {
        Self {
            networks: Vec::new(),
            loopback: true,
        }
    }

    /// Why `address` may not be dialled; `None` if it may.
    pub(crate) fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let address = unmapped(address);
        if METADATA.contains(&address) {
            return Some("is a cloud's metadata service");
        }
        let listed = || self.networks.iter().any(|net| net.contains(&address));
        match reach(address) {
            Reach::Public => None,
            Reach::Loopback => (!self.loopback).then_some("is this machine itself"),
            Reach::Link => Some("is a link-local, multicast or unspecified address"),
            Reach::Inside => (!self.loopback && !listed()).then_some(
                "is in a private network that is not listed (operator flag --allow-source-network)",
            ),
        }
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
            "192.0.0.192",
            "192.0.0.1",
            "fd20:ce::254",
            "64:ff9b:1::a00:1",
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
    fn traces_go_to_any_network_and_never_to_what_gives_out_credentials() {
        let rule = Rule::for_traces();
        for address in ["10.96.3.4", "fd00::1", "1.1.1.1", "100.64.0.1", "127.0.0.1"] {
            assert!(!refused(&rule, address), "{address}");
        }
        for address in [
            "169.254.169.254",
            "100.100.100.200",
            "fe80::1",
            "0.0.0.0",
            "::ffff:a9fe:a9fe",
        ] {
            assert!(refused(&rule, address), "{address}");
        }
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
