//! Waiting for what will be so.

use std::future::Future;
use std::time::{Duration, Instant};

/// How often a state is looked at.
pub const POLL: Duration = Duration::from_millis(200);

/// Asks until the answer is `Ok`, and gives it back.
///
/// # Panics
/// When it is still an `Err` at the end of `limit`: with `what` and the last error.
pub async fn eventually<T, F, Fut>(what: &str, limit: Duration, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(state) if began.elapsed() > limit => {
                panic!("not within {limit:?}: {what}\n  at the end: {state}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// The same where nothing can be awaited: in `Drop`, or before there is a runtime.
///
/// # Panics
/// As [`eventually`] does.
pub fn eventually_blocking<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(state) if began.elapsed() > limit => {
                panic!("not within {limit:?}: {what}\n  at the end: {state}")
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Whole seconds, for readable tests.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
