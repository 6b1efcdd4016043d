use super::*;
use crate::RunError;
use crate::Stop;
use crate::batch::warm_up;
use crate::{Engine, fake};
use bytes::Bytes;
use serin_core::types::Datatype;
use std::time::Duration;

fn spec(name: &str, datatype: Datatype, extents: &[i64]) -> TensorSpec {
    let dimension = |extent: &i64| match extent {
        -1 => Dimension::Variable(String::new()),
        fixed => Dimension::Fixed(*fixed),
    };
    TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: Some(extents.iter().map(dimension).collect()),
        optional: false,
    }
}

fn signature(inputs: Vec<TensorSpec>) -> Signature {
    Signature {
        inputs,
        outputs: Vec::new(),
        unserved_outputs: Vec::new(),
        producer: None,
    }
}

fn whole(name: &str, shape: &[i64], values: &[i64]) -> Tensor {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Tensor {
        name: name.to_owned(),
        datatype: Datatype::Int64,
        shape: shape.to_vec(),
        data: TensorData::Raw(Bytes::from(bytes)),
    }
}

fn axes(places: &[(&str, usize)]) -> ZeroAxes {
    let places = places.iter();
    places
        .map(|(name, axis)| ((*name).to_owned(), *axis))
        .collect()
}

#[test]
fn every_combination_of_few_variable_axes_is_an_edge() {
    let signature = signature(vec![spec("x", Datatype::Bool, &[-1, 2, -1])]);
    let expected = [
        axes(&[("x", 0)]),
        axes(&[("x", 2)]),
        axes(&[("x", 0), ("x", 2)]),
    ];
    assert_eq!(edges(&signature), expected.map(Edge::Zeros));
}

#[test]
fn many_axes_are_tried_alone_by_name_by_input_and_all() {
    let mut inputs: Vec<_> = ["a", "b", "c"]
        .map(|name| spec(name, Datatype::Bool, &[-1, -1]))
        .into();
    for input in &mut inputs {
        input.shape = Some(vec![
            Dimension::Variable("batch".to_owned()),
            Dimension::Variable(String::new()),
        ]);
    }
    let found = edges(&signature(inputs));
    for zeros in [
        axes(&[("b", 1)]),
        axes(&[("a", 0), ("b", 0), ("c", 0)]),
        axes(&[("c", 0), ("c", 1)]),
    ] {
        assert!(found.contains(&Edge::Zeros(zeros)), "{found:?}");
    }
    assert_eq!(found.len(), 6 + 3 + 1 + 1);
}

#[test]
fn a_signature_of_many_inputs_has_a_bounded_number_of_edges() {
    let inputs = (0..500).map(|at| spec(&format!("i{at}"), Datatype::Int64, &[-1, -1]));
    let found = edges(&signature(inputs.collect()));
    assert_eq!(found.len(), MOST_VALUES + MOST_ZEROS);
}

#[test]
fn the_made_up_requests_of_an_edge_are_refused_where_that_edge_was_fatal() {
    let signature = signature(vec![
        spec("a", Datatype::Int64, &[-1, 3]),
        spec("b", Datatype::Fp32, &[-1]),
        spec("s", Datatype::Bytes, &[2]),
    ]);
    let guess = crate::batch::sample::GUESSES[0];
    let all = edges(&signature);
    for (at, edge) in all.iter().enumerate() {
        let guard = InputGuard::new(&signature, all.len(), &[at]);
        let requests = edge.inputs(&signature, guess);
        assert!(!requests.is_empty(), "{}", edge.describe());
        for inputs in requests {
            let refused = guard
                .check_shapes(&inputs, &signature)
                .and_then(|()| guard.check_values(&inputs));
            let refused = refused.unwrap_err();
            assert!(refused.why.contains(&edge.describe()), "{refused:?}");
        }
    }
}

