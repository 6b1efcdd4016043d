//! Which version of a model answers requests that name none.

/// How the default version of a model is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultVersionPolicy {
    /// The version that was added first, whether it answers or not.
    #[default]
    FirstConfigured,
    /// The version that was added last of those that answer; the last one where none does.
    LatestReady,
}

/// One version of a model, to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionState<'v> {
    /// Its name.
    pub version: &'v str,
    /// Whether it answers.
    pub ready: bool,
}

/// The place in `versions` of the default one; `None` where there are no versions. They are in the
/// order in which they were added.
pub fn default_version(
    versions: &[VersionState<'_>],
    policy: &DefaultVersionPolicy,
) -> Option<usize> {
    let last = versions.len().checked_sub(1)?;
    match policy {
        DefaultVersionPolicy::FirstConfigured => Some(0),
        DefaultVersionPolicy::LatestReady => {
            let ready = versions.iter().rposition(|version| version.ready);
            Some(ready.unwrap_or(last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(ready: &[bool], policy: DefaultVersionPolicy) -> Option<usize> {
        let states: Vec<_> = ready
            .iter()
            .map(|&ready| VersionState {
                version: "1",
                ready,
            })
            .collect();
        default_version(&states, &policy)
    }

    #[test]
    fn the_first_configured_version_stays_the_default_whatever_its_state() {
        let policy = DefaultVersionPolicy::FirstConfigured;
        assert_eq!(chosen(&[false, true], policy), Some(0));
        assert_eq!(chosen(&[true, true], policy), Some(0));
        assert_eq!(chosen(&[], policy), None);
    }

    #[test]
    fn the_latest_ready_version_is_the_last_that_answers_or_else_the_last() {
        let policy = DefaultVersionPolicy::LatestReady;
        assert_eq!(chosen(&[true, true, false], policy), Some(1));
        assert_eq!(chosen(&[false, false], policy), Some(1));
        assert_eq!(chosen(&[], policy), None);
    }
}
