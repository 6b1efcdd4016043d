//! The first seam: who is admitted, and how much. It decides on the undecoded request,
//! before anything of the model is touched.

use serin_core::fault::Fault;

use crate::envelope::Envelope;

/// How a request is admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// It goes before those of other callers that are not preferred. The parameter `priority` of a request
    /// cannot ask for that: it is anybody's.
    pub preferred: bool,
}

/// Decides whether a request is admitted.
pub trait Access: Send + Sync + 'static {
    /// Admits a request.
    ///
    /// # Errors
    /// The refusal.
    fn admit(&self, request: &Envelope<'_>) -> Result<Admission, Fault>;
}

/// Admits every request that reaches the port, and prefers none.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAccess;

impl Access for OpenAccess {
    fn admit(&self, _: &Envelope<'_>) -> Result<Admission, Fault> {
        Ok(Admission::default())
    }
}
