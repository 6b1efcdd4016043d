//! The document of Triton's statistics extension.

use serde::Serialize;

use serin_core::types::{BatchStatistics, ModelStatistics, Tally};

/// `GET /v2/models/stats` and `/v2/models/{name}[/versions/{version}]/stats`.
#[derive(Serialize)]
pub struct StatisticsDocument {
    model_stats: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    version: String,
    last_inference: u64,
    inference_count: u64,
    execution_count: u64,
    inference_stats: Inference,
    /// By the index of a response in its stream: no model gives several responses.
    response_stats: Empty,
    batch_stats: Vec<Batch>,
    /// The runtime does not report a model's memory.
    memory_usage: [Empty; 0],
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Inference {
    success: Leaf,
    fail: Leaf,
    queue: Leaf,
    compute_input: Leaf,
    compute_infer: Leaf,
    compute_output: Leaf,
    cache_hit: Leaf,
    cache_miss: Leaf,
}

#[derive(Serialize)]
struct Batch {
    batch_size: u64,
    compute_input: Leaf,
    compute_infer: Leaf,
    compute_output: Leaf,
}

#[derive(Serialize)]
struct Leaf {
    count: u64,
    ns: u64,
}

impl From<Tally> for Leaf {
    fn from(Tally { count, ns }: Tally) -> Self {
        Self { count, ns }
    }
}

impl StatisticsDocument {
    /// The document of these counts.
    pub fn new(models: Vec<ModelStatistics>) -> Self {
        Self {
            model_stats: models.into_iter().map(Entry::new).collect(),
        }
    }
}

impl Entry {
    fn new(model: ModelStatistics) -> Self {
        let counted = model.statistics;
        let no_cache = || Tally::default().into();
        Self {
            name: model.name,
            version: model.version,
            last_inference: counted.last_inference_ms,
            inference_count: counted.inference_count,
            execution_count: counted.execution_count,
            inference_stats: Inference {
                success: counted.success.into(),
                fail: counted.fail.into(),
                queue: counted.queue.into(),
                compute_input: counted.compute_input.into(),
                compute_infer: counted.compute_infer.into(),
                compute_output: counted.compute_output.into(),
                cache_hit: no_cache(),
                cache_miss: no_cache(),
            },
            response_stats: Empty {},
            batch_stats: counted.batches.into_iter().map(Batch::new).collect(),
            memory_usage: [],
        }
    }
}

impl Batch {
    fn new(runs: BatchStatistics) -> Self {
        Self {
            batch_size: runs.batch_size,
            compute_input: runs.compute_input.into(),
            compute_infer: runs.compute_infer.into(),
            compute_output: runs.compute_output.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_core::types::Statistics;

    #[test]
    fn the_document_has_every_member_of_tritons() {
        let tally = |count, ns| Tally { count, ns };
        let model = ModelStatistics {
            name: "m".to_owned(),
            version: "1".to_owned(),
            statistics: Statistics {
                last_inference_ms: 9,
                inference_count: 8,
                execution_count: 3,
                success: tally(4, 40),
                batches: vec![BatchStatistics {
                    batch_size: 2,
                    compute_infer: tally(3, 30),
                    ..BatchStatistics::default()
                }],
                ..Statistics::default()
            },
        };
        let document = serde_json::to_value(StatisticsDocument::new(vec![model])).unwrap();
        let nothing = serde_json::json!({"count": 0, "ns": 0});
        let expected = serde_json::json!({"model_stats": [{
            "name": "m", "version": "1", "last_inference": 9, "inference_count": 8, "execution_count": 3,
            "inference_stats": {
                "success": {"count": 4, "ns": 40}, "fail": nothing, "queue": nothing,
                "compute_input": nothing, "compute_infer": nothing, "compute_output": nothing,
                "cache_hit": nothing, "cache_miss": nothing,
            },
            "response_stats": {},
            "batch_stats": [{
                "batch_size": 2, "compute_input": nothing, "compute_infer": {"count": 3, "ns": 30},
                "compute_output": nothing,
            }],
            "memory_usage": [],
        }]});
        assert_eq!(document, expected);
    }
}
