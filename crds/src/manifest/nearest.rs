//! The name a user most likely meant.

/// The candidate nearest to `name`, where one is near enough to be worth suggesting: equal but for
/// case, the same with an `s` more or less, or at most a third of the characters away.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = bounded(name);
    candidates
        .into_iter()
        .map(|candidate| {
            let edits = strsim::osa_distance(&lower, &bounded(candidate));
            (edits, candidate)
        })
        .filter(|(distance, _)| *distance <= (name.chars().count() / 3).clamp(1, 4))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Lower case, and not so long that comparing takes noticeable time.
fn bounded(text: &str) -> String {
    const LONGEST: usize = 128;
    text.chars()
        .take(LONGEST)
        .collect::<String>()
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_field_and_a_stranger_finds_none() {
        let fields = ["replicas", "resources", "autoscaling", "model"];
        assert_eq!(nearest("replica", fields), Some("replicas"));
        assert_eq!(nearest("Model", fields), Some("model"));
        assert_eq!(nearest("auto_scaling", fields), Some("autoscaling"));
        assert_eq!(nearest("reosurces", fields), Some("resources"));
        assert_eq!(nearest("predictor", fields), None);
    }
}
