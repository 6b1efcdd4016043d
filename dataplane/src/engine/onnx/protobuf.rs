//! Walks a protobuf file field by field without loading it.

use std::io::{self, BufReader, Read, Seek};

/// Longest text that is read: names, paths. The runtime's own limits are far below.
const LONGEST_TEXT: u64 = 1 << 16;

/// One field, by its number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    /// A number.
    Varint(u64, u64),
    /// A message, text or bytes: this many follow.
    Block(u64, u64),
    /// Four or eight bytes, already passed.
    Fixed,
}

impl Field {
    fn length(self) -> u64 {
        match self {
            Self::Block(_, length) => length,
            Self::Varint(..) | Self::Fixed => 0,
        }
    }
}

/// Why the walk ended early.
#[derive(Debug)]
pub(super) enum WalkError {
    Io(io::Error),
    /// Not protobuf, or not the message expected, from this byte on.
    Malformed(u64),
    /// A field reaches beyond its message or the file.
    CutOff,
}

pub(super) struct Walker<R> {
    file: BufReader<R>,
    position: u64,
}

impl<R: Read + Seek> Walker<R> {
    pub(super) fn new(file: R) -> Self {
        Self {
            file: BufReader::new(file),
            position: 0,
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next field of the message that ends at `end`; `None` at its end.
    pub(super) fn next(&mut self, end: u64) -> Result<Option<Field>, WalkError> {
        if self.position == end {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        let field = match tag & 7 {
            0 => Field::Varint(number, self.varint()?),
            1 => self.seek(8).map(|()| Field::Fixed)?,
            2 => Field::Block(number, self.varint()?),
            5 => self.seek(4).map(|()| Field::Fixed)?,
            _ => return Err(WalkError::Malformed(self.position)),
        };
        if number == 0 {
            return Err(WalkError::Malformed(self.position));
        }
        match self.position.checked_add(field.length()) {
            Some(reach) if reach <= end => Ok(Some(field)),
            _ => Err(WalkError::CutOff),
        }
    }

    /// Passes over a field's content.
    pub(super) fn skip(&mut self, field: Field) -> Result<(), WalkError> {
        self.seek(field.length())
    }

    /// Reads a field's content as text; what is not UTF-8 is replaced.
    pub(super) fn text(&mut self, length: u64) -> Result<String, WalkError> {
        if length > LONGEST_TEXT {
            return Err(WalkError::Malformed(self.position));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.file)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(WalkError::Io)?;
        if read as u64 != length {
            return Err(WalkError::CutOff);
        }
        self.position += length;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn seek(&mut self, bytes: u64) -> Result<(), WalkError> {
        let distance = i64::try_from(bytes).map_err(|_| WalkError::CutOff)?;
        self.file.seek_relative(distance).map_err(WalkError::Io)?;
        self.position += bytes;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, WalkError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            match self.file.read_exact(&mut byte) {
                Ok(()) => self.position += 1,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(WalkError::CutOff);
                }
                Err(error) => return Err(WalkError::Io(error)),
            }
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WalkError::Malformed(self.position))
    }
}
