//! Errors that the status reports: an error that is not reported would leave outdated conditions
//! behind. Pure.

use serin_crds::status::Reason;

use crate::error::Error;
use crate::observe::Issue;
use crate::observe::text::quote;

/// Consecutive conflicts that are attributed to stale watches. More of them have another cause, such
/// as a quota or an admission policy.
const USUAL_CONFLICTS: u32 = 3;

/// An error that the status reports.
#[derive(Debug)]
pub struct Blocked {
    /// The issue to report.
    pub issue: Issue,
    /// The error, for the retry.
    pub error: Error,
}

/// The reported error of a pass, after `failures` consecutive failed passes.
///
/// # Errors
/// An error that is not reported: the next pass resolves it, or nothing may be written.
pub fn blocked(outcome: Result<(), Error>, failures: u32) -> Result<Option<Blocked>, Error> {
    let Err(error) = outcome else {
        return Ok(None);
    };
    match issue(&error, failures) {
        Some(issue) => Ok(Some(Blocked { issue, error })),
        None => Err(error),
    }
}

fn issue(error: &Error, failures: u32) -> Option<Issue> {
    let told = |reason, message, stalled| {
        Some(Issue {
            reason,
            message,
            stalled,
        })
    };
    match error {
        Error::NotLeader => None,
        error if error.is_conflict() && failures < USUAL_CONFLICTS => None,
        Error::NameConflict(message) => told(Reason::NameConflict, message.clone(), true),
        error if error.is_refusal() => told(Reason::Rejected, refusal(error), true),
        Error::PendingDeletion { kind, name } => {
            let message = format!(
                "{error}, and nothing is written before it is gone. If that lasts, look for what \
                 holds it, such as finalizers and pods that do not end: kubectl get {} {name} -o yaml",
                kind.as_str()
            );
            told(Reason::StillDeleting, message, false)
        }
        error => {
            let message = format!(
                "{}. It is tried again; if it lasts, mend what is named here",
                quote(&error.to_string())
            );
            told(Reason::RequestFailed, message, false)
        }
    }
}

fn refusal(error: &Error) -> String {
    let what = match error {
        Error::Api {
            verb: "delete",
            kind,
            name,
            ..
        } => format!("to delete {kind} {name}, which is not needed any more"),
        Error::Api { kind, name, .. } => format!("{kind} {name}"),
        _ => "an object of this service".to_owned(),
    };
    let (code, said) = error
        .status()
        .map_or((0, ""), |status| (status.code, &status.message));
    let help = match (code, error) {
        (403, _) => {
            "Grant the operator what it lacks (the chart's rules), or relax the policy that is \
             named here"
        }
        (_, Error::Api { verb: "delete", .. }) => "Delete it by hand",
        _ => "Correct the field of the spec that this value comes from",
    };
    format!("the API server refuses {what}: {}. {help}", quote(said))
}
