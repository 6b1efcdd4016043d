//! The boundaries of messages in a gRPC stream.

/// Length of a message's prefix: a byte that says whether it is compressed, and its length
/// ("Length-Prefixed-Message" of gRPC over HTTP/2).
const PREFIX: usize = 5;

/// Follows the bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Boundaries {
    prefix: [u8; PREFIX],
    /// Bytes received of the incomplete message, its prefix included.
    open: usize,
}

impl Boundaries {
    /// Advances over the next bytes; returns how many of all bytes so far belong to a message
    /// that is incomplete.
    pub(super) fn pass(&mut self, mut data: &[u8]) -> usize {
        loop {
            let missing = self.missing();
            if missing == 0 {
                self.open = 0;
                continue;
            }
            if data.is_empty() {
                return self.open;
            }
            let (next, rest) = data.split_at(missing.min(data.len()));
            if let Some(prefix) = self.prefix.get_mut(self.open..self.open + next.len()) {
                prefix.copy_from_slice(next);
            }
            self.open += next.len();
            data = rest;
        }
    }

    /// Bytes until the prefix, then until the message, is complete; none if it is.
    fn missing(&self) -> usize {
        if self.open < PREFIX {
            return PREFIX - self.open;
        }
        let [_, length @ ..] = self.prefix;
        (PREFIX + u32::from_be_bytes(length) as usize) - self.open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_open_between_messages() {
        let mut boundaries = Boundaries::default();
        assert_eq!(boundaries.pass(&[0, 0, 0, 0, 2]), 5);
        assert_eq!(boundaries.pass(b"a"), 6);
        assert_eq!(boundaries.pass(b"b"), 0);
        assert_eq!(boundaries.pass(&[1, 0, 0, 0, 0]), 0, "an empty message");
        assert_eq!(boundaries.pass(&[0, 0, 0, 0, 1, 7, 0, 0]), 2);
    }

    proptest! {
        /// However the bytes are cut, and whatever the messages' lengths.
        #[test]
        fn what_is_open_is_what_came_since_the_last_whole_message(
            lengths in proptest::collection::vec(0_u16..600, 1..20),
            cuts in proptest::collection::vec(1_usize..700, 1..60),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for length in lengths {
                bytes.push(u8::from(length % 2 == 0));
                bytes.extend(u32::from(length).to_be_bytes());
                bytes.resize(bytes.len() + usize::from(length), 0xFF);
                ends.push(bytes.len());
            }
            let mut boundaries = Boundaries::default();
            let mut at = 0;
            for cut in cuts {
                let to = (at + cut).min(bytes.len());
                let open = boundaries.pass(&bytes[at..to]);
                at = to;
                let whole = ends.iter().rev().find(|end| **end <= at).copied();
                prop_assert_eq!(Some(at - open), whole);
            }
        }
    }
}
