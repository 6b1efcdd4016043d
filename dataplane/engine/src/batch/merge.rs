//! Joins the rows of several requests into one batch, and cuts answers apart again.

use bytes::BytesMut;

use serin_core::types::{Tensor, TensorData};

/// What two requests must have in common to share a run: the same inputs with the same row shapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowClass(Vec<(String, Vec<i64>)>);

/// The class and the number of rows of a request whose inputs all have rows, equally many; `None`
/// for any other.
pub(super) fn classify(inputs: &[Tensor]) -> Option<(RowClass, usize)> {
    let rows = inputs.first()?.rows()?;
    if rows == 0 || inputs.iter().any(|input| input.rows() != Some(rows)) {
        return None;
    }
    let mut class: Vec<_> = inputs
        .iter()
        .map(|input| (input.name.clone(), input.shape[1..].to_vec()))
        .collect();
    class.sort_unstable();
    Some((RowClass(class), rows))
}

/// Joins requests of one class, in order.
pub(super) fn join(requests: &[&[Tensor]]) -> Vec<Tensor> {
    let Some((first, rest)) = requests.split_first() else {
        return Vec::new();
    };
    first
        .iter()
        .map(|head| {
            let parts: Vec<&Tensor> = std::iter::once(head)
                .chain(
                    rest.iter()
                        .filter_map(|inputs| inputs.iter().find(|input| input.name == head.name)),
                )
                .collect();
            let mut shape = head.shape.clone();
            if let Some(rows) = shape.first_mut() {
                *rows = parts.iter().filter_map(|part| part.shape.first()).sum();
            }
            Tensor {
                name: head.name.clone(),
                datatype: head.datatype,
                shape,
                data: join_data(&parts),
            }
        })
        .collect()
}

fn join_data(parts: &[&Tensor]) -> TensorData {
    if parts
        .iter()
        .any(|part| matches!(part.data, TensorData::Elements(_)))
    {
        let elements = parts
            .iter()
            .flat_map(|part| match &part.data {
                TensorData::Elements(elements) => elements.as_slice(),
                TensorData::Raw(_) => &[],
            })
            .cloned();
        return TensorData::Elements(elements.collect());
    }
    let mut joined = BytesMut::with_capacity(parts.iter().map(|part| part.byte_size()).sum());
    for part in parts {
        if let TensorData::Raw(bytes) = &part.data {
            joined.extend_from_slice(bytes);
        }
    }
    TensorData::Raw(joined.freeze())
}

/// Rows `start..start + count` of an output that has `total` rows; shares its bytes.
/// `None` if it has another number of rows.
pub(super) fn cut(output: &Tensor, total: usize, start: usize, count: usize) -> Option<Tensor> {
    if output.rows() != Some(total) || total == 0 || start + count > total {
        return None;
    }
    let mut shape = output.shape.clone();
    *shape.first_mut()? = i64::try_from(count).ok()?;
    let range = |length: usize| (start * (length / total))..((start + count) * (length / total));
    let data = match &output.data {
        TensorData::Raw(bytes) => TensorData::Raw(bytes.slice(range(bytes.len()))),
        TensorData::Elements(elements) => {
            TensorData::Elements(elements[range(elements.len())].to_vec())
        }
    };
    Some(Tensor {
        name: output.name.clone(),
        datatype: output.datatype,
        shape,
        data,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use serin_core::types::Datatype;

    fn tensor(name: &str, shape: &[i64], bytes: &[u8]) -> Tensor {
        Tensor {
            name: name.to_owned(),
            datatype: Datatype::Uint8,
            shape: shape.to_vec(),
            data: TensorData::Raw(Bytes::copy_from_slice(bytes)),
        }
    }

    #[test]
    fn joined_rows_are_cut_apart_again() {
        let a = [
            tensor("x", &[2, 2], &[1, 2, 3, 4]),
            tensor("n", &[2], &[7, 8]),
        ];
        // The same inputs in another order.
        let b = [tensor("n", &[1], &[9]), tensor("x", &[1, 2], &[5, 6])];
        assert_eq!(classify(&a).unwrap().0, classify(&b).unwrap().0);
        let joined = join(&[&a, &b]);
        assert_eq!(joined[0], tensor("x", &[3, 2], &[1, 2, 3, 4, 5, 6]));
        assert_eq!(joined[1], tensor("n", &[3], &[7, 8, 9]));
        assert_eq!(cut(&joined[0], 3, 0, 2).unwrap(), a[0]);
        assert_eq!(cut(&joined[0], 3, 2, 1).unwrap(), b[1]);
        assert_eq!(cut(&joined[0], 4, 0, 1), None);
    }

    #[test]
    fn requests_without_rows_have_no_class() {
        assert_eq!(classify(&[]), None);
        assert_eq!(classify(&[tensor("x", &[], &[1])]), None);
        assert_eq!(classify(&[tensor("x", &[0, 2], &[])]), None);
        assert_eq!(
            classify(&[tensor("x", &[1], &[1]), tensor("y", &[2], &[1, 2])]),
            None
        );
    }

    #[test]
    fn rows_of_strings_are_joined_and_cut_too() {
        let strings = |elements: &[&'static str]| Tensor {
            name: "s".to_owned(),
            datatype: Datatype::Bytes,
            shape: vec![i64::try_from(elements.len()).unwrap()],
            data: TensorData::Elements(
                elements
                    .iter()
                    .map(|e| Bytes::from_static(e.as_bytes()))
                    .collect(),
            ),
        };
        let (a, b) = ([strings(&["p", "q"])], [strings(&["r"])]);
        let joined = join(&[&a, &b]);
        assert_eq!(joined[0], strings(&["p", "q", "r"]));
        assert_eq!(cut(&joined[0], 3, 2, 1).unwrap(), b[0]);
    }
}
