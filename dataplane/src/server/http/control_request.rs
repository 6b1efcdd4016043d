//! A request that has a body and is no inference.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use http::request::Parts;
use http::{Response, StatusCode};
use serde::Serialize;
use serin_core::fault::Fault;

use super::body;
use super::counted::{document_on, refuse_counted};
use crate::context::RequestContext;
use crate::server::state::ServerState;
use crate::server::unary::Received;

pub(super) struct ControlRequest {
    pub(super) parts: Parts,
    context: Arc<RequestContext>,
}

impl ControlRequest {
    /// The request, and its body to be read.
    pub(super) fn of(request: Request) -> (Self, Body) {
        let (parts, body) = request.into_parts();
        let context = RequestContext::of(&parts.extensions);
        (Self { parts, context }, body)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// As [`body::read`].
    pub(super) async fn read<S>(
        &self,
        state: &ServerState<S>,
        body: Body,
    ) -> Result<Received, Fault> {
        let held = self.context.hold(&state.resources.memory);
        body::read(body, &self.parts.headers, &state.resources, held).await
    }

    /// The answer, counted under its route.
    pub(super) fn answer<S>(
        &self,
        state: &ServerState<S>,
        route: &'static str,
        outcome: &Result<impl Serialize, Fault>,
    ) -> Response<Body> {
        match outcome {
            Ok(document) => document_on(state, route, StatusCode::OK, document),
            Err(fault) => refuse_counted(state, route, fault, &self.context),
        }
    }
}
