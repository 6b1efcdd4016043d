//! Server-sent events (WHATWG HTML, 9.2).
//!
//! An event is one `data:` line. `id:` makes some clients dispatch an empty event at the next
//! comment, and no client reads `retry:` and `event:`; none of them is written.

/// The media type of responses.
pub const CONTENT_TYPE: &str = "text/event-stream; charset=utf-8";

/// A comment that keeps proxies and clients from closing an idle stream.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// Whether an `Accept` header asks for events.
pub fn is_wanted(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let essence = range.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/event-stream")
    })
}

/// Appends one event; `json` has no line break.
pub fn write_event(out: &mut Vec<u8>, json: &[u8]) {
    debug_assert!(
        !json.iter().any(|byte| matches!(byte, b'\n' | b'\r')),
        "an event's data is one line"
    );
    out.reserve(json.len() + 8);
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data of each event, as the standard says to read it (WHATWG HTML, 9.2.6).
    fn read(stream: &str) -> Vec<String> {
        let mut events = Vec::new();
        let mut data: Vec<&str> = Vec::new();
        for line in stream.split('\n') {
            if line.is_empty() {
                if !data.is_empty() {
                    events.push(data.join("\n"));
                    data.clear();
                }
            } else if let Some((field, value)) = line.split_once(':') {
                assert!(["data", ""].contains(&field), "{line}");
                if field == "data" {
                    data.push(value.strip_prefix(' ').unwrap_or(value));
                }
            }
        }
        events
    }

    #[test]
    fn comments_between_events_are_no_events() {
        let mut stream = Vec::new();
        write_event(&mut stream, b"{}");
        stream.extend_from_slice(KEEP_ALIVE);
        write_event(&mut stream, b"[1]");
        assert_eq!(stream, b"data: {}\n\n:\n\ndata: [1]\n\n");
        assert_eq!(read(std::str::from_utf8(&stream).unwrap()), ["{}", "[1]"]);
    }

    #[test]
    fn events_are_asked_for_by_name() {
        assert!(is_wanted("application/json, Text/Event-Stream;q=0.5"));
        for accept in ["*/*", "text/*", "application/x-ndjson", ""] {
            assert!(!is_wanted(accept), "{accept}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_an_event(texts in proptest::collection::vec(any::<String>(), 0..5)) {
            let mut stream = Vec::new();
            for text in &texts {
                write_event(&mut stream, &serde_json::to_vec(text).unwrap());
            }
            let events = read(std::str::from_utf8(&stream).unwrap());
            let back: Vec<String> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
            prop_assert_eq!(back, texts);
        }
    }
}
