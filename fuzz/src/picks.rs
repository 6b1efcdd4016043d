//! Small numbers taken off the front of an input, so that one input chooses its own settings.

/// What is left of an input.
#[derive(Clone, Copy, Debug)]
pub struct Picks<'a>(&'a [u8]);

impl<'a> Picks<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// The next byte; 0 once all are taken.
    pub fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    /// One of `choices`, of which there is at least one.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Everything that was not taken.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
