//! What has been counted of a model, with Triton's meanings (its statistics extension).

/// How often, and for how long in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// Nanoseconds in all.
    pub ns: u64,
}

/// The counts of one model since the process started; loading it again does not reset them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When the model last ran, in milliseconds since 1970; 0 if it never did.
    pub last_inference_ms: u64,
    /// Rows of answered requests.
    pub inference_count: u64,
    /// Runs of the model that gave an answer.
    pub execution_count: u64,
    /// Answered requests, from when they were read to their answer.
    pub success: Tally,
    /// Requests for this model that were read and not answered: refused, failed, or given up.
    pub fail: Tally,
    /// Waiting for the engine.
    pub queue: Tally,
    /// Putting the rows of several requests together. The time of a shared run is counted for each
    /// of its requests, here and in the next two.
    pub compute_input: Tally,
    /// Running the model.
    pub compute_infer: Tally,
    /// Giving each request its own rows.
    pub compute_output: Tally,
    /// Runs by their number of rows, ascending; sizes that never occurred are left out.
    pub batches: Vec<BatchStatistics>,
}

/// The runs of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchStatistics {
    /// Rows of each run. Above 256 sizes are counted together, under the next power of two.
    pub batch_size: u64,
    /// Putting the rows together.
    pub compute_input: Tally,
    /// Running the model.
    pub compute_infer: Tally,
    /// Taking the rows apart.
    pub compute_output: Tally,
}

/// The counts of one version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStatistics {
    /// The model's name.
    pub name: String,
    /// The version counted.
    pub version: String,
    /// Its counts.
    pub statistics: Statistics,
}
