//! Percent-encoding of names in paths (RFC 3986, 2.1).

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `name` as one segment of a path.
pub(crate) fn segment(name: &str) -> impl fmt::Display {
    utf8_percent_encode(name, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_it_holds() {
        for (name, expected) in [
            ("iris-1.0_a~b", "iris-1.0_a~b"),
            ("a/b c", "a%2Fb%20c"),
            ("é%", "%C3%A9%25"),
        ] {
            assert_eq!(segment(name).to_string(), expected);
        }
    }
}
