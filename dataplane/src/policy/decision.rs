//! What follows from what a source says: a function of it and of the policy in force.

use super::changes::changes;
use super::{Document, InForce};

/// What a source of policies says when it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It has not changed since it was last read.
    Unchanged,
    /// A document.
    Document(Document),
    /// A document that cannot be used, or none where there was one.
    Unusable(Rejection),
}

/// A document that is not in force, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What tells its content from others: a hash, or empty where there is none.
    pub content: String,
    /// Why it cannot be used.
    pub reason: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// The document comes into force.
    Replace {
        /// The document.
        document: Document,
        /// The settings that differ, each with its old and new value.
        changes: Vec<String>,
    },
    /// The source has the document that is in force, after one that could not be used.
    Recover,
    /// The policy in force stays, as the later one cannot be used.
    Reject(Rejection),
}

/// Decides what follows from `reading`. Each content that cannot be used is rejected once.
pub fn decide(in_force: &InForce, reading: Reading) -> Step {
    match reading {
        Reading::Unchanged => Step::Keep,
        Reading::Document(document) if document.hash == in_force.hash => match in_force.error {
            Some(_) => Step::Recover,
            None => Step::Keep,
        },
        Reading::Document(document) => Step::Replace {
            changes: changes(&in_force.policy, &document.policy),
            document,
        },
        Reading::Unusable(rejection) => match &in_force.error {
            Some(known) if known.content == rejection.content => Step::Keep,
            _ => Step::Reject(rejection),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyStore;
    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(text.as_bytes()).unwrap()
    }

    fn rejection(content: &str) -> Rejection {
        Rejection {
            content: content.to_owned(),
            reason: "made up".to_owned(),
        }
    }

    fn in_force(error: Option<Rejection>) -> InForce {
        let store = PolicyStore::from(document("{}"));
        store.keep(error);
        InForce::clone(&store.current())
    }

    #[test]
    fn another_document_comes_into_force_whether_or_not_a_setting_differs() {
        let other = document(r#"{"api":{"repositoryControl":true}}"#);
        let step = decide(&in_force(None), Reading::Document(other.clone()));
        let changes = vec!["api.repositoryControl false -> true".to_owned()];
        assert_eq!(
            step,
            Step::Replace {
                document: other,
                changes
            }
        );
        let spaced = document("{ }");
        let step = decide(&in_force(None), Reading::Document(spaced.clone()));
        let changes = Vec::new();
        assert_eq!(
            step,
            Step::Replace {
                document: spaced,
                changes
            }
        );
    }

    #[test]
    fn the_document_in_force_changes_nothing_but_ends_an_error() {
        let same = Reading::Document(document("{}"));
        assert_eq!(decide(&in_force(None), same.clone()), Step::Keep);
        assert_eq!(decide(&in_force(Some(rejection("a"))), same), Step::Recover);
        let unchanged = decide(&in_force(Some(rejection("a"))), Reading::Unchanged);
        assert_eq!(unchanged, Step::Keep);
    }

    #[test]
    fn each_content_that_cannot_be_used_is_rejected_once() {
        let unusable = |content| Reading::Unusable(rejection(content));
        assert_eq!(
            decide(&in_force(None), unusable("a")),
            Step::Reject(rejection("a"))
        );
        let known = in_force(Some(rejection("a")));
        assert_eq!(decide(&known, unusable("a")), Step::Keep);
        assert_eq!(decide(&known, unusable("b")), Step::Reject(rejection("b")));
    }
}
