//! Where a value stands in a request.

use std::fmt;

/// The place of a value in an element of a list, such as `inputs[2].shape`. It is spelled out only
/// when something is wrong there: in most requests nothing is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    list: &'static str,
    index: usize,
    member: &'static str,
}

impl Place {
    /// The element at `index` itself.
    pub(super) fn element(list: &'static str, index: usize) -> Self {
        Self {
            list,
            index,
            member: "",
        }
    }

    /// A member of the element, or one of a member's (`parameters.binary_data`).
    pub(super) fn member(self, member: &'static str) -> Self {
        Self { member, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.list, self.index)?;
        if !self.member.is_empty() {
            write!(f, ".{}", self.member)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_one_would_write_it() {
        let element = Place::element("inputs", 2);
        assert_eq!(element.to_string(), "inputs[2]");
        assert_eq!(element.member("shape").to_string(), "inputs[2].shape");
    }
}
