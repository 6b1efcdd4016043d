use super::*;
use crate::RowStructure;
use crate::fake::{Behaviour, FakeEngine};

fn limits() -> Limits {
    Limits {
        longest_run: Duration::from_secs(60),
        ..Limits::default()
    }
}

#[test]
fn rows_that_influence_each_other_are_not_merged() {
    let proof = prove(&mut FakeEngine::new(Behaviour::Mix), limits());
    assert_eq!(proof.batching.max_rows, 1);
    assert!(
        proof.batching.reason.contains("'y'"),
        "{}",
        proof.batching.reason
    );
}

/// Echoes, and says this of its structure; its floats cannot be seen.
struct Structured(FakeEngine, RowStructure);

impl Engine for Structured {
    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn run(
        &mut self,
        inputs: &[Tensor],
        outputs: &[usize],
        stop: &Stop,
    ) -> Result<Vec<Tensor>, RunError> {
        // A run costs more than its rows, so that merging is worth it.
        let work = (0..100_000u64).fold(0, |sum, next| std::hint::black_box(sum ^ next));
        assert_eq!(work, 0);
        self.0.run(inputs, outputs, stop)
    }

    fn row_structure(&self) -> RowStructure {
        self.1.clone()
    }
}

#[test]
fn structure_decides_before_answers_do() {
    let structure = RowStructure {
        coupled: Some("the operator X mixes rows".to_owned()),
        quantised: true,
    };
    let mut engine = Structured(FakeEngine::new(Behaviour::Echo), structure);
    let proof = prove(&mut engine, limits());
    assert_eq!(proof.batching, Batching::off("the operator X mixes rows"));
    assert!(proof.row_time.is_some());
}

#[test]
fn whole_numbers_of_quantised_models_are_not_trusted_alone() {
    let merged = |quantised| {
        let structure = RowStructure {
            coupled: None,
            quantised,
        };
        let mut engine = Structured(FakeEngine::new(Behaviour::Echo), structure);
        prove(&mut engine, limits()).batching
    };
    let (plain, quantised) = (merged(false), merged(true));
    assert!(plain.merges(), "{}", plain.reason);
    assert!(
        plain.reason.contains("compared as they are"),
        "{}",
        plain.reason
    );
    assert!(!quantised.merges());
    assert!(
        quantised.reason.contains("quantised numbers"),
        "{}",
        quantised.reason
    );
}

#[test]
fn a_slow_row_is_not_made_slower_by_company() {
    let limits = Limits {
        // Shorter than any row.
        longest_run: Duration::from_nanos(1),
        ..Limits::default()
    };
    let proof = prove(&mut FakeEngine::new(Behaviour::Echo), limits);
    assert_eq!(proof.batching.max_rows, 1);
    assert!(
        proof.batching.reason.contains("one row takes"),
        "{}",
        proof.batching.reason
    );
}

#[test]
fn rows_are_merged_where_that_takes_clearly_less_time() {
    let proof = |together| {
        let found = Comparison {
            deviation: 0.0,
            alone: Duration::from_millis(80),
            together: Duration::from_millis(together),
        };
        worthwhile(&found, 4).batching
    };
    assert_eq!(proof(20).max_rows, 4);
    assert_eq!(proof(72).max_rows, 4);
    assert_eq!(proof(73).max_rows, 1);
    assert!(proof(80).reason.contains("no faster"));
}

#[test]
fn a_model_that_never_ends_is_stopped() {
    let limits = Limits {
        budget: Duration::from_millis(50),
        ..Limits::default()
    };
    let proof = prove(
        &mut FakeEngine::new(Behaviour::Slow(Duration::from_secs(3600))),
        limits,
    );
    assert_eq!(proof.batching.max_rows, 1);
    assert!(
        proof.batching.reason.contains("too long"),
        "{}",
        proof.batching.reason
    );
    assert_eq!(proof.row_time, None);
}

#[test]
fn merging_can_be_switched_off() {
    let limits = Limits {
        max_rows: 1,
        ..limits()
    };
    let proof = prove(&mut FakeEngine::new(Behaviour::Echo), limits);
    assert!(
        proof.batching.reason.contains("switched off"),
        "{}",
        proof.batching.reason
    );
    assert!(proof.row_time.is_some());
}
