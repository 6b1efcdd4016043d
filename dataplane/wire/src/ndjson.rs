//! Newline-delimited JSON: bytes to numbered lines, without a copy of a line that arrived in one
//! piece.

use bytes::{Bytes, BytesMut};

/// The media type of responses.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// The media types in use; none is registered.
const NAMES: [&str; 6] = [
    CONTENT_TYPE,
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
];

/// Whether a media type (parameters and all) is NDJSON by one of its names.
pub fn is_ndjson(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    NAMES.iter().any(|name| essence.eq_ignore_ascii_case(name))
}

/// A line that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the text, from 1; blank lines count.
    pub number: u64,
    /// Its content.
    pub text: Text,
}

/// The content of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// The line without its end.
    Whole(Bytes),
    /// More bytes than allowed, which were dropped.
    TooLong,
}

/// The fault of a line that exceeds twice the limit without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The line's number.
    pub number: u64,
}

/// Splits the bytes that are [pushed](Self::push) into lines, however they are cut.
#[derive(Debug)]
pub struct Splitter {
    longest: usize,
    /// What came last and is not split yet.
    chunk: Bytes,
    /// The beginning of a line whose end has not come.
    partial: BytesMut,
    /// Bytes of a line too long that were thrown away.
    skipped: usize,
    /// Lines that have ended.
    number: u64,
}

impl Splitter {
    /// Refuses lines of more than `longest` bytes.
    pub fn new(longest: usize) -> Self {
        Self {
            longest,
            chunk: Bytes::new(),
            partial: BytesMut::new(),
            skipped: 0,
            number: 0,
        }
    }

    /// Takes the next bytes; all lines of those before must have been taken.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "lines are left");
        self.chunk = chunk;
    }

    /// Bytes held of a line that has not ended.
    pub fn held(&self) -> usize {
        self.partial.len()
    }

    /// Bytes read of a line that has not ended.
    pub fn line_bytes(&self) -> usize {
        self.partial.len() + self.skipped
    }

    /// Lines that have ended, blank ones too.
    pub fn lines(&self) -> u64 {
        self.number
    }

    /// The next line that is not blank, if it has ended.
    ///
    /// # Errors
    /// When a line too long goes on for as long again.
    pub fn next_line(&mut self) -> Result<Option<Line>, Lost> {
        while let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
            let rest = self.chunk.split_off(end + 1);
            let mut piece = std::mem::replace(&mut self.chunk, rest);
            piece.truncate(end);
            if let Some(line) = self.end_line(piece) {
                return Ok(Some(line));
            }
        }
        let rest = std::mem::take(&mut self.chunk);
        if self.skipped > 0 {
            self.skipped += rest.len();
        } else if self.partial.len() + rest.len() > self.longest {
            self.skipped = self.partial.len() + rest.len();
            self.partial = BytesMut::new();
        } else {
            self.partial.extend_from_slice(&rest);
        }
        if self.skipped > self.longest.saturating_mul(2) {
            return Err(Lost {
                number: self.number + 1,
            });
        }
        Ok(None)
    }

    /// The line that the end of the text ends.
    pub fn finish(&mut self) -> Option<Line> {
        (self.line_bytes() > 0)
            .then(|| self.end_line(Bytes::new()))
            .flatten()
    }

    fn end_line(&mut self, piece: Bytes) -> Option<Line> {
        self.number += 1;
        let number = self.number;
        if std::mem::take(&mut self.skipped) > 0 || self.partial.len() + piece.len() > self.longest
        {
            self.partial = BytesMut::new();
            let text = Text::TooLong;
            return Some(Line { number, text });
        }
        let mut whole = if self.partial.is_empty() {
            piece
        } else {
            self.partial.extend_from_slice(&piece);
            std::mem::take(&mut self.partial).freeze()
        };
        if whole.last() == Some(&b'\r') {
            whole.truncate(whole.len() - 1);
        }
        let blank = whole.iter().all(u8::is_ascii_whitespace);
        let text = Text::Whole(whole);
        (!blank).then_some(Line { number, text })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every line of a text that comes in pieces of these lengths, over and over.
    fn lines(text: &[u8], longest: usize, pieces: &[usize]) -> Result<Vec<Line>, Lost> {
        let mut splitter = Splitter::new(longest);
        let mut rest = Bytes::copy_from_slice(text);
        let mut lines = Vec::new();
        for length in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            splitter.push(rest.split_to(rest.len().min((*length).max(1))));
            while let Some(line) = splitter.next_line()? {
                lines.push(line);
            }
            assert!(splitter.held() <= longest);
        }
        lines.extend(splitter.finish());
        Ok(lines)
    }

    fn whole(number: u64, text: &str) -> Line {
        Line {
            number,
            text: Text::Whole(Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    #[test]
    fn blank_lines_count_and_are_left_out_and_a_carriage_return_belongs_to_the_end() {
        let found = lines(b"\n{}\r\n  \n\r\n[1]", 100, &[3]).unwrap();
        assert_eq!(found, [whole(2, "{}"), whole(5, "[1]")]);
    }

    #[test]
    fn a_line_too_long_is_named_and_the_next_one_read() {
        let text = b"12345\n1234567890\n12345\n";
        for piece in 1..text.len() {
            let found = lines(text, 6, &[piece]).unwrap();
            let long = Line {
                number: 2,
                text: Text::TooLong,
            };
            assert_eq!(found, [whole(1, "12345"), long, whole(3, "12345")]);
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let text = [b'x'; 40];
        assert_eq!(lines(&text, 10, &[4]), Err(Lost { number: 1 }));
    }

    #[test]
    fn a_line_in_one_piece_is_not_copied() {
        let text = Bytes::from_static(b"{\"a\":1}\n{}");
        let mut splitter = Splitter::new(100);
        splitter.push(text.clone());
        let Ok(Some(Line {
            text: Text::Whole(line),
            ..
        })) = splitter.next_line()
        else {
            panic!("a line was expected");
        };
        assert_eq!(line.as_ptr(), text.as_ptr());
    }

    #[test]
    fn the_usual_names_of_ndjson_are_known() {
        for name in ["application/x-ndjson", "Application/NDJSON; charset=utf-8"] {
            assert!(is_ndjson(name), "{name}");
        }
        for name in ["application/json", "", "text/event-stream"] {
            assert!(!is_ndjson(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_text_is_cut(
            text in "[ab\r\n ]{0,60}",
            pieces in proptest::collection::vec(1usize..9, 1..6),
        ) {
            let expected: Vec<Line> = text
                .split('\n')
                .map(|line| line.strip_suffix('\r').unwrap_or(line))
                .zip(1..)
                .filter(|(line, _)| !line.trim().is_empty())
                .map(|(line, number)| whole(number, line))
                .collect();
            prop_assert_eq!(lines(text.as_bytes(), 1000, &pieces).unwrap(), expected);
        }

        #[test]
        fn whatever_comes_is_bounded(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            pieces in proptest::collection::vec(1usize..50, 1..6),
        ) {
            if let Ok(lines) = lines(&text, 10, &pieces) {
                for line in lines {
                    if let Text::Whole(text) = line.text {
                        prop_assert!((1..=10).contains(&text.len()));
                        prop_assert!(!text.contains(&b'\n'));
                    }
                }
            }
        }
    }
}
