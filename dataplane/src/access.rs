//! The first seam: who is admitted, and how much. It decides on the undecoded request,
//! before anything of the model is touched.

use serin_core::fault::Fault;

use crate::envelope::Envelope;

/// Decides whether a request is admitted.
pub trait Access: Send + Sync + 'static {
    /// Admits a request.
    ///
    /// # Errors
    /// The refusal.
    fn admit(&self, request: &Envelope<'_>) -> Result<(), Fault>;
}

/// Admits every request that reaches the port.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAccess;

impl Access for OpenAccess {
    fn admit(&self, _: &Envelope<'_>) -> Result<(), Fault> {
        Ok(())
    }
}
