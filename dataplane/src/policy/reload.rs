//! Keeps the policy in force up to its source while the process serves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serin_crds::contract::policy::Policy;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::file::PolicyFile;
use super::source::PolicySource;
use super::{Document, PolicyError, PolicyStore, Reading, Rejection, Step, decide};

/// Time between two looks at the source: with the reading, a change is in force within 2 s.
const INTERVAL: Duration = Duration::from_secs(1);

/// A part of the process that a policy is handed to. (Most parts read the store instead.)
pub trait PolicyFollower: Send + Sync + 'static {
    /// Whether `policy` could be put in force.
    ///
    /// # Errors
    /// Why not, naming the field.
    fn accept(&self, policy: &Policy) -> Result<(), String>;

    /// `policy` is in force now.
    fn apply(&self, policy: &Policy);
}

/// The policy that a process starts with, and where later ones come from.
pub struct PolicyInput {
    /// In force from the start.
    pub initial: Document,
    /// Where later ones come from; `None`: nowhere.
    pub source: Option<Box<dyn PolicySource>>,
}

impl PolicyInput {
    /// A policy that stays.
    pub fn fixed(policy: Policy) -> Self {
        Self {
            initial: policy.into(),
            source: None,
        }
    }

    /// The policy in a file, which is reloaded when the file changes.
    ///
    /// # Errors
    /// The file cannot be read, or is no policy. A file that is not there is no error.
    pub fn file(path: &Path) -> Result<Self, PolicyError> {
        let (file, initial) = PolicyFile::open(path)?;
        Ok(Self {
            initial,
            source: Some(Box::new(file)),
        })
    }
}

/// Reads a source again and again, and puts in force what it says.
pub struct Reloader {
    store: Arc<PolicyStore>,
    source: Box<dyn PolicySource>,
    follower: Arc<dyn PolicyFollower>,
}

impl Reloader {
    /// Puts in force in `store` what `source` says and `follower` accepts.
    pub fn new(
        store: Arc<PolicyStore>,
        source: Box<dyn PolicySource>,
        follower: Arc<dyn PolicyFollower>,
    ) -> Self {
        Self {
            store,
            source,
            follower,
        }
    }

    /// Looks at the source once. It may block.
    pub fn step(&mut self) {
        let reading = accepted(self.source.read(), self.follower.as_ref());
        let step = decide(&self.store.current(), reading);
        match &step {
            Step::Keep => return,
            Step::Replace { document, .. } => {
                self.store.replace(document.clone());
                self.follower.apply(&document.policy);
            }
            Step::Recover => self.store.keep(None),
            Step::Reject(rejection) => self.store.keep(Some(rejection.clone())),
        }
        self.source.tell(&step);
    }

    /// Looks at the source once a second, until the handle is dropped. Must be called inside the
    /// runtime.
    pub fn spawn(mut self) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let stepped = spawn_blocking(move || {
                    self.step();
                    self
                });
                match stepped.await {
                    Ok(after) => self = after,
                    Err(error) if error.is_panic() => {
                        tracing::error!(
                            "reading the policy panicked, and it is not reloaded any more; please report it"
                        );
                        return;
                    }
                    // The runtime ends.
                    Err(_) => return,
                }
            }
        }))
    }
}

/// A document that the follower has no use for cannot be used as a whole.
fn accepted(reading: Reading, follower: &dyn PolicyFollower) -> Reading {
    match reading {
        Reading::Document(document) => match follower.accept(&document.policy) {
            Ok(()) => Reading::Document(document),
            Err(reason) => Reading::Unusable(Rejection {
                content: document.hash,
                reason,
            }),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Mutex;

    /// Takes every policy but those without compat metrics.
    #[derive(Default)]
    struct Follower(Mutex<Vec<Policy>>);

    impl PolicyFollower for Follower {
        fn accept(&self, policy: &Policy) -> Result<(), String> {
            match policy.telemetry.compat_metrics.is_empty() {
                true => Err("made up".to_owned()),
                false => Ok(()),
            }
        }

        fn apply(&self, policy: &Policy) {
            self.0.lock().unwrap().push(policy.clone());
        }
    }

    struct Fixture {
        folder: tempfile::TempDir,
        store: Arc<PolicyStore>,
        follower: Arc<Follower>,
        reloader: Reloader,
    }

    fn fixture(text: &str) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("policy.json"), text).unwrap();
        let input = PolicyInput::file(&folder.path().join("policy.json")).unwrap();
        let store = Arc::new(PolicyStore::from(input.initial));
        let follower = Arc::<Follower>::default();
        let source = input.source.unwrap();
        let reloader = Reloader::new(Arc::clone(&store), source, follower.clone());
        Fixture {
            folder,
            store,
            follower,
            reloader,
        }
    }

    impl Fixture {
        /// Replaces the file, and has the reloader look at it once.
        fn after(&mut self, text: &str) -> Arc<super::super::InForce> {
            let path = self.folder.path().join("policy.json");
            let beside = self.folder.path().join("policy.new");
            fs::write(&beside, text).unwrap();
            fs::rename(beside, path).unwrap();
            self.reloader.step();
            self.store.current()
        }
    }

    #[test]
    fn a_changed_file_is_in_force_after_one_look() {
        let mut fixture = fixture("{}");
        let text = r#"{"api":{"repositoryControl":true}}"#;
        let in_force = fixture.after(text);
        assert!(in_force.policy.api.repository_control);
        assert_eq!(
            in_force.hash,
            Document::parse(text.as_bytes()).unwrap().hash
        );
        assert_eq!(
            *fixture.follower.0.lock().unwrap(),
            std::slice::from_ref(&in_force.policy)
        );
        fixture.reloader.step();
        assert_eq!(fixture.follower.0.lock().unwrap().len(), 1);
        assert_eq!(fixture.store.report().hash, in_force.hash);
    }

    #[test]
    fn the_last_good_policy_stays_while_a_later_one_cannot_be_used() {
        let mut fixture = fixture(r#"{"api":{"repositoryControl":true}}"#);
        let started = fixture.store.current();
        for (errors, text) in [(1, "{"), (2, r#"{"telemetry":{"compatMetrics":[]}}"#)] {
            let in_force = fixture.after(text);
            assert!(in_force.policy.api.repository_control);
            assert_eq!(
                (&in_force.hash, in_force.since),
                (&started.hash, started.since)
            );
            assert!(fixture.store.report().error.is_some());
            // The same content again is no further error.
            fixture.after(text);
            assert_eq!(fixture.store.reload_errors(), errors);
        }
        assert!(fixture.follower.0.lock().unwrap().is_empty());
        let recovered = fixture.after(r#"{"api":{"repositoryControl":true}}"#);
        assert_eq!(recovered.since, started.since);
        assert_eq!(fixture.store.report().error, None);
    }

    #[test]
    fn a_file_that_disappears_keeps_the_last_good_policy() {
        let mut fixture = fixture(r#"{"api":{"repositoryControl":true}}"#);
        fs::remove_file(fixture.folder.path().join("policy.json")).unwrap();
        fixture.reloader.step();
        assert!(fixture.store.current().policy.api.repository_control);
        assert!(
            fixture
                .store
                .report()
                .error
                .unwrap()
                .ends_with("the file is gone")
        );
    }
}
