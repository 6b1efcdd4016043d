//! The second seam of a request's way: which revision answers. Decided on the undecoded request, as
//! each revision reads a body by its own model.

use serin_core::fault::Fault;
use serin_core::types::ModelRef;

use crate::envelope::Envelope;

/// Where a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// By this process's model.
    Local(ModelRef),
}

/// Decides where a request is answered.
pub trait Router: Send + Sync + 'static {
    /// Chooses the route of an admitted request.
    ///
    /// # Errors
    /// What its caller is told where it can be answered nowhere.
    fn choose(&self, request: &Envelope<'_>) -> Result<Route, Fault>;
}

/// Answers every request here, by the model that it names.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalRouter;

impl Router for LocalRouter {
    fn choose(&self, request: &Envelope<'_>) -> Result<Route, Fault> {
        Ok(Route::Local(request.model.clone()))
    }
}
