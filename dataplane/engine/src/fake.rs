//! An engine without a runtime: answers are known, so that everything above can be tested alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Engine, RunError, Stop};
use serin_core::types::{Datatype, Dimension, Signature, Tensor, TensorData, TensorSpec};

/// What a [`FakeEngine`] does in a run.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Gives back its input.
    Echo,
    /// Gives its input back once the gate is open, or stops when it is asked to.
    Held(Gate),
    /// Gives its input back after this long, or stops when it is asked to.
    Slow(Duration),
    /// Fails whenever the first byte of a row is this.
    FailOn(u8),
    /// Panics whenever the first byte of a row is this.
    PanicOn(u8),
    /// As [`Behaviour::PanicOn`], with a reason that panics itself when it is thrown away: what
    /// catches the first panic does not catch the second.
    PanicTwiceOn(u8),
    /// Gives all rows the bytes of the first: what a model does whose rows depend on each other.
    Mix,
}

/// Holds the runs of a [`Behaviour::Held`] until it is opened: a test decides what comes before the
/// end of a run, however slow the machine is.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Lets the run that waits go on, and all runs after it.
    pub fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Takes `x` UINT8 `[-1,-1]` and gives `y` of the same elements.
pub struct FakeEngine {
    signature: Signature,
    behaviour: Behaviour,
}

impl FakeEngine {
    /// An engine that behaves so.
    pub fn new(behaviour: Behaviour) -> Self {
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            datatype: Datatype::Uint8,
            shape: Some(vec![
                Dimension::Variable("rows".to_owned()),
                Dimension::Variable(String::new()),
            ]),
            optional: false,
        };
        Self {
            signature: Signature {
                inputs: vec![spec("x")],
                outputs: vec![spec("y")],
                unserved_outputs: Vec::new(),
                producer: None,
            },
            behaviour,
        }
    }
}

/// Waits until `is_over`, or until the run is stopped.
fn wait(stop: &Stop, mut is_over: impl FnMut() -> bool) -> Result<(), RunError> {
    while !is_over() {
        if stop.is_raised() {
            return Err(RunError::Stopped);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

struct Bomb;

impl Drop for Bomb {
    #[allow(clippy::panic, reason = "that is its purpose")]
    fn drop(&mut self) {
        panic!("again");
    }
}

impl Engine for FakeEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    #[allow(
        clippy::panic,
        reason = "what a broken engine does is what this one is for"
    )]
    fn run(
        &mut self,
        inputs: &[Tensor],
        outputs: &[usize],
        stop: &Stop,
    ) -> Result<Vec<Tensor>, RunError> {
        let missing = || RunError::Failed("input 'x' is missing".to_owned());
        let input = inputs.first().ok_or_else(missing)?;
        let TensorData::Raw(bytes) = &input.data else {
            return Err(missing());
        };
        let width = input
            .shape
            .get(1)
            .map_or(1, |width| usize::try_from(*width).unwrap_or(1).max(1));
        let has_row = |first: u8| bytes.chunks(width).any(|row| row.first() == Some(&first));
        let mut data = bytes.clone();
        match self.behaviour {
            Behaviour::Echo => {}
            Behaviour::Held(ref gate) => wait(stop, || gate.is_open())?,
            Behaviour::Slow(time) => {
                let end = Instant::now() + time;
                wait(stop, || Instant::now() >= end)?;
            }
            Behaviour::FailOn(first) if has_row(first) => {
                return Err(RunError::Failed(format!("a row starts with {first}")));
            }
            Behaviour::PanicOn(first) if has_row(first) => panic!("a row starts with {first}"),
            Behaviour::PanicTwiceOn(first) if has_row(first) => std::panic::panic_any(Bomb),
            Behaviour::FailOn(_) | Behaviour::PanicOn(_) | Behaviour::PanicTwiceOn(_) => {}
            Behaviour::Mix => {
                let row = bytes.chunks(width).next().unwrap_or_default();
                data = row.repeat(bytes.len().div_ceil(width)).into();
            }
        }
        let output = Tensor {
            name: "y".to_owned(),
            datatype: Datatype::Uint8,
            shape: input.shape.clone(),
            data: TensorData::Raw(data),
        };
        Ok(outputs.iter().map(|_| output.clone()).collect())
    }
}
