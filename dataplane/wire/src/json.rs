//! A pull reader of JSON text, for bodies that are mostly numbers.
//!
//! serde_json does not fit: a tensor's integers must be exact in every spelling (`1e1`,
//! `9223372036854775807.0`), floats must round once to their own width, and errors must tell
//! duplicate members, depth and lone surrogates apart. This reader returns a number's text, which
//! allows all of that and is faster; a property test compares its grammar with serde_json's.

mod error;
mod number;
mod string;

use std::borrow::Cow;

use crate::room::Room;

pub use error::{JsonError, Problem};
pub use number::Integer;

/// Reads one JSON document, front to back.
#[derive(Clone)]
pub struct Reader<'a> {
    text: &'a str,
    /// Where copies of strings are asked for.
    room: &'a Room<'a>,
    at: usize,
    depth: usize,
    max_depth: usize,
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

impl Kind {
    /// The name in messages, with its article.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Null => "null",
        }
    }
}

/// An object or array that the reader is in.
pub struct Sequence {
    /// No element has been read yet.
    first: bool,
}

type Result<T> = std::result::Result<T, JsonError>;

impl<'a> Reader<'a> {
    /// Reads `text`, refusing more than `max_depth` levels. Copies of strings are taken from `room`.
    pub fn new(text: &'a str, max_depth: usize, room: &'a Room<'a>) -> Self {
        Self {
            text,
            room,
            at: 0,
            depth: 0,
            max_depth,
        }
    }

    /// Offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// A reader of the same text that begins at the value at `position`, at this one's depth.
    pub fn at(&self, position: usize) -> Self {
        Self {
            at: position,
            ..self.clone()
        }
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.text.len() - self.at
    }

    fn error(&self, problem: Problem) -> JsonError {
        JsonError {
            at: self.at,
            problem,
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expected(&self, what: &'static str) -> JsonError {
        match self.byte() {
            None => self.error(Problem::Truncated),
            Some(_) => self.error(Problem::Expected(what)),
        }
    }

    /// The next byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// The kind of the next value, without reading it.
    #[inline]
    pub fn kind(&mut self) -> Result<Kind> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn enter(&mut self) -> Result<Sequence> {
        if self.depth == self.max_depth {
            return Err(self.error(Problem::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        Ok(Sequence { first: true })
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Enters an object; the next value must be one.
    pub fn object(&mut self) -> Result<Sequence> {
        match self.peek() {
            Some(b'{') => self.enter(),
            _ => Err(self.expected("an object")),
        }
    }

    /// The name of the next member, whose value must be read next; `None` at the object's end.
    pub fn member(&mut self, object: &mut Sequence) -> Result<Option<Cow<'a, str>>> {
        match self.peek() {
            Some(b'}') => {
                self.leave();
                return Ok(None);
            }
            Some(b',') if !object.first => {
                self.at += 1;
                self.peek();
            }
            _ if object.first => {}
            _ => return Err(self.expected("',' or '}'")),
        }
        object.first = false;
        if self.byte() != Some(b'"') {
            return Err(self.expected("a member's name"));
        }
        let name = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.expected("':'"));
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// Enters an array; the next value must be one.
    pub fn array(&mut self) -> Result<Sequence> {
        match self.peek() {
            Some(b'[') => self.enter(),
            _ => Err(self.expected("an array")),
        }
    }

    /// Whether an element follows, which must be read next; `false` at the array's end.
    #[inline]
    pub fn element(&mut self, array: &mut Sequence) -> Result<bool> {
        match self.peek() {
            Some(b']') => {
                self.leave();
                return Ok(false);
            }
            Some(b',') if !array.first => {
                self.at += 1;
                if self.peek() == Some(b']') {
                    return Err(self.expected("a value"));
                }
            }
            _ if array.first => {}
            _ => return Err(self.expected("',' or ']'")),
        }
        array.first = false;
        Ok(true)
    }

    /// Reads `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.peek() {
            Some(b't') => self.word("true").map(|()| true),
            Some(b'f') => self.word("false").map(|()| false),
            _ => Err(self.expected("a boolean")),
        }
    }

    /// Reads `null`.
    pub fn null(&mut self) -> Result<()> {
        self.peek();
        self.word("null")
    }

    fn word(&mut self, word: &'static str) -> Result<()> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        match self.peek() {
            Some(b'"') => string::read(self.text, &mut self.at, self.room),
            _ => Err(self.expected("a string")),
        }
    }

    /// Reads a string that is kept: it is copied in any case.
    pub fn owned_string(&mut self) -> Result<String> {
        match self.string()? {
            Cow::Owned(text) => Ok(text),
            Cow::Borrowed(text) => {
                let copied = self.room.copy(text.len());
                copied.map_err(|fault| self.error(Problem::NoRoom(Box::new(fault))))?;
                Ok(text.to_owned())
            }
        }
    }

    /// The memory that the reader's strings are taken from.
    pub fn room(&self) -> &'a Room<'a> {
        self.room
    }

    /// Reads a number and returns its text, checked by JSON's grammar.
    #[inline]
    pub fn number(&mut self) -> Result<&'a str> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => number::read(self.text, &mut self.at),
            _ => Err(self.expected("a number")),
        }
    }

    /// Skips a value; its grammar is checked.
    pub fn skip(&mut self) -> Result<()> {
        match self.kind()? {
            Kind::Object => {
                let mut object = self.object()?;
                while self.member(&mut object)?.is_some() {
                    self.skip()?;
                }
                Ok(())
            }
            Kind::Array => {
                let mut array = self.array()?;
                while self.element(&mut array)? {
                    self.skip()?;
                }
                Ok(())
            }
            Kind::String => string::skip(self.text, &mut self.at),
            Kind::Number => self.number().map(drop),
            Kind::Bool => self.boolean().map(drop),
            Kind::Null => self.null(),
        }
    }

    /// Checks that nothing follows the document.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error(Problem::Trailing)),
        }
    }
}

#[cfg(test)]
mod tests;
