//! The headers `traceparent` and `tracestate` (W3C Trace Context): the trace that a caller's request
//! is part of.

/// Most members of a `tracestate`, and most characters of it that are passed on.
const STATE_MEMBERS: usize = 32;
const STATE_LENGTH: usize = 512;

/// A place in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) sampled: bool,
    /// What others along the way keep in the trace; empty when nothing.
    pub(super) state: String,
}

impl Context {
    /// The start of a trace. Ids of zero mean none and are not given.
    pub(super) fn root(trace_id: u128, span_id: u64, sampled: bool) -> Self {
        Self {
            trace_id: trace_id.max(1),
            span_id: span_id.max(1),
            sampled,
            state: String::new(),
        }
    }

    /// The next place of the same trace, sampled as its caller decided.
    pub(super) fn child(&self, span_id: u64) -> Self {
        Self {
            span_id: span_id.max(1),
            ..self.clone()
        }
    }

    /// What the headers say; `None`, which starts a new trace, if there is no `traceparent`, more
    /// than one, or one that is none. `tracestate` means nothing without it.
    pub(super) fn read<'h>(
        mut parents: impl Iterator<Item = &'h [u8]>,
        states: impl Iterator<Item = &'h [u8]>,
    ) -> Option<Self> {
        let parent = std::str::from_utf8(parents.next()?).ok()?;
        if parents.next().is_some() {
            return None;
        }
        let (trace_id, span_id, sampled) = parent_fields(parent)?;
        Some(Self {
            trace_id,
            span_id,
            sampled,
            state: state(states).unwrap_or_default(),
        })
    }

    /// The value of a `traceparent` header that names this place.
    pub(super) fn header(&self) -> String {
        format!(
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.sampled)
        )
    }

    pub(super) fn trace_id_text(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// Trace id, span id and whether the caller samples. Of a version that is not known yet the first
/// four fields mean what they mean today.
fn parent_fields(text: &str) -> Option<(u128, u64, bool)> {
    let hex = |from: usize, to: usize| {
        text.get(from..to).filter(|field| {
            field
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let dash = |at: usize| text.as_bytes().get(at) == Some(&b'-');
    let version = hex(0, 2)?;
    let whole = match version {
        "ff" => false,
        "00" => text.len() == 55,
        _ => text.len() == 55 || dash(55),
    };
    if !(whole && dash(2) && dash(35) && dash(52)) {
        return None;
    }
    let trace_id = u128::from_str_radix(hex(3, 35)?, 16).ok()?;
    let span_id = u64::from_str_radix(hex(36, 52)?, 16).ok()?;
    let flags = u8::from_str_radix(hex(53, 55)?, 16).ok()?;
    (trace_id != 0 && span_id != 0).then_some((trace_id, span_id, flags & 1 == 1))
}

/// The members of all `tracestate` headers; `None` if one of them cannot be read or they are too
/// many. What does not fit is dropped from the end, whole members at a time.
fn state<'h>(headers: impl Iterator<Item = &'h [u8]>) -> Option<String> {
    let mut members = Vec::new();
    for header in headers {
        let header = std::str::from_utf8(header).ok()?;
        let own = header
            .split(',')
            .map(|member| member.trim_matches([' ', '\t']));
        for member in own.filter(|member| !member.is_empty()) {
            if !is_member(member) || members.len() == STATE_MEMBERS {
                return None;
            }
            members.push(member);
        }
    }
    let mut state = String::new();
    for member in members {
        let comma = usize::from(!state.is_empty());
        if state.len() + comma + member.len() > STATE_LENGTH {
            break;
        }
        state.push_str(&","[..comma]);
        state.push_str(member);
    }
    Some(state)
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else {
        return false;
    };
    let of_key =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let begins = key
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let of_value = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=';
    begins
        && key.len() <= 256
        && key.bytes().all(of_key)
        && (1..=256).contains(&value.len())
        && value.bytes().all(of_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(parents: &[&str], states: &[&str]) -> Option<Context> {
        Context::read(
            parents.iter().map(|text| text.as_bytes()),
            states.iter().map(|text| text.as_bytes()),
        )
    }

    #[test]
    fn a_callers_place_is_read_and_written_as_it_came() {
        let context = read(&[PARENT], &["a=1, b@c=2", "d=3"]).unwrap();
        assert_eq!(context.header(), PARENT);
        assert_eq!(context.state, "a=1,b@c=2,d=3");
        assert!(context.sampled);
        let child = context.child(7);
        assert_eq!(child.trace_id_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(child.header().ends_with("-0000000000000007-01"));
    }

    #[test]
    fn a_version_of_the_future_is_read_by_its_first_four_fields() {
        let later = PARENT.replacen("00", "cc", 1);
        for text in [later.clone(), format!("{later}-what-comes-later")] {
            assert!(read(&[&text], &[]).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_no_parent_starts_a_new_trace() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        for text in [
            "",
            "00",
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &format!("{PARENT}-more"),
            &format!("{}more", PARENT.replacen("00", "cc", 1)),
            &PARENT[..54],
            &PARENT.replace('-', "_"),
            &PARENT.replace("01", "0g"),
            &zero_trace,
            &zero_span,
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read(&[text], &["a=1"]), None, "{text}");
        }
        assert_eq!(read(&[PARENT, PARENT], &[]), None);
        assert_eq!(read(&[], &["a=1"]), None);
    }

    #[test]
    fn a_state_that_cannot_be_read_is_dropped_and_a_long_one_cut_between_members() {
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        for bad in ["a", "=1", "A=1", "a=", "a=b=c", &many.join(",")] {
            assert_eq!(read(&[PARENT], &[bad]).unwrap().state, "", "{bad}");
        }
        let long = format!("a={},b={},c=1", "x".repeat(250), "y".repeat(256));
        let kept = read(&[PARENT], &[&long]).unwrap().state;
        assert_eq!(kept, format!("a={},b={}", "x".repeat(250), "y".repeat(256)));
        assert!(kept.len() <= STATE_LENGTH);
    }
}
