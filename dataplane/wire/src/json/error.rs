//! What can be wrong with JSON text.

use serin_core::fault::Fault;

/// Why the text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset in the text.
    pub at: usize,
    /// What was found wrong there.
    pub problem: Problem,
}

/// What can be wrong with JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Something else had to come here.
    Expected(&'static str),
    /// The text ends too early.
    Truncated,
    /// Something follows the document.
    Trailing,
    /// More levels than allowed.
    TooDeep,
    /// A `\u` escape names half a character.
    LoneSurrogate,
    /// An escape that JSON does not have.
    BadEscape,
    /// A control character that must be escaped.
    ControlCharacter,
    /// No number by JSON's grammar.
    BadNumber,
    /// There is no memory for a copy of a string; why.
    NoRoom(Box<Fault>),
}

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.problem {
            Problem::Expected(what) => write!(f, "expected {what}")?,
            Problem::Truncated => f.write_str("the text ends too early")?,
            Problem::Trailing => f.write_str("nothing may follow the document")?,
            Problem::TooDeep => f.write_str("nested too deep")?,
            Problem::LoneSurrogate => f.write_str("a lone surrogate is no character")?,
            Problem::BadEscape => f.write_str("unknown escape in a string")?,
            Problem::ControlCharacter => f.write_str("a control character must be escaped")?,
            Problem::BadNumber => f.write_str("not a number")?,
            Problem::NoRoom(fault) => write!(f, "{fault}")?,
        }
        write!(f, " at byte {}", self.at)
    }
}
