//! Statistics of a model, as Triton's statistics extension defines them.

/// A count and a total duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The count.
    pub count: u64,
    /// The total, in nanoseconds.
    pub ns: u64,
}

/// The statistics of one model since the process started; a reload does not reset them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When the model last ran, in milliseconds since 1970; 0 if it never did.
    pub last_inference_ms: u64,
    /// Rows of answered requests.
    pub inference_count: u64,
    /// Runs of the model that succeeded.
    pub execution_count: u64,
    /// Answered requests, from their being read to their response.
    pub success: Tally,
    /// Requests that were read and not answered: refused, failed or cancelled.
    pub fail: Tally,
    /// Waiting for the engine.
    pub queue: Tally,
    /// Merging the rows of several requests. The time of a shared run is counted for each of its
    /// requests, here and in the next two.
    pub compute_input: Tally,
    /// Running the model.
    pub compute_infer: Tally,
    /// Splitting the rows of the requests.
    pub compute_output: Tally,
    /// Runs by their number of rows, ascending; sizes that never occurred are left out.
    pub batches: Vec<BatchStatistics>,
}

/// The runs of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchStatistics {
    /// Rows of each run. Above 256 sizes are counted together, under the next power of two.
    pub batch_size: u64,
    /// Merging the rows.
    pub compute_input: Tally,
    /// Running the model.
    pub compute_infer: Tally,
    /// Splitting the rows.
    pub compute_output: Tally,
}

/// The statistics of one version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStatistics {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Its statistics.
    pub statistics: Statistics,
}
