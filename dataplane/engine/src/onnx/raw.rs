//! The only unsafe code of Serin: calls of ONNX Runtime's C API for which `ort` has no safe
//! counterpart.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};

use bytes::Bytes;
use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions};
use ort::value::{DynTensor, TensorElementType};

/// Options of one run that another thread may terminate.
pub(super) struct SharedRunOptions(RunOptions<HasSelectedOutputs>);

// SAFETY: `ort` withholds Sync from options with selected outputs because preallocated output
// values could be written by two runs at once. `new` preallocates none, and what threads share is
// `OrtRunOptions::terminate`, a flag that the C API allows any thread to set during a run.
unsafe impl Sync for SharedRunOptions {}

impl SharedRunOptions {
    /// Options that select `outputs`, without preallocated values. With `give_back`, memory that is
    /// not in use after the run goes back to the system.
    pub(super) fn new<'n>(
        outputs: impl Iterator<Item = &'n str>,
        give_back: bool,
    ) -> ort::Result<Self> {
        let selector = outputs.fold(OutputSelector::no_default(), |selector, name| {
            selector.with(name)
        });
        let mut options = RunOptions::new()?.with_outputs(selector);
        if give_back {
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
        }
        Ok(Self(options))
    }

    pub(super) fn get(&self) -> &RunOptions<HasSelectedOutputs> {
        &self.0
    }

    /// Makes the run fail at its next operator.
    pub(super) fn terminate(&self) {
        // Fails only for a null pointer.
        let _ = self.0.terminate();
    }
}

/// Gives the process one allocator for all sessions that ask for it, which takes at most `bytes`
/// from the system. To be called once.
pub(super) fn bound_memory(environment: &Environment, bytes: usize) -> ort::Result<()> {
    let place = MemoryInfo::new(
        AllocationDevice::CPU,
        0,
        AllocatorType::Arena,
        MemoryType::Default,
    )?;
    let mut config = std::ptr::null_mut();
    // SAFETY: environment and place are alive; -1 asks for a default. The runtime copies the
    // configuration, which is released once, and only if it was made.
    unsafe {
        ort::Error::result_from_status((ort::api().CreateArenaCfg)(
            bytes,
            -1,
            -1,
            -1,
            &raw mut config,
        ))?;
        let registered = ort::Error::result_from_status((ort::api().CreateAndRegisterAllocator)(
            environment.ptr().cast_mut(),
            place.ptr(),
            config,
        ));
        (ort::api().ReleaseArenaCfg)(config);
        registered
    }
}

/// A string tensor with elements of any bytes. `ort` makes them through C strings, which cannot
/// hold NUL, and demands UTF-8.
pub(super) fn string_tensor(shape: &[i64], elements: &[Bytes]) -> ort::Result<DynTensor> {
    let allocator = Allocator::default();
    let mut tensor = DynTensor::new(&allocator, TensorElementType::String, shape.to_vec())?;
    for (index, element) in elements.iter().enumerate() {
        let mut buffer: *mut c_char = std::ptr::null_mut();
        // SAFETY: the tensor is a live string tensor of our own; the runtime checks the index and
        // sets `buffer` to room for exactly `element.len()` bytes or returns an error.
        unsafe {
            ort::Error::result_from_status((ort::api().GetResizedStringTensorElementBuffer)(
                tensor.ptr_mut(),
                index,
                element.len(),
                &raw mut buffer,
            ))?;
        }
        if !element.is_empty() {
            // SAFETY: as above: `buffer` is valid for `element.len()` bytes until the element is
            // resized again, and belongs to the tensor, so it cannot overlap `element`.
            unsafe {
                std::ptr::copy_nonoverlapping(element.as_ptr(), buffer.cast::<u8>(), element.len());
            };
        }
    }
    Ok(tensor)
}

/// The `count` elements of a string tensor, whatever their bytes: slices of one buffer. `take` is
/// asked with its bytes before it is made.
pub(super) fn string_elements(
    tensor: &DynTensor,
    count: usize,
    take: impl FnOnce(usize) -> ort::Result<()>,
) -> ort::Result<Vec<Bytes>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut total = 0usize;
    // SAFETY: the value is alive; the runtime refuses values that hold no strings.
    unsafe {
        ort::Error::result_from_status((ort::api().GetStringTensorDataLength)(
            tensor.ptr(),
            &raw mut total,
        ))?;
    }
    take(
        count
            .saturating_mul(size_of::<Bytes>() + size_of::<usize>())
            .saturating_add(total),
    )?;
    let mut content = vec![0u8; total];
    let mut offsets = vec![0usize; count];
    // SAFETY: both buffers are as long as is said; the runtime checks both lengths before writing.
    unsafe {
        ort::Error::result_from_status((ort::api().GetStringTensorContent)(
            tensor.ptr(),
            content.as_mut_ptr().cast::<c_void>(),
            content.len(),
            offsets.as_mut_ptr(),
            offsets.len(),
        ))?;
    }
    let content = Bytes::from(content);
    let ends = offsets.iter().copied().skip(1).chain([total]);
    Ok(offsets
        .iter()
        .zip(ends)
        .map(|(start, end)| content.slice(*start..end))
        .collect())
}