#[test]
fn a_pair_is_refused_only_where_both_values_are_there() {
    let signature = signature(vec![
        spec("a", Datatype::Int64, &[-1]),
        spec("b", Datatype::Int64, &[-1]),
    ]);
    let pair = Edge::Values(vec![
        ("a".to_owned(), Extreme::Least),
        ("b".to_owned(), Extreme::MinusOne),
    ]);
    let all = edges(&signature);
    let at = all.iter().position(|edge| *edge == pair).unwrap();
    let guard = InputGuard::new(&signature, all.len(), &[at]);
    let check = |a, b| guard.check_values(&[whole("a", &[1], &[a]), whole("b", &[1], &[b])]);
    assert!(
        check(i64::MIN, -1)
            .unwrap_err()
            .why
            .contains("-1 in input 'b'")
    );
    for (a, b) in [(i64::MIN, 1), (1, -1), (-1, i64::MIN)] {
        assert_eq!(check(a, b), Ok(()), "{a} {b}");
    }
}

#[test]
fn an_optional_input_that_is_fatal_has_to_be_left_out() {
    let mut scale = spec("scale", Datatype::Int64, &[1]);
    scale.optional = true;
    let signature = signature(vec![spec("x", Datatype::Int64, &[-1]), scale]);
    let all = edges(&signature);
    assert_eq!(all[0], Edge::Given("scale".to_owned()));
    let tried = all[0].inputs(&signature, crate::batch::sample::GUESSES[0]);
    assert_eq!(tried[0].len(), 2);
    let guard = InputGuard::new(&signature, all.len(), &[0]);
    let (x, scale) = (whole("x", &[1], &[1]), whole("scale", &[1], &[1]));
    assert_eq!(
        guard.check_shapes(std::slice::from_ref(&x), &signature),
        Ok(())
    );
    let refused = guard.check_shapes(&[x, scale], &signature).unwrap_err();
    assert!(refused.why.contains("leave it out"), "{refused:?}");
}

#[test]
fn extents_of_zero_that_were_not_tried_are_refused_and_fixed_ones_are_no_edge() {
    let signature = signature(vec![spec("x", Datatype::Int64, &[-1, 0])]);
    let empty = [whole("x", &[0, 0], &[])];
    let refused = InputGuard::new(&signature, 0, &[]).check_shapes(&empty, &signature);
    let refused = refused.unwrap_err();
    assert_eq!(refused.input, "x");
    assert!(
        refused
            .why
            .contains("axis 0 of input 'x': the model was not tried"),
        "{refused:?}"
    );
    let all = edges(&signature).len();
    let survived = InputGuard::new(&signature, all, &[]);
    assert_eq!(survived.check_shapes(&empty, &signature), Ok(()));
    let one_row = [whole("x", &[1, 0], &[])];
    let untried = InputGuard::new(&signature, 0, &[]);
    assert_eq!(untried.check_shapes(&one_row, &signature), Ok(()));
}

/// Echoes, and counts its runs.
struct Counting(fake::FakeEngine, Vec<Vec<i64>>);

impl Engine for Counting {
    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn run(
        &mut self,
        inputs: &[Tensor],
        outputs: &[usize],
        stop: &Stop,
    ) -> Result<Vec<Tensor>, RunError> {
        self.1
            .extend(inputs.iter().map(|input| input.shape.clone()));
        self.0.run(inputs, outputs, stop)
    }
}

#[test]
fn edges_are_tried_from_the_one_that_is_asked_for_until_time_is_up() {
    let mut engine = Counting(fake::FakeEngine::new(fake::Behaviour::Echo), Vec::new());
    let warm = warm_up(&mut engine, Duration::from_secs(60)).unwrap();
    let all = edges(engine.signature()).len();
    let time = |all| EdgeTime {
        run: Duration::from_secs(60),
        all: Duration::from_secs(all),
    };
    let mut begun = Vec::new();
    let end = try_edges(&mut engine, &warm, 0, time(60), |at, _| begun.push(at));
    assert_eq!((end, begun), (all, (0..all).collect()));
    assert!(engine.1.contains(&vec![0, 4]) && engine.1.contains(&vec![0, 0]));
    let mut begun = Vec::new();
    let end = try_edges(&mut engine, &warm, all - 1, time(60), |at, _| {
        begun.push(at);
    });
    assert_eq!((end, begun), (all, vec![all - 1]));
}
