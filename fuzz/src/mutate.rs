//! Mutations from a seed: the same seed gives the same inputs on every machine.

use fastrand::Rng;

/// A number below `bound`, and 0 if that is 0.
pub fn below(random: &mut Rng, bound: usize) -> usize {
    match bound {
        0 => 0,
        bound => random.usize(..bound),
    }
}

/// Values at the edges of integer types, where readers go wrong.
const EDGES: [u8; 8] = [0x00, 0x01, 0x7f, 0x80, 0xff, b'0', b'"', 0x20];

/// Changes `input` in one to four places; `other` is a second input to take pieces from.
pub fn mutate(
    input: &mut Vec<u8>,
    other: &[u8],
    dictionary: &[&str],
    longest: usize,
    random: &mut Rng,
) {
    for _ in 0..=below(random, 4) {
        let at = below(random, input.len() + 1);
        match below(random, 9) {
            0 => replace(
                input,
                at,
                |byte, random| byte ^ (1 << below(random, 8)),
                random,
            ),
            1 => replace(input, at, |_, random| random.u8(..), random),
            2 => replace(
                input,
                at,
                |_, random| EDGES[below(random, EDGES.len())],
                random,
            ),
            3 => {
                let byte = random.u8(..);
                input.insert(at, byte);
            }
            4 => {
                let end = (at + 1 + below(random, 8)).min(input.len());
                input.drain(at.min(end)..end);
            }
            5 if !dictionary.is_empty() => {
                let word = dictionary[below(random, dictionary.len())];
                input.splice(at..at, word.bytes());
            }
            6 => {
                let begin = below(random, input.len() + 1);
                let end = (begin + 1 + below(random, 32)).min(input.len());
                let piece = input[begin.min(end)..end].to_vec();
                input.splice(at..at, piece);
            }
            7 => {
                let begin = below(random, other.len() + 1);
                let end = (begin + 1 + below(random, 64)).min(other.len());
                let piece = other[begin.min(end)..end].to_vec();
                input.splice(at..at, piece);
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(longest);
}

fn replace(input: &mut [u8], at: usize, with: impl Fn(u8, &mut Rng) -> u8, random: &mut Rng) {
    if let Some(byte) = input.get_mut(at) {
        *byte = with(*byte, random);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(seed: u64) -> Vec<Vec<u8>> {
        let mut random = Rng::with_seed(seed);
        (0..100)
            .map(|_| {
                let mut input = b"{\"a\": 1}".to_vec();
                mutate(&mut input, b"[2]", &["null"], 64, &mut random);
                input
            })
            .collect()
    }

    #[test]
    fn a_seed_gives_the_same_inputs_each_time_and_another_seed_others() {
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
    }

    #[test]
    fn nothing_grows_beyond_the_bound() {
        let mut random = Rng::with_seed(1);
        let mut input = vec![b'x'; 10];
        for _ in 0..5000 {
            mutate(&mut input, &[b'y'; 100], &["zzzzzzzz"], 20, &mut random);
            assert!(input.len() <= 20);
        }
    }
}
