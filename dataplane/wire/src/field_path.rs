//! The path of a field within a request, for messages.

use std::fmt;

/// The path of a field of a list's element, such as `inputs[2].shape`. Formatting is deferred to the
/// error case, so that a valid request pays nothing for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldPath {
    list: &'static str,
    index: usize,
    member: &'static str,
}

impl FieldPath {
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

impl fmt::Display for FieldPath {
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
    fn a_path_reads_as_one_would_write_it() {
        let element = FieldPath::element("inputs", 2);
        assert_eq!(element.to_string(), "inputs[2]");
        assert_eq!(element.member("shape").to_string(), "inputs[2].shape");
    }
}
