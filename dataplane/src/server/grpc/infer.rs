//! One inference, from message to message, alone or on a stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;

use crate::pipeline::Serve;
use crate::runtime::cpu_pool::CpuPool;
use crate::runtime::memory_budget::{MemoryBudget, Reservation};
use crate::telemetry::metrics::Phases;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Call, CallMeta};
use serin_wire::oip_grpc::prescan::{Prescan, prescan};
use serin_wire::oip_grpc::proto::ModelInferResponse;
use serin_wire::oip_grpc::request::{self, Decoded};
use serin_wire::oip_grpc::response;

/// A message with the memory of its bytes; decoding reserves more.
pub(super) struct Reserved {
    bytes: Bytes,
    held: Reservation,
}

impl Reserved {
    /// Bytes of the message.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

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
    pub(super) bodies: Arc<MemoryBudget>,
    /// Where large ones are read and written.
    pub(super) heavy: CpuPool,
}

impl<S> Clone for Infer<S> {
    fn clone(&self) -> Self {
        Self {
            serve: Arc::clone(&self.serve),
            limits: Arc::clone(&self.limits),
            bodies: Arc::clone(&self.bodies),
            heavy: self.heavy.clone(),
        }
    }
}

impl<S: Serve> Infer<S> {
    /// Prescans a message and reserves its bytes. What it names is returned in any case, as far as it
    /// could be read.
    pub(super) fn take(&self, bytes: Bytes) -> (Prescan, Result<Reserved, Fault>) {
        match prescan(&bytes, &self.limits) {
            Err(fault) => (Prescan::default(), Err(fault)),
            Ok(prescan) => {
                let mut held = self.bodies.hold();
                let taken = held.grow(bytes.len()).map(|()| Reserved { bytes, held });
                (prescan, taken)
            }
        }
    }

    pub(super) async fn run(
        &self,
        taken: Reserved,
        asked: Asked<'_>,
        phases: &mut Phases,
    ) -> Result<ModelInferResponse, Fault> {
        let begun = Instant::now();
        let (decoded, _held) = self.decode(taken).await?;
        let Decoded {
            model,
            id,
            inputs,
            outputs,
            parameters,
            typed_answer,
            memory: _,
        } = decoded;
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
        let size = reply.byte_size();
        let most = self.limits.body_bytes;
        let encode = move || {
            let response = response::encode(reply, id, typed_answer);
            sendable(&response, size, most).map(|()| response)
        };
        let response = self.heavy.run_sized(size, encode).await?;
        phases.encode = begun.elapsed();
        Ok(response)
    }

    /// The request, and the memory that it takes.
    async fn decode(&self, message: Reserved) -> Result<(Decoded, Reservation), Fault> {
        let limits = Arc::clone(&self.limits);
        let Reserved { bytes, mut held } = message;
        let size = bytes.len();
        let decode = move || {
            let decoded = request::decode(&bytes, &limits, &mut |total| held.grow(total))?;
            Ok((decoded, held))
        };
        self.heavy.run_sized(size, decode).await
    }
}

/// Whether a response with `size` bytes of data fits a message: the transport would lose it.
///
/// # Errors
/// `TooLarge`.
fn sendable(response: &ModelInferResponse, size: usize, most: usize) -> Result<(), Fault> {
    // No list takes more than ten times its data: a varint of a byte that is negative.
    if size.saturating_mul(10) < most {
        return Ok(());
    }
    match response.encoded_len() {
        bytes if bytes > most => Err(Fault::new(
            FaultKind::TooLarge,
            "answer_too_large",
            format!(
                "the answer has {bytes} bytes, and messages may have {most}: ask for fewer rows or outputs at once, or over REST"
            ),
        )),
        _ => Ok(()),
    }
}

/// Until when a caller waits that set this budget for its call.
pub(super) fn until(received: Instant, budget: Option<Duration>) -> Option<Instant> {
    budget.and_then(|budget| received.checked_add(budget))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_no_message_can_hold_is_told_as_such() {
        let response = ModelInferResponse {
            raw_output_contents: vec![Bytes::from(vec![0; 1000])],
            ..Default::default()
        };
        assert!(sendable(&response, 1000, 1003).is_ok());
        let fault = sendable(&response, 1000, 1002).unwrap_err();
        assert_eq!(fault.code, "answer_too_large");
        assert!(fault.message.contains("1003 bytes"), "{fault}");
    }
}
