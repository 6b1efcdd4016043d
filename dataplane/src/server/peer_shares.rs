//! The share of one address in a port's connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the connections of each address.
pub(super) struct PeerShares {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of an address, until it is dropped.
pub(super) struct PeerShare {
    shares: Arc<PeerShares>,
    peer: IpAddr,
}

impl PeerShares {
    /// At most so many connections of one address at once.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            open: Mutex::default(),
        })
    }

    /// Counts a connection; `None` where its address has its share already.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<PeerShare> {
        let peer = peer.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_default();
        if *count == self.most {
            return None;
        }
        *count += 1;
        Some(PeerShare {
            shares: Arc::clone(self),
            peer,
        })
    }
}

impl Drop for PeerShare {
    fn drop(&mut self) {
        let open = self.shares.open.lock();
        let mut open = open.unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(self.peer) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gives_it_back_in_either_spelling() {
        let shares = PeerShares::new(2);
        let four: IpAddr = "10.0.0.1".parse().unwrap();
        let six: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let first = shares.take(four);
        let second = shares.take(six);
        assert!(first.is_some() && second.is_some());
        assert!(shares.take(four).is_none());
        assert!(shares.take("10.0.0.2".parse().unwrap()).is_some());
        drop(first);
        assert!(shares.take(four).is_some());
        drop(second);
        assert!(shares.open.lock().unwrap().is_empty());
    }
}
