//! The second seam: which revision answers. It decides on the undecoded request, because
//! each revision decodes a body for its own model.

use std::borrow::Cow;

use serin_core::fault::Fault;
use serin_core::types::ModelRef;

use crate::envelope::Envelope;

/// The route of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// This process answers, with this model.
    Local(Cow<'a, ModelRef>),
}

/// Chooses routes.
pub trait Router: Send + Sync + 'static {
    /// Chooses the route of an admitted request.
    ///
    /// # Errors
    /// The refusal where no route exists.
    fn choose<'a>(&self, request: &Envelope<'a>) -> Result<Route<'a>, Fault>;
}

/// Routes every request to this process and the model that it names.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalRouter;

impl Router for LocalRouter {
    fn choose<'a>(&self, request: &Envelope<'a>) -> Result<Route<'a>, Fault> {
        Ok(Route::Local(Cow::Borrowed(request.model)))
    }
}
