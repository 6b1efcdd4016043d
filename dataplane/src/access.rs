//! The first seam of a request's way: who may ask, and how much. Decided on the request as it came,
//! before anything of the model is touched.

use serin_core::fault::Fault;

use crate::envelope::Envelope;

/// Decides whether a request is let in.
pub trait Access: Send + Sync + 'static {
    /// Admits a request.
    ///
    /// # Errors
    /// What its caller is told.
    fn admit(&self, request: &Envelope<'_>) -> Result<(), Fault>;
}

/// Admits whoever reaches the port.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAccess;

impl Access for OpenAccess {
    fn admit(&self, _: &Envelope<'_>) -> Result<(), Fault> {
        Ok(())
    }
}
