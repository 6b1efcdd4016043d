//! What a step needs from the machine, got when it is asked for and not before.
pub mod packages;
pub mod runtime;
pub mod venv;
