//! One process at a time builds, starts or ends.
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result, progress};

/// The holder may be building everything from nothing.
const LOCK_LIMIT: Duration = Duration::from_secs(3600);
/// Shorter waits are not worth a line.
const SILENT_FOR: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);

/// Takes a lock file, saying so when somebody else has it. It is free again when the file is dropped or its process ends, however.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(Error::file("open", path))?;
    let deadline = Instant::now() + LOCK_LIMIT;
    let began = Instant::now();
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => {
                return Err(Error::File {
                    action: "lock",
                    path: path.into(),
                    source,
                });
            }
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                return Err(Error::Leftover {
                    what: "another start or end of the cluster",
                    limit: LOCK_LIMIT,
                    detail: format!("it holds {}", path.display()),
                });
            }
            Err(TryLockError::WouldBlock) => {}
        }
        if !said && began.elapsed() > SILENT_FOR {
            progress::say("another process is at work on the same thing; waiting for it");
            said = true;
        }
        thread::sleep(POLL);
    }
}
