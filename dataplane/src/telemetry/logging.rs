//! Where log lines go and how they look: JSON on standard error, text on a terminal.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Sends the process's logs to standard error. `filter` is in the syntax of `RUST_LOG`:
/// `info`, `serin_dataplane=debug,warn`, `serin::access=debug`...
///
/// # Errors
/// The filter cannot be read. A second call in one process keeps the first one's settings.
pub fn init(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let text = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    // An embedding program or a test may have set logging up before.
    let _ = if text {
        builder.with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
    };
    Ok(())
}
