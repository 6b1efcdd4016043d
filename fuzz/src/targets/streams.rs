//! What comes on a stream: rows.

use serin_dataplane::fuzzing::protocol::{self, NdjsonLine};

use crate::Target;
use crate::picks::Picks;

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
    let mut picks = Picks::new(data);
    let piece = usize::from(picks.byte()).max(1);
    let longest = usize::from(picks.byte()).max(1);
    let text = picks.rest();
    let found = protocol::ndjson(text, piece, longest);
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
    // What came before the line without an end is given all the same.
    assert_eq!(found.lines, wanted[..found.lines.len()]);
    let longest_line = text.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert!(
        longest_line > Some(2 * longest),
        "a line with an end in sight was given up"
    );
}

/// The lines as one reads them off the whole text.
fn lines(text: &[u8], longest: usize) -> Vec<NdjsonLine> {
    let numbered = (1..).zip(text.split(|byte| *byte == b'\n'));
    numbered
        .filter_map(|(number, line)| {
            if line.len() > longest {
                return Some(NdjsonLine { number, text: None });
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let blank = line.iter().all(u8::is_ascii_whitespace);
            (!blank).then(|| NdjsonLine {
                number,
                text: Some(line.to_vec()),
            })
        })
        .collect()
}
