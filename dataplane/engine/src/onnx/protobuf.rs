//! Walks a protobuf file field by field without loading it.
//!
//! What the runtime's own parser reads differently is refused, never skipped: a field that only one
//! of the two sees could hide a file name from the check.

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
        // The runtime keeps the low 32 bits of a tag, and so would read another field.
        let Ok(tag) = u32::try_from(self.varint()?) else {
            return Err(WalkError::Malformed(self.position));
        };
        let number = u64::from(tag >> 3);
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
        self.bytes(length).map(lossy)
    }

    /// As [`Walker::text`], of a length that the caller has bounded.
    pub(super) fn long_text(&mut self, length: u64) -> Result<String, WalkError> {
        self.content(length).map(lossy)
    }

    /// Reads a field's content as it stands.
    pub(super) fn bytes(&mut self, length: u64) -> Result<Vec<u8>, WalkError> {
        if length > LONGEST_TEXT {
            return Err(WalkError::Malformed(self.position));
        }
        self.content(length)
    }

    fn content(&mut self, length: u64) -> Result<Vec<u8>, WalkError> {
        let mut bytes = Vec::new();
        let read = (&mut self.file)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(WalkError::Io)?;
        if read as u64 != length {
            return Err(WalkError::CutOff);
        }
        self.position += length;
        Ok(bytes)
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

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<usize, WalkError> {
        let mut walker = Walker::new(io::Cursor::new(bytes));
        let mut fields = 0;
        while let Some(field) = walker.next(bytes.len() as u64)? {
            walker.skip(field)?;
            fields += 1;
        }
        Ok(fields)
    }

    #[test]
    fn a_tag_that_another_parser_would_cut_to_32_bits_is_refused() {
        assert_eq!(fields(&[0x6a, 0x00]).unwrap(), 1);
        // Field 13 with a bit above the 32nd: 2^32 + (13 << 3 | 2).
        let cut = fields(&[0xea, 0x80, 0x80, 0x80, 0x10, 0x00]);
        assert!(matches!(cut, Err(WalkError::Malformed(_))), "{cut:?}");
    }

    #[test]
    fn a_length_beyond_everything_is_cut_off_and_a_number_without_end_malformed() {
        let mut huge = vec![0x0a];
        huge.extend([0xff; 9]);
        huge.push(0x01);
        assert!(matches!(fields(&huge), Err(WalkError::CutOff)));
        let endless = [&[0x08][..], &[0x80; 11]].concat();
        assert!(matches!(fields(&endless), Err(WalkError::Malformed(_))));
        // Groups, which ONNX does not have, and the field number 0.
        assert!(matches!(
            fields(&[0x0b, 0x0c]),
            Err(WalkError::Malformed(_))
        ));
        assert!(matches!(
            fields(&[0x02, 0x00]),
            Err(WalkError::Malformed(_))
        ));
    }
}
