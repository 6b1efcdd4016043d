//! One inference, from message to message, alone or on a stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::proto::{ModelInferRequest, ModelInferResponse};
use super::request::{self, Decoded};
use super::{response, typed};
use crate::config::Limits;
use crate::fault::Fault;
use crate::pipeline::Serve;
use crate::protocol::body_budget::{Budget, Held};
use crate::telemetry::metrics::Phases;
use crate::types::{Call, CallMeta, ModelRef};

/// How a message is asked.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// For logs, and for answers to requests that have no id of their own.
    pub(super) request_id: &'a str,
    /// When its time begins.
    pub(super) received: Instant,
    /// Until when its caller waits, if it said so for the whole call.
    pub(super) until: Option<Instant>,
}

/// Answers messages; clones share what serves.
pub(super) struct Infer<S> {
    pub(super) serve: Arc<S>,
    pub(super) limits: Arc<Limits>,
    /// Memory for messages until they are answered.
    pub(super) bodies: Arc<Budget>,
}

impl<S> Clone for Infer<S> {
    fn clone(&self) -> Self {
        Self {
            serve: Arc::clone(&self.serve),
            limits: Arc::clone(&self.limits),
            bodies: Arc::clone(&self.bodies),
        }
    }
}

impl<S: Serve> Infer<S> {
    /// Takes a message of `encoded` bytes its share of the memory for bodies, until dropped.
    ///
    /// # Errors
    /// `Overloaded`.
    pub(super) fn hold(&self, message: &ModelInferRequest, encoded: usize) -> Result<Held, Fault> {
        let lists = message
            .inputs
            .iter()
            .filter_map(|input| input.contents.as_ref());
        let mut held = self.bodies.hold();
        held.grow(encoded.max(lists.map(typed::memory).sum()))?;
        Ok(held)
    }

    pub(super) async fn run(
        &self,
        message: ModelInferRequest,
        asked: Asked<'_>,
        phases: &mut Phases,
    ) -> Result<ModelInferResponse, Fault> {
        let begun = Instant::now();
        let Decoded {
            model,
            id,
            inputs,
            outputs,
            parameters,
            typed_answer,
        } = request::decode(message, &self.limits)?;
        let limit = self.limits.request_timeout;
        let budget = parameters.timeout.map_or(limit, |own| own.min(limit));
        let deadline = asked.received + budget;
        let id = if id.is_empty() {
            asked.request_id.to_owned()
        } else {
            id
        };
        let call = Call {
            meta: CallMeta {
                request_id: asked.request_id.to_owned(),
                id: id.clone(),
                received: asked.received,
                deadline: asked.until.map_or(deadline, |until| until.min(deadline)),
                priority: parameters.priority,
            },
            model,
            inputs,
            outputs,
        };
        phases.decode = begun.elapsed();
        let reply = self.serve.serve(call).await?;
        phases.timing = Some(reply.timing);
        let begun = Instant::now();
        let response = response::encode(reply, id, typed_answer);
        phases.encode = begun.elapsed();
        Ok(response)
    }
}

/// The model that a message names, for counts and logs; nothing is refused here.
pub(super) fn named(message: &ModelInferRequest) -> ModelRef {
    let version = &message.model_version;
    ModelRef {
        name: message.model_name.clone(),
        version: (!version.is_empty()).then(|| version.clone()),
    }
}

/// Until when a caller waits that set this budget for its call.
pub(super) fn until(received: Instant, budget: Option<Duration>) -> Option<Instant> {
    budget.and_then(|budget| received.checked_add(budget))
}
