//! Lines of a stream.

use arbitrary::Unstructured;
use bytes::Bytes;
use serin_wire::ndjson::{Line, Lost, Splitter, Text};

use crate::Target;

pub const NDJSON: Target = Target {
    name: "ndjson",
    about: "rows are the lines of the text, however it is cut into pieces; none is held beyond the limit",
    run: ndjson,
    seeds: || {
        let texts = [
            "{\"id\":\"1\"}\n{\"id\":\"2\"}\r\n\n[3]",
            "\n \r\n12345678901234567890\nx\n",
            "no end at all, and none is to be expected of it",
        ];
        let seed =
            |text: &&str| [[3, 8], [1, 30], [40, 60]].map(|of| [&of, text.as_bytes()].concat());
        texts.iter().flat_map(seed).collect()
    },
    dictionary: &["\n", "\r\n", "\n\n", " ", "{}", "\r"],
    longest: 512,
};

fn ndjson(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut size = || usize::from(input.arbitrary::<u8>().expect("a byte")).max(1);
    let (piece, longest) = (size(), size());
    let text = input.take_rest();
    let found = split(text, piece, longest);
    assert!(
        found.most_held <= longest,
        "{} bytes were held of a line of {longest}",
        found.most_held
    );
    let wanted = lines(text, longest);
    if found.lost.is_none() {
        assert_eq!(found.lines, wanted);
        return;
    }
    // The lines before the one without an end are returned.
    assert_eq!(found.lines, wanted[..found.lines.len()]);
    let longest_line = text.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert!(
        longest_line > Some(2 * longest),
        "a line with an end in sight was given up"
    );
}

/// What the splitter made of a text in pieces.
struct Found {
    /// The lines before the one that was given up.
    lines: Vec<Line>,
    lost: Option<Lost>,
    /// Most bytes held of a line that had not ended.
    most_held: usize,
}

/// Splits a text that comes `piece` bytes at a time into lines of no more than `longest` bytes.
fn split(text: &[u8], piece: usize, longest: usize) -> Found {
    let mut splitter = Splitter::new(longest);
    let mut found = Found {
        lines: Vec::new(),
        lost: None,
        most_held: 0,
    };
    for piece in text.chunks(piece) {
        splitter.push(Bytes::copy_from_slice(piece));
        loop {
            match splitter.next_line() {
                Ok(Some(line)) => found.lines.push(line),
                Ok(None) => break,
                Err(lost) => {
                    found.lost = Some(lost);
                    return found;
                }
            }
        }
        found.most_held = found.most_held.max(splitter.held());
    }
    found.lines.extend(splitter.finish());
    found
}

/// The lines as one reads them off the whole text.
fn lines(text: &[u8], longest: usize) -> Vec<Line> {
    let numbered = (1..).zip(text.split(|byte| *byte == b'\n'));
    numbered
        .filter_map(|(number, line)| {
            if line.len() > longest {
                let text = Text::TooLong;
                return Some(Line { number, text });
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let blank = line.iter().all(u8::is_ascii_whitespace);
            (!blank).then(|| Line {
                number,
                text: Text::Whole(Bytes::copy_from_slice(line)),
            })
        })
        .collect()
}
