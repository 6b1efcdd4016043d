//! Tensors to runtime values and back.

use bytemuck::{AnyBitPattern, CheckedBitPattern, NoUninit};
use bytes::Bytes;
use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{DynTensor, DynValue, Tensor as OrtTensor, TensorRef};
use ort::value::{PrimitiveTensorElementType, TensorElementType};

use super::raw;
use serin_core::types::{Datatype, Tensor, TensorData};

/// The protocol's name for an element type; `None` where it has none.
pub(super) fn datatype(element: TensorElementType) -> Option<Datatype> {
    Some(match element {
        TensorElementType::Bool => Datatype::Bool,
        TensorElementType::Uint8 => Datatype::Uint8,
        TensorElementType::Uint16 => Datatype::Uint16,
        TensorElementType::Uint32 => Datatype::Uint32,
        TensorElementType::Uint64 => Datatype::Uint64,
        TensorElementType::Int8 => Datatype::Int8,
        TensorElementType::Int16 => Datatype::Int16,
        TensorElementType::Int32 => Datatype::Int32,
        TensorElementType::Int64 => Datatype::Int64,
        TensorElementType::Float16 => Datatype::Fp16,
        TensorElementType::Bfloat16 => Datatype::Bf16,
        TensorElementType::Float32 => Datatype::Fp32,
        TensorElementType::Float64 => Datatype::Fp64,
        TensorElementType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// Expands `$run!(T)` with the Rust type of a fixed-width datatype.
macro_rules! with_type {
    ($datatype:expr, $run:ident, $strings:expr) => {
        match $datatype {
            Datatype::Bool => $run!(bool),
            Datatype::Uint8 => $run!(u8),
            Datatype::Uint16 => $run!(u16),
            Datatype::Uint32 => $run!(u32),
            Datatype::Uint64 => $run!(u64),
            Datatype::Int8 => $run!(i8),
            Datatype::Int16 => $run!(i16),
            Datatype::Int32 => $run!(i32),
            Datatype::Int64 => $run!(i64),
            Datatype::Fp16 => $run!(f16),
            Datatype::Bf16 => $run!(bf16),
            Datatype::Fp32 => $run!(f32),
            Datatype::Fp64 => $run!(f64),
            Datatype::Bytes => $strings,
        }
    };
}

/// A tensor as the runtime takes it: a view of its bytes where they are aligned, else one copy.
pub(super) fn input(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    match &tensor.data {
        TensorData::Raw(bytes) => {
            macro_rules! view {
                ($type:ty) => {
                    fixed::<$type>(&tensor.shape, bytes)
                };
            }
            with_type!(
                tensor.datatype,
                view,
                Err(ort::Error::new("BYTES elements must be given one by one"))
            )
        }
        TensorData::Elements(elements) => Ok(raw::string_tensor(&tensor.shape, elements)?
            .into_dyn()
            .into()),
    }
}

fn fixed<'t, T>(shape: &[i64], bytes: &'t [u8]) -> ort::Result<SessionInputValue<'t>>
where
    T: PrimitiveTensorElementType + CheckedBitPattern + std::fmt::Debug + 'static,
    T::Bits: AnyBitPattern,
{
    match bytemuck::checked::try_cast_slice::<u8, T>(bytes) {
        Ok(elements) => Ok(TensorRef::from_array_view((shape.to_vec(), elements))?.into()),
        Err(bytemuck::checked::CheckedCastError::PodCastError(
            bytemuck::PodCastError::TargetAlignmentGreaterAndInputNotAligned,
        )) => {
            let elements: Vec<T> = bytes
                .chunks_exact(size_of::<T>())
                .map(bytemuck::checked::pod_read_unaligned)
                .collect();
            Ok(OrtTensor::from_array((shape.to_vec(), elements))?.into())
        }
        Err(error) => Err(ort::Error::new(error.to_string())),
    }
}

/// Bytes that the outputs of a run may still take.
pub(super) struct Room {
    /// All that there was.
    pub(super) bound: usize,
    /// What is left of it.
    pub(super) left: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> ort::Result<()> {
        let Some(left) = self.left.checked_sub(bytes) else {
            return Err(ort::Error::new(format!(
                "its outputs take more than the {} MiB that one run may give (an eighth of the models' memory)",
                self.bound >> 20
            )));
        };
        self.left = left;
        Ok(())
    }
}

/// A runtime value as a tensor: one copy of its elements, if there is room for it.
pub(super) fn output(
    name: &str,
    expected: Datatype,
    value: DynValue,
    room: &mut Room,
) -> ort::Result<Tensor> {
    let tensor: DynTensor = value.downcast()?;
    let shape: Vec<i64> = tensor.shape().iter().copied().collect();
    macro_rules! copy {
        ($type:ty) => {
            copy_out::<$type>(&tensor, room)?
        };
    }
    let data = with_type!(expected, copy, {
        let count = Tensor::element_count(&shape).unwrap_or(0);
        TensorData::Elements(raw::string_elements(&tensor, count, |bytes| {
            room.take(bytes)
        })?)
    });
    Ok(Tensor {
        name: name.to_owned(),
        datatype: expected,
        shape,
        data,
    })
}

fn copy_out<T: PrimitiveTensorElementType + NoUninit>(
    tensor: &DynTensor,
    room: &mut Room,
) -> ort::Result<TensorData> {
    let (_, elements) = tensor.try_extract_tensor::<T>()?;
    let bytes = bytemuck::cast_slice(elements);
    room.take(bytes.len())?;
    Ok(TensorData::Raw(Bytes::copy_from_slice(bytes)))
}
