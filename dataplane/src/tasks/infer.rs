//! Tensors in, tensors out.

use serin_core::fault::Fault;
use serin_core::types::{Call, RequestedOutput, Tensor};

use super::{Task, TaskRun};
use crate::pipeline::{Infer, Reply};

/// The tensors of a request.
pub struct Inference {
    /// The inputs; their names are not yet compared with the model's.
    pub inputs: Vec<Tensor>,
    /// The outputs to return, in this order; empty for all.
    pub outputs: Vec<RequestedOutput>,
}

impl Task for Inference {
    type Output = Reply;

    fn copies(&self) -> usize {
        self.inputs.iter().map(Tensor::held).sum()
    }

    async fn run<S: Infer>(self, on: TaskRun<'_, S>) -> Result<Reply, Fault> {
        let call = Call {
            meta: on.meta,
            inputs: self.inputs,
            outputs: self.outputs,
        };
        let reply = on.service.infer(on.model, call, on.when_busy).await?;
        if let Reply::Whole(outputs) = &reply {
            on.usage.timing = outputs.timing;
        }
        Ok(reply)
    }
}
