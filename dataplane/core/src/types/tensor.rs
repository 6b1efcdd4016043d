//! A tensor, independent of the protocol: shape, datatype and elements.

use bytes::Bytes;

use super::Datatype;

/// A dense tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name in the model.
    pub name: String,
    /// Type of each element.
    pub datatype: Datatype,
    /// Extent of each dimension, none negative; empty for a scalar.
    pub shape: Vec<i64>,
    /// The elements; their number is the product of `shape`.
    pub data: TensorData,
}

/// The elements of a tensor.
///
/// Fixed-width elements stay little-endian bytes from socket to engine and back: merging rows,
/// slicing outputs and the binary protocols then cost one copy or none. The buffer may be unaligned;
/// code that needs alignment copies an unaligned buffer once.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Elements of a fixed-width datatype, little-endian.
    Raw(Bytes),
    /// Elements of BYTES, each any sequence of bytes.
    Elements(Vec<Bytes>),
}

impl Tensor {
    /// Number of elements that the shape asks for; `None` if it overflows or a dimension is
    /// negative.
    #[inline]
    pub fn element_count(shape: &[i64]) -> Option<usize> {
        shape.iter().try_fold(1usize, |count, dimension| {
            count.checked_mul(usize::try_from(*dimension).ok()?)
        })
    }

    /// Number of rows: the extent of axis 0, or `None` for a scalar.
    #[inline]
    pub fn rows(&self) -> Option<usize> {
        self.shape
            .first()
            .and_then(|rows| usize::try_from(*rows).ok())
    }

    /// Bytes held besides the data.
    #[inline]
    pub fn overhead(&self) -> usize {
        match &self.data {
            TensorData::Raw(_) => 0,
            TensorData::Elements(elements) => size_of_val(elements.as_slice()),
        }
    }

    /// Bytes of data held, and besides it.
    #[inline]
    pub fn held(&self) -> usize {
        self.overhead() + self.byte_size()
    }

    /// Bytes of data held.
    #[inline]
    pub fn byte_size(&self) -> usize {
        match &self.data {
            TensorData::Raw(bytes) => bytes.len(),
            TensorData::Elements(elements) => elements.iter().map(Bytes::len).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_overflows_has_no_element_count() {
        assert_eq!(Tensor::element_count(&[i64::MAX, 4]), None);
        assert_eq!(Tensor::element_count(&[-1]), None);
        assert_eq!(Tensor::element_count(&[]), Some(1));
        assert_eq!(Tensor::element_count(&[3, 0]), Some(0));
    }
}
