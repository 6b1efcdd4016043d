//! Where log lines go and how they look: JSON on standard error, text on a terminal; and which
//! are written, which may change while the process runs.

mod lossy;
mod standard_error;

use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

pub use self::standard_error::Log;
pub(super) use self::standard_error::dropped;
use self::standard_error::{lines, log_panics, write_lines};

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

/// Which lines are written, as Triton's clients set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Lines of level `error`.
    pub error: bool,
    /// Lines of level `warn`.
    pub warning: bool,
    /// Lines of level `info`.
    pub info: bool,
    /// Serin's own lines of level `debug` from 1, `trace` from 2.
    pub verbose_level: u32,
    /// `json` or `text`; does not change.
    pub format: &'static str,
}

type Filter = Box<dyn Layer<Registry> + Send + Sync>;

/// Which lines are written, and the handle that changes it.
struct Control {
    /// As given at the start, in the syntax of `RUST_LOG`.
    filter: String,
    start: LogSettings,
    now: Mutex<LogSettings>,
    handle: reload::Handle<Filter, Registry>,
}

/// The log of this process.
static CONTROL: OnceLock<Control> = OnceLock::new();

/// The settings where [`init`] has not set up the log.
const NO_LOG: LogSettings = LogSettings {
    error: false,
    warning: false,
    info: false,
    verbose_level: 0,
    format: "text",
};

/// Why the log's settings cannot change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program that embeds the server has its own log")]
pub struct NotOurs;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter cannot be read.
    #[error(transparent)]
    Filter(#[from] ParseError),
    /// The system gives no thread to write from.
    #[error("no thread can be started to write the log: {0}")]
    Thread(io::Error),
}

/// Sends the process's logs to standard error. `filter` is in the syntax of `RUST_LOG`:
/// `info`, `serin_dataplane=debug,warn`, `serin::access=debug`...
///
/// Logging does not wait for the reader of the log: lines without room are dropped and counted.
///
/// # Errors
/// [`InitError`]. A second call in one process keeps the first one's settings.
pub fn init(filter: &str, format: LogFormat) -> Result<Log, InitError> {
    let text = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    let start = start_settings(filter, if text { "text" } else { "json" });
    let initial: Filter = EnvFilter::try_new(filter)?.boxed();
    let (layer, handle) = reload::Layer::new(initial);
    let registry = tracing_subscriber::registry().with(layer);
    // An embedding program or a test may have set logging up before.
    let ours = if text {
        let lines = fmt::layer()
            .with_writer(lines)
            .with_ansi(io::stderr().is_terminal());
        registry.with(lines).try_init()
    } else {
        let lines = fmt::layer()
            .with_writer(lines)
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false);
        registry.with(lines).try_init()
    };
    if ours.is_ok() {
        let _ = CONTROL.set(Control {
            filter: filter.to_owned(),
            now: Mutex::new(start.clone()),
            start,
            handle,
        });
        write_lines().map_err(InitError::Thread)?;
        log_panics();
    }
    Ok(Log(()))
}

/// Which lines are written now.
pub fn settings() -> LogSettings {
    CONTROL.get().map_or(NO_LOG, |control| {
        let now = control.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.clone()
    })
}

/// Which lines were written at the start.
pub fn start() -> LogSettings {
    CONTROL
        .get()
        .map_or(NO_LOG, |control| control.start.clone())
}

/// Changes which lines are written, from the next one on.
///
/// # Errors
/// [`NotOurs`].
pub fn change(settings: LogSettings) -> Result<(), NotOurs> {
    let control = CONTROL.get().ok_or(NotOurs)?;
    let mut now = control.now.lock().unwrap_or_else(PoisonError::into_inner);
    let text = filter_text(&control.filter, &control.start, &settings);
    // The start's filter was read; what is added to it is a list of levels.
    let filter = EnvFilter::try_new(text).map_err(|_| NotOurs)?;
    let layer: Filter = match hidden(&settings) {
        [] => filter.boxed(),
        hidden => {
            let hidden = hidden.to_vec();
            filter
                .and_then(filter_fn(move |line| !hidden.contains(line.level())))
                .boxed()
        }
    };
    control.handle.reload(layer).map_err(|_| NotOurs)?;
    *now = settings;
    Ok(())
}

