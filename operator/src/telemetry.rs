//! The log: one line per transition, nothing about a pass that found nothing to do.

use tracing_subscriber::EnvFilter;

use crate::settings::LogFormat;

/// Comes before SERIN_LOG, which may say otherwise. The client's runtime would add a span with
/// the cause of each pass to every line, which says nothing that our own fields do not.
const QUIET: &str = "kube_runtime=warn";

/// Starts logging to standard output. A level that cannot be read is named, and `info` holds.
pub fn start(format: LogFormat) {
    let wanted = std::env::var("SERIN_LOG").unwrap_or_else(|_| "info".into());
    let (filter, wrong) = match EnvFilter::try_new(format!("{QUIET},{wanted}")) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(format!("{QUIET},info")), Some(error)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, value = wanted, "SERIN_LOG cannot be read; logging at info");
    }
}
