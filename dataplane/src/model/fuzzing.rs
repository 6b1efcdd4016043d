//! The readers of this folder, for fuzz targets.

use std::net::IpAddr;

use crate::address::Rule;

/// Whether a pod with these allowed networks may dial `address`; `None` where a network is none.
pub fn may_dial(networks: &[&str], address: IpAddr) -> Option<bool> {
    let networks = networks.iter().map(|text| text.parse().ok());
    let rule = Rule {
        networks: networks.collect::<Option<_>>()?,
        loopback: false,
    };
    Some(rule.refusal(address).is_none())
}
