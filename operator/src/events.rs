//! Events: one per transition, shown by `kubectl describe`.

use kube::runtime::events::{Event, EventType};
use serde_json::Value;
use serin_crds::InferenceServiceStatus;
use serin_crds::revision::sha256_of;
use serin_crds::status::ConditionType;

/// The events of a transition from one status to the next.
pub fn between(before: &InferenceServiceStatus, after: &InferenceServiceStatus) -> Vec<Event> {
    let mut events = Vec::new();
    if let (Some(old), Some(new)) = (&before.stable_revision, &after.stable_revision)
        && old != new
    {
        let note = format!("revision {new} answers callers now, in place of {old}");
        events.push(event(EventType::Normal, "Promoted", note));
    }
    let (old, new) = (stance(before), stance(after));
    if let Some(new) =
        new.filter(|new| Some((new.status, new.reason)) != old.map(|old| (old.status, old.reason)))
    {
        let type_ = if new.stalled {
            EventType::Warning
        } else {
            EventType::Normal
        };
        events.push(event(type_, new.reason, new.message.to_owned()));
    }
    events
}

/// What the `Ready` condition says, and whether somebody must help.
#[derive(Clone, Copy)]
struct Stance<'a> {
    status: &'a str,
    reason: &'a str,
    message: &'a str,
    stalled: bool,
}

fn stance(status: &InferenceServiceStatus) -> Option<Stance<'_>> {
    let find = |type_: ConditionType| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_.as_str())
    };
    let ready = find(ConditionType::Ready)?;
    Some(Stance {
        status: &ready.status,
        reason: &ready.reason,
        message: &ready.message,
        stalled: find(ConditionType::Stalled).is_some_and(|condition| condition.status == "True"),
    })
}

fn event(type_: EventType, reason: &str, note: String) -> Event {
    Event {
        type_,
        reason: reason.to_owned(),
        action: action(&note),
        note: Some(note),
        secondary: None,
    }
}

/// The recorder counts events of one type, reason and action as repetitions of the first for six
/// minutes, and shows the first one's note, whatever the later ones say. So the action, which
/// `kubectl` does not show, differs where the note does.
fn action(note: &str) -> String {
    let digest = sha256_of(&Value::from(note));
    format!("Reconcile-{}", &digest[..8])
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use k8s_openapi::jiff::Timestamp;
    use serin_crds::status::Reason;

    use super::*;
    use crate::observe::Issue;
    use crate::observe::invalid;
    use crate::observe::status::unknown;
    use crate::observed::Observed;

    #[test]
    fn one_event_per_transition_and_none_for_a_changed_message() {
        let now = Timestamp::UNIX_EPOCH;
        let fresh = unknown(1, now);
        let issue = |message: &str| Issue {
            reason: Reason::InvalidSpec,
            message: message.into(),
            stalled: true,
        };
        let (observed, meta) = (Observed::default(), ObjectMeta::default());
        let broken = invalid::status(&fresh, &observed, &meta, &issue("a"), now);
        let events = between(&fresh, &broken);
        assert_eq!(events.len(), 1);
        assert_eq!(
            (events[0].reason.as_str(), events[0].type_),
            ("InvalidSpec", EventType::Warning)
        );
        let reworded = invalid::status(&broken, &observed, &meta, &issue("b"), now);
        assert!(between(&broken, &reworded).is_empty());
    }

    #[test]
    fn a_promotion_is_an_event() {
        let at = |revision: &str| InferenceServiceStatus {
            stable_revision: Some(revision.into()),
            ..InferenceServiceStatus::default()
        };
        assert_eq!(between(&at("a"), &at("b"))[0].reason, "Promoted");
        assert!(between(&at("a"), &at("a")).is_empty());
    }

    #[test]
    fn only_the_same_words_count_as_the_same_event() {
        let at = |revision: &str| InferenceServiceStatus {
            stable_revision: Some(revision.into()),
            ..InferenceServiceStatus::default()
        };
        let action = |from, to| between(&at(from), &at(to))[0].action.clone();
        assert_eq!(action("a", "b"), action("a", "b"));
        assert_ne!(action("a", "b"), action("b", "a"));
        assert_ne!(action("a", "b"), action("c", "b"));
    }
}
