//! The second seam: which revision answers. It decides on the undecoded request, because
//! each revision decodes a body for its own model.

use serin_core::fault::Fault;
use serin_core::types::ModelRef;

use crate::envelope::Envelope;

/// The route of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// This process answers, with this model.
    Local(ModelRef),
}

/// Chooses routes.
pub trait Router: Send + Sync + 'static {
    /// Chooses the route of an admitted request.
    ///
    /// # Errors
    /// The refusal where no route exists.
    fn choose(&self, request: &Envelope<'_>) -> Result<Route, Fault>;
}

/// Routes every request to this process and the model that it names.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalRouter;

impl Router for LocalRouter {
    fn choose(&self, request: &Envelope<'_>) -> Result<Route, Fault> {
        Ok(Route::Local(request.model.clone()))
    }
}