/// The settings that a filter amounts to for Serin's own lines.
fn start_settings(filter: &str, format: &'static str) -> LogSettings {
    let level = own_level(filter);
    LogSettings {
        error: level >= LevelFilter::ERROR,
        warning: level >= LevelFilter::WARN,
        info: level >= LevelFilter::INFO,
        verbose_level: match level {
            LevelFilter::TRACE => 2,
            LevelFilter::DEBUG => 1,
            _ => 0,
        },
        format,
    }
}

/// The level of Serin's own lines: that of the most specific directive that means all of them.
fn own_level(filter: &str) -> LevelFilter {
    filter
        .split(',')
        .filter_map(|directive| {
            let directive = directive.trim();
            if let Ok(level) = LevelFilter::from_str(directive) {
                return (!directive.is_empty()).then_some((0, level));
            }
            let (target, level) = directive.split_once('=').unwrap_or((directive, "trace"));
            let ours = !target.is_empty() && "serin_dataplane".starts_with(target);
            let level = LevelFilter::from_str(level).ok()?;
            ours.then_some((target.len(), level))
        })
        // The last of equals, as in the filter.
        .max_by_key(|(length, _)| *length)
        .map_or(LevelFilter::ERROR, |(_, level)| level)
}

/// The filter for these settings: the start's, with another level for Serin's own lines where one
/// is wanted.
fn filter_text(filter: &str, start: &LogSettings, wanted: &LogSettings) -> String {
    let level = |settings: &LogSettings| match settings {
        LogSettings {
            verbose_level: 1, ..
        } => "debug",
        LogSettings {
            verbose_level: 2.., ..
        } => "trace",
        LogSettings { info: true, .. } => "info",
        LogSettings { warning: true, .. } => "warn",
        LogSettings { error: true, .. } => "error",
        _ => "off",
    };
    let own = level(wanted);
    if own == level(start) {
        return filter.to_owned();
    }
    let separator = if filter.trim().is_empty() { "" } else { "," };
    format!("{filter}{separator}serin={own},serin_dataplane={own}")
}

/// The levels that are switched off one by one, whoever writes.
fn hidden(settings: &LogSettings) -> &'static [Level] {
    const E: Level = Level::ERROR;
    const W: Level = Level::WARN;
    const I: Level = Level::INFO;
    match (settings.error, settings.warning, settings.info) {
        (true, true, true) => &[],
        (true, true, false) => &[I],
        (true, false, true) => &[W],
        (true, false, false) => &[W, I],
        (false, true, true) => &[E],
        (false, true, false) => &[E, I],
        (false, false, true) => &[E, W],
        (false, false, false) => &[E, W, I],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starts_filter_is_shown_as_settings() {
        let shown = |filter| {
            let LogSettings {
                error,
                warning,
                info,
                verbose_level,
                ..
            } = start_settings(filter, "json");
            (error, warning, info, verbose_level)
        };
        assert_eq!(shown("info"), (true, true, true, 0));
        assert_eq!(shown("warn,serin::access=debug"), (true, true, false, 0));
        assert_eq!(shown("serin_dataplane=debug,warn"), (true, true, true, 1));
        assert_eq!(shown("serin=trace,hyper=off"), (true, true, true, 2));
        assert_eq!(shown("off"), (false, false, false, 0));
        assert_eq!(shown(""), (true, false, false, 0));
    }

    #[test]
    fn settings_as_at_the_start_are_the_starts_filter() {
        let filter = "warn,hyper=debug";
        let start = start_settings(filter, "json");
        assert_eq!(filter_text(filter, &start, &start), filter);
        let verbose = LogSettings {
            verbose_level: 1,
            ..start.clone()
        };
        assert_eq!(
            filter_text(filter, &start, &verbose),
            "warn,hyper=debug,serin=debug,serin_dataplane=debug"
        );
        assert_eq!(
            filter_text("", &start, &verbose),
            "serin=debug,serin_dataplane=debug"
        );
    }

    #[test]
    fn every_filter_that_is_made_can_be_read() {
        for filter in ["info", "", "serin_dataplane=debug,warn", "off"] {
            let start = start_settings(filter, "json");
            for level in 0..4 {
                let wanted = LogSettings {
                    verbose_level: level,
                    info: level % 2 == 0,
                    ..start.clone()
                };
                let text = filter_text(filter, &start, &wanted);
                assert!(EnvFilter::try_new(&text).is_ok(), "{text}");
            }
        }
    }
}
