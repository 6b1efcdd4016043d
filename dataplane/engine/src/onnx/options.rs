//! How a session of ONNX Runtime is made.

use ort::ep;
use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};

use super::runtime::Runtime;

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// A CUDA device, or loading fails.
    Cuda,
}

/// How a session is made. Fixed per revision, so that results do not depend on load: the number
/// of threads and the optimisation level change the last digits.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Where it runs.
    pub device: Device,
    /// Threads within one operator; at least 1.
    pub threads: usize,
}

/// A session's settings, the same for every session of a model.
pub(super) fn builder(runtime: &Runtime, options: SessionOptions) -> ort::Result<SessionBuilder> {
    let mut builder = Session::builder(runtime.environment())?
        // The default may pick an NPU where there is one.
        .with_auto_device(AutoDevicePolicy::PreferCPU)?
        .with_intra_threads(options.threads.max(1))?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        // Shared nodes must not be heated by waiting threads.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // Batches vary in size; patterns would be planned for each size anew.
        .with_memory_pattern(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        // By its content, whatever its name: files of the runtime's own format are not checked.
        .with_config_entry("session.load_model_format", "ONNX")?;
    if runtime.memory().is_some() {
        builder = builder.with_env_allocators()?;
    }
    if options.device == Device::Cuda {
        // Without this a missing driver is only logged and the model runs on the processor.
        let cuda = ep::CUDA::default()
            .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
            .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
            .build()
            .error_on_failure();
        builder = builder.with_execution_providers([cuda])?;
    }
    Ok(builder)
}
