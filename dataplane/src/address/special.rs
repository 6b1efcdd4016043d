//! Addresses with a special purpose: IANA's registries of IPv4 and IPv6 special-purpose addresses (RFC 6890,
//! iana-ipv4-special-registry and iana-ipv6-special-registry as of 2025-10), multicast, and what of IPv6 is
//! not allocated for unicast at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use Reach::{Inside, Link, Loopback, Public};

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Anywhere ("globally reachable").
    Public,
    /// To something within a network, or nowhere.
    Inside,
    /// To the neighbours on a wire, to many at once, or to none.
    Link,
    /// To this machine.
    Loopback,
}

/// The first network that holds an address decides: an exception stands before what it is one of.
const IPV4: &[([u8; 4], u32, Reach)] = &[
    // RFC 7723, RFC 8155: anycast, globally reachable.
    ([192, 0, 0, 9], 32, Public),
    ([192, 0, 0, 10], 32, Public),
    // RFC 1122: unspecified.
    ([0, 0, 0, 0], 32, Link),
    // RFC 791: "this network".
    ([0, 0, 0, 0], 8, Inside),
    // RFC 1918.
    ([10, 0, 0, 0], 8, Inside),
    // RFC 6598: shared address space.
    ([100, 64, 0, 0], 10, Inside),
    // RFC 1122.
    ([127, 0, 0, 0], 8, Loopback),
    // RFC 3927.
    ([169, 254, 0, 0], 16, Link),
    // RFC 1918.
    ([172, 16, 0, 0], 12, Inside),
    // RFC 6890: IETF protocol assignments; DS-Lite, NAT64 discovery, dummy address.
    ([192, 0, 0, 0], 24, Inside),
    // RFC 5737: documentation.
    ([192, 0, 2, 0], 24, Inside),
    // RFC 7526: relays of 6to4, deprecated.
    ([192, 88, 99, 0], 24, Inside),
    // RFC 1918.
    ([192, 168, 0, 0], 16, Inside),
    // RFC 2544: benchmarks.
    ([198, 18, 0, 0], 15, Inside),
    // RFC 5737: documentation.
    ([198, 51, 100, 0], 24, Inside),
    ([203, 0, 113, 0], 24, Inside),
    // RFC 5771: multicast.
    ([224, 0, 0, 0], 4, Link),
    // RFC 919: broadcast.
    ([255, 255, 255, 255], 32, Link),
    // RFC 1112: reserved.
    ([240, 0, 0, 0], 4, Inside),
];

/// The same of IPv6; an address that no row holds is not allocated for unicast.
const IPV6: &[([u16; 8], u32, Reach)] = &[
    // RFC 4291: loopback, unspecified.
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Loopback),
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Link),
    // RFC 7723, RFC 8155, RFC 9665: anycast, globally reachable.
    ([0x2001, 1, 0, 0, 0, 0, 0, 1], 128, Public),
    ([0x2001, 1, 0, 0, 0, 0, 0, 2], 128, Public),
    ([0x2001, 1, 0, 0, 0, 0, 0, 3], 128, Public),
    // RFC 7450, RFC 7535, RFC 7343, RFC 9374: globally reachable.
    ([0x2001, 3, 0, 0, 0, 0, 0, 0], 32, Public),
    ([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48, Public),
    ([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, Public),
    ([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28, Public),
    // RFC 2928: IETF protocol assignments; Teredo (RFC 4380), benchmarks (RFC 5180), ORCHID (RFC 4843).
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Inside),
    // RFC 3849, RFC 9637: documentation.
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Inside),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Inside),
    // RFC 3056: 6to4, of no IPv4 address that is known here.
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Inside),
    // RFC 4291: global unicast.
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Public),
    // RFC 4193: unique local. RFC 3879: site local, deprecated and still routed inside some sites.
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Inside),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Inside),
    // RFC 4291: link-local, multicast.
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Link),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Link),
];

/// Where `address` leads. IPv4 addresses within IPv6 ones are the caller's to take out.
pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(four) => {
            let bits = four.to_bits();
            let within = |(network, length, _): &&([u8; 4], u32, Reach)| {
                (bits ^ Ipv4Addr::from(*network).to_bits()).leading_zeros() >= *length
            };
            IPV4.iter().find(within).map_or(Public, |row| row.2)
        }
        IpAddr::V6(six) => {
            let bits = six.to_bits();
            let within = |(network, length, _): &&([u16; 8], u32, Reach)| {
                (bits ^ Ipv6Addr::from(*network).to_bits()).leading_zeros() >= *length
            };
            // Among them: 64:ff9b:1::/48 (RFC 8215), 100::/64 (RFC 6666), 100:0:0:1::/64 (RFC 9780),
            // 5f00::/16 (RFC 9602).
            IPV6.iter().find(within).map_or(Inside, |row| row.2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every entry of both registries: a first and a last address, and whether it is globally reachable.
    #[test]
    fn every_entry_of_the_registries_leads_where_they_say() {
        let public = |text: &str| reach(text.parse().unwrap()) == Public;
        for (first, last, expected) in [
            ("0.0.0.0", "0.255.255.255", false),
            ("10.0.0.0", "10.255.255.255", false),
            ("100.64.0.0", "100.127.255.255", false),
            ("127.0.0.0", "127.255.255.255", false),
            ("169.254.0.0", "169.254.255.255", false),
            ("172.16.0.0", "172.31.255.255", false),
            ("192.0.0.0", "192.0.0.8", false),
            ("192.0.0.9", "192.0.0.10", true),
            ("192.0.0.11", "192.0.0.255", false),
            ("192.0.0.170", "192.0.0.171", false),
            ("192.0.2.0", "192.0.2.255", false),
            ("192.31.196.0", "192.31.196.255", true),
            ("192.52.193.0", "192.52.193.255", true),
            ("192.88.99.0", "192.88.99.255", false),
            ("192.168.0.0", "192.168.255.255", false),
            ("192.175.48.0", "192.175.48.255", true),
            ("198.18.0.0", "198.19.255.255", false),
            ("198.51.100.0", "198.51.100.255", false),
            ("203.0.113.0", "203.0.113.255", false),
            ("224.0.0.0", "239.255.255.255", false),
            ("240.0.0.0", "255.255.255.255", false),
            ("::", "::1", false),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false),
            ("100::", "100::ffff:ffff:ffff:ffff", false),
            ("100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", false),
            ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("2001:1::", "2001:1::", false),
            ("2001:1::1", "2001:1::3", true),
            ("2001:1::4", "2001:2:0:ffff:ffff:ffff:ffff:ffff", false),
            ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("2001:20::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:40::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            (
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                false,
            ),
            (
                "2620:4f:8000::",
                "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
                true,
            ),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            // Beside them.
            ("1.0.0.0", "9.255.255.255", true),
            ("11.0.0.0", "100.63.255.255", true),
            ("100.128.0.0", "126.255.255.255", true),
            ("172.32.0.0", "191.255.255.255", true),
            ("192.0.1.0", "192.0.1.255", true),
            ("198.20.0.0", "198.51.99.255", true),
            ("2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2003::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
        ] {
            assert_eq!(public(first), expected, "{first}");
            assert_eq!(public(last), expected, "{last}");
        }
    }
}
