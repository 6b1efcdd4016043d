//! Standard output and error. Colours are for people only: never into a file or a pipe, and not
//! where `NO_COLOR` is set.

use std::io::{IsTerminal, Write};

/// What a piece of text is.
#[derive(Clone, Copy)]
pub enum Tone {
    /// Something is wrong.
    Error,
    /// All is well.
    Good,
    /// Worth knowing.
    Note,
}

/// `text` for standard error.
pub fn on_stderr(tone: Tone, text: &str) -> String {
    painted(tone, text, coloured(std::io::stderr().is_terminal()))
}

/// `text` for standard output.
pub fn on_stdout(tone: Tone, text: &str) -> String {
    painted(tone, text, coloured(std::io::stdout().is_terminal()))
}

/// Writes to standard output. A reader that has seen enough (`serin crd | head`) is no failure.
pub fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn coloured(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn painted(tone: Tone, text: &str, coloured: bool) -> String {
    if !coloured {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Error => "1;31",
        Tone::Good => "1;32",
        Tone::Note => "1;33",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals() {
        assert_eq!(painted(Tone::Good, "ok", false), "ok");
        assert_eq!(painted(Tone::Good, "ok", true), "\u{1b}[1;32mok\u{1b}[0m");
    }
}
