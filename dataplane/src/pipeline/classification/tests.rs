use proptest::prelude::*;

use super::*;

fn fp32(shape: &[i64], values: &[f32]) -> Tensor {
    Tensor {
        name: "y".into(),
        datatype: Datatype::Fp32,
        shape: shape.to_vec(),
        data: TensorData::Raw(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
    }
}

fn best(tensor: &Tensor, wanted: usize, labels: &[&str]) -> (Vec<i64>, Vec<String>) {
    let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
    let classes = classify(tensor, NonZeroUsize::new(wanted).unwrap(), &labels).unwrap();
    assert_eq!(classes.datatype, Datatype::Bytes);
    let TensorData::Elements(elements) = classes.data else {
        panic!("BYTES are elements");
    };
    let texts = elements
        .iter()
        .map(|one| String::from_utf8(one.to_vec()).unwrap())
        .collect();
    (classes.shape, texts)
}

#[test]
fn the_golden_vector() {
    let scores = fp32(&[4], &[1.1, 3.3, 0.5, 2.4]);
    let (shape, texts) = best(&scores, 2, &[]);
    assert_eq!(shape, [2]);
    assert_eq!(texts, ["3.300000:1", "2.400000:3"]);
    let (_, texts) = best(&scores, 2, &["a", "b", "c", "d:e"]);
    assert_eq!(texts, ["3.300000:1:b", "2.400000:3:d:e"]);
}

#[test]
fn each_row_has_its_own_best_and_more_axes_are_one_row() {
    let (shape, texts) = best(&fp32(&[2, 3], &[1.0, 2.0, 3.0, 6.0, 5.0, 4.0]), 1, &[]);
    assert_eq!(shape, [2, 1]);
    assert_eq!(texts, ["3.000000:2", "6.000000:0"]);
    let (shape, texts) = best(&fp32(&[1, 2, 2], &[1.0, 2.0, 9.0, 4.0]), 2, &[]);
    assert_eq!(shape, [1, 2]);
    assert_eq!(texts, ["9.000000:2", "4.000000:3"]);
    assert_eq!(best(&fp32(&[], &[7.0]), 5, &[]).1, ["7.000000:0"]);
}

#[test]
fn more_than_there_are_is_all_and_none_is_none() {
    let (shape, texts) = best(&fp32(&[1, 2], &[1.0, 2.0]), 9, &[]);
    assert_eq!((shape, texts.len()), (vec![1, 2], 2));
    for empty in [&[0, 3][..], &[3, 0], &[0]] {
        let (shape, texts) = best(&fp32(empty, &[]), 2, &[]);
        assert_eq!(texts, [""; 0]);
        assert_eq!(Tensor::element_count(&shape), Some(0), "{empty:?}");
    }
}

#[test]
fn equal_scores_stay_in_order_and_nan_is_last() {
    let scores = fp32(
        &[6],
        &[0.0, f32::NAN, f32::INFINITY, -0.0, f32::NEG_INFINITY, 0.0],
    );
    let (_, texts) = best(&scores, 6, &[]);
    assert_eq!(
        texts,
        [
            "inf:2",
            "0.000000:0",
            "-0.000000:3",
            "0.000000:5",
            "-inf:4",
            "nan:1"
        ]
    );
}

#[test]
fn integers_are_ranked_as_such_and_written_whole() {
    let values = [u64::MAX, u64::MAX - 1, 0];
    let tensor = Tensor {
        name: "y".into(),
        datatype: Datatype::Uint64,
        shape: vec![3],
        data: TensorData::Raw(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
    };
    assert_eq!(
        best(&tensor, 2, &[]).1,
        ["18446744073709551615:0", "18446744073709551614:1"]
    );
    let signed = Tensor {
        datatype: Datatype::Int8,
        data: TensorData::Raw(Bytes::from_static(&[0xff, 0x01, 0x80])),
        ..tensor
    };
    assert_eq!(best(&signed, 3, &[]).1, ["1:1", "-1:0", "-128:2"]);
}

#[test]
fn labels_of_another_number_of_classes_are_left_out() {
    let scores = fp32(&[1, 2], &[1.0, 2.0]);
    assert_eq!(best(&scores, 1, &["a", "b", "c"]).1, ["2.000000:1"]);
}

#[test]
fn words_short_floats_and_endless_rows_are_refused() {
    for datatype in [Datatype::Bytes, Datatype::Fp16, Datatype::Bf16] {
        let spec = TensorSpec {
            name: "y".into(),
            datatype,
            shape: None,
            optional: false,
        };
        assert_eq!(check(&spec).unwrap_err().code, "unclassifiable_output");
    }
    let long = fp32(&[1, 1_000_001], &[0.0; 1_000_001]);
    let fault = classify(&long, NonZeroUsize::MIN, &[]).unwrap_err();
    assert_eq!(fault.code, "unclassifiable_output");
    let long = fp32(&[1_000_000], &[0.0; 1_000_000]);
    assert_eq!(best(&long, 1, &[]).1, ["0.000000:0"]);
}

proptest! {
    #[test]
    fn the_best_are_a_stable_sorts_first(
        values in prop::collection::vec(prop_oneof![-3.0..3.0f32, Just(1.0f32), Just(f32::NAN)], 1..40),
        wanted in 1usize..50,
    ) {
        let mut sorted: Vec<(f32, usize)> = values.iter().copied().zip(0..).collect();
        sorted.sort_by(|a, b| {
            let key = |v: f32| if v.is_nan() { f32::NEG_INFINITY } else { v };
            key(b.0).total_cmp(&key(a.0))
        });
        let expected: Vec<usize> = sorted.iter().take(wanted).map(|(_, at)| *at).collect();
        let (_, texts) = best(&fp32(&[1, values.len() as i64], &values), wanted, &[]);
        let places: Vec<usize> = texts
            .iter()
            .map(|text| text.split(':').nth(1).unwrap().parse().unwrap())
            .collect();
        prop_assert_eq!(places, expected);
    }
}
