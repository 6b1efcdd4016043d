//! Statistics as messages.

use std::collections::HashMap;

use super::proto::{InferBatchStatistics, InferStatistics, ModelStatistics, StatisticDuration};
use serin_core::types::{BatchStatistics, Tally};

/// The message of one model's counts. Response statistics and memory usage are empty: no model gives
/// several responses, and the runtime does not report a model's memory.
pub fn of(model: serin_core::types::ModelStatistics) -> ModelStatistics {
    let counted = model.statistics;
    ModelStatistics {
        name: model.name,
        version: model.version,
        last_inference: counted.last_inference_ms,
        inference_count: counted.inference_count,
        execution_count: counted.execution_count,
        inference_stats: Some(InferStatistics {
            success: duration(counted.success),
            fail: duration(counted.fail),
            queue: duration(counted.queue),
            compute_input: duration(counted.compute_input),
            compute_infer: duration(counted.compute_infer),
            compute_output: duration(counted.compute_output),
            cache_hit: duration(Tally::default()),
            cache_miss: duration(Tally::default()),
        }),
        batch_stats: counted.batches.into_iter().map(batch).collect(),
        memory_usage: Vec::new(),
        response_stats: HashMap::new(),
    }
}

fn batch(runs: BatchStatistics) -> InferBatchStatistics {
    InferBatchStatistics {
        batch_size: runs.batch_size,
        compute_input: duration(runs.compute_input),
        compute_infer: duration(runs.compute_infer),
        compute_output: duration(runs.compute_output),
    }
}

fn duration(tally: Tally) -> Option<StatisticDuration> {
    Some(StatisticDuration {
        count: tally.count,
        ns: tally.ns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_core::types::Statistics;

    #[test]
    fn every_count_has_its_member() {
        let tally = |count| Tally {
            count,
            ns: count * 10,
        };
        let message = of(serin_core::types::ModelStatistics {
            name: "m".to_owned(),
            version: "2".to_owned(),
            statistics: Statistics {
                last_inference_ms: 1,
                inference_count: 2,
                execution_count: 3,
                success: tally(4),
                fail: tally(5),
                queue: tally(6),
                compute_input: tally(7),
                compute_infer: tally(8),
                compute_output: tally(9),
                batches: vec![BatchStatistics {
                    batch_size: 10,
                    compute_input: tally(11),
                    compute_infer: tally(12),
                    compute_output: tally(13),
                }],
            },
        });
        let expect = |count| {
            Some(StatisticDuration {
                count,
                ns: count * 10,
            })
        };
        assert_eq!(
            (
                message.last_inference,
                message.inference_count,
                message.execution_count
            ),
            (1, 2, 3)
        );
        let stats = message.inference_stats.unwrap();
        assert_eq!(
            [stats.success, stats.fail, stats.queue],
            [expect(4), expect(5), expect(6)]
        );
        assert_eq!(
            [
                stats.compute_input,
                stats.compute_infer,
                stats.compute_output
            ],
            [expect(7), expect(8), expect(9)]
        );
        assert_eq!([stats.cache_hit, stats.cache_miss], [expect(0), expect(0)]);
        let runs = &message.batch_stats[0];
        assert_eq!(runs.batch_size, 10);
        assert_eq!(
            [runs.compute_input, runs.compute_infer, runs.compute_output],
            [expect(11), expect(12), expect(13)]
        );
    }
}
