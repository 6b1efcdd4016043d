//! Which texts of a request run together: a run is padded to its longest text, and its memory grows
//! with the padded tokens. Pure.

/// Padded tokens of one run (16,384, as text-embeddings-inference has it): with 1,024 values a token
/// its hidden states are 64 MiB.
pub(super) const PADDED_TOKENS: usize = 16_384;

/// Texts of one run.
pub(super) const ROWS: usize = 256;

/// What texts of a run may differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// Shorter texts are padded: the model is told which tokens are real.
    Longest,
    /// Every text is padded to this many tokens.
    Fixed(usize),
    /// Nothing tells the model what is padding: only texts of one length run together.
    None,
}

/// The texts of each run, by their place; each place once. Texts of similar length run together.
pub(super) fn groups(lengths: &[usize], padding: Padding, rows: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|place| lengths[*place]);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for place in order {
        let width = match padding {
            Padding::Fixed(width) => width,
            Padding::Longest | Padding::None => lengths[place],
        };
        let joins = groups.last().is_some_and(|group| {
            let alike = padding != Padding::None || lengths[group[0]] == lengths[place];
            alike && group.len() < rows && (group.len() + 1) * width <= PADDED_TOKENS
        });
        match groups.last_mut() {
            Some(group) if joins => group.push(place),
            _ => groups.push(vec![place]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_request_is_one_run() {
        assert_eq!(
            groups(&[5, 2, 9], Padding::Longest, ROWS),
            [vec![1, 0, 2]],
            "shortest first"
        );
        assert!(groups(&[], Padding::Longest, ROWS).is_empty());
    }

    #[test]
    fn without_a_mask_only_texts_of_one_length_run_together() {
        assert_eq!(
            groups(&[3, 2, 3, 2], Padding::None, ROWS),
            [vec![1, 3], vec![0, 2]]
        );
    }

    #[test]
    fn every_text_runs_once_and_no_run_exceeds_its_bounds() {
        let lengths: Vec<usize> = (0..2048).map(|at| 1 + at * 7919 % 512).collect();
        for padding in [Padding::Longest, Padding::Fixed(512), Padding::None] {
            for rows in [1, ROWS] {
                let groups = groups(&lengths, padding, rows);
                let mut places: Vec<usize> = groups.concat();
                places.sort_unstable();
                assert_eq!(places, (0..2048).collect::<Vec<_>>());
                for group in groups {
                    let longest = group.iter().map(|place| lengths[*place]).max().unwrap();
                    assert!(group.len() <= rows && group.len() * longest <= PADDED_TOKENS);
                }
            }
        }
    }

    #[test]
    fn a_text_longer_than_a_run_runs_alone() {
        let lengths = [PADDED_TOKENS + 1, 4, PADDED_TOKENS + 1];
        let groups = groups(&lengths, Padding::Longest, ROWS);
        assert_eq!(groups, [vec![1], vec![0], vec![2]]);
    }
}
