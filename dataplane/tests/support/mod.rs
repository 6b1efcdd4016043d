//! What the tests with the real ONNX Runtime share.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::PathBuf;

use bytes::Bytes;
use serin_core::types::{Datatype, Tensor, TensorData};
use serin_engine::onnx::{Device, ModelFile, OnnxEngine, OpenError, Runtime, SessionOptions};

/// The runtime; a machine without it fails the test with the cure.
pub fn runtime() -> Runtime {
    match Runtime::open(None) {
        Ok(runtime) => runtime,
        Err(error) => panic!("these tests run real models: {error}"),
    }
}

/// A file of `tests/models`.
pub fn model(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/models")
        .join(format!("{name}.onnx"))
}

pub fn open(name: &str) -> Result<OnnxEngine, OpenError> {
    let file = ModelFile::check(&model(name)).unwrap();
    let options = SessionOptions {
        device: Device::Cpu,
        threads: 1,
    };
    OnnxEngine::open(&runtime(), &file, options)
}

pub fn f32s(name: &str, shape: &[i64], values: &[f32]) -> Tensor {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    raw(name, Datatype::Fp32, shape, bytes)
}

pub fn i64s(name: &str, shape: &[i64], values: &[i64]) -> Tensor {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    raw(name, Datatype::Int64, shape, bytes)
}

pub fn raw(name: &str, datatype: Datatype, shape: &[i64], bytes: Vec<u8>) -> Tensor {
    Tensor {
        name: name.to_owned(),
        datatype,
        shape: shape.to_vec(),
        data: TensorData::Raw(Bytes::from(bytes)),
    }
}

pub fn strings(name: &str, shape: &[i64], elements: &[&[u8]]) -> Tensor {
    Tensor {
        name: name.to_owned(),
        datatype: Datatype::Bytes,
        shape: shape.to_vec(),
        data: TensorData::Elements(
            elements
                .iter()
                .map(|element| Bytes::copy_from_slice(element))
                .collect(),
        ),
    }
}

pub fn as_f32(tensor: &Tensor) -> Vec<f32> {
    assert_eq!(tensor.datatype, Datatype::Fp32);
    let TensorData::Raw(bytes) = &tensor.data else {
        panic!("not fixed-width")
    };
    bytes
        .chunks_exact(4)
        .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()))
        .collect()
}

pub fn as_i64(tensor: &Tensor) -> Vec<i64> {
    assert_eq!(tensor.datatype, Datatype::Int64);
    let TensorData::Raw(bytes) = &tensor.data else {
        panic!("not fixed-width")
    };
    bytes
        .chunks_exact(8)
        .map(|chunk| i64::from_le_bytes(chunk.try_into().unwrap()))
        .collect()
}
