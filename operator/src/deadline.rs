//! A deadline for every call to the API server: the client has none of its own, and one lost answer
//! would hold a service's pass for ever.

use std::future::Future;
use std::time::Duration;

use crate::error::Error;

/// Longest wait for one answer. The sum with [`crate::leader::FENCE`] stays below the lease's
/// duration: a write that a former leader has begun ends before its successor acts.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// A call, as error messages name it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `get`, `apply`, `scale`, `delete`, `report`.
    pub verb: &'static str,
    /// Kind of the object.
    pub kind: &'static str,
    /// Name of the object.
    pub name: &'a str,
}

/// Waits for the answer to `call`.
///
/// # Errors
/// [`Error::Api`], [`Error::Unreadable`] and [`Error::NoAnswer`].
pub async fn with_deadline<T>(
    call: Call<'_>,
    answer: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    let Call { verb, kind, name } = call;
    match tokio::time::timeout(DEADLINE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::SerdeError(source))) => Err(Error::Unreadable {
            kind,
            name: name.to_owned(),
            source,
        }),
        Ok(Err(source)) => Err(Error::Api {
            verb,
            kind,
            name: name.to_owned(),
            source: Box::new(source),
        }),
        Err(_) => Err(Error::NoAnswer {
            verb,
            kind,
            name: name.to_owned(),
            after: DEADLINE,
        }),
    }
}
