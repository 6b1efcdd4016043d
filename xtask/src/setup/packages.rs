//! Programs from the system's package manager.
use std::{process::Command, sync::Once, time::Duration};

use crate::{
    error::{Error, Result},
    process,
};

const LIMIT: Duration = Duration::from_secs(600);
const RETRY: &str = "-oAcquire::Retries=3";

/// Makes sure that a program is there: Debian's package is installed where we may, else the error says what to do.
pub fn need(program: &str, package: &str) -> Result {
    if process::exists(program) {
        return Ok(());
    }
    install(program, package)?;
    if process::exists(program) {
        Ok(())
    } else {
        Err(missing(program, package))
    }
}

/// Installs a package whose presence the caller has checked.
pub fn install(what: &str, package: &str) -> Result {
    static UPDATE: Once = Once::new();
    if !process::exists("apt-get") || !may_install() {
        return Err(missing(what, package));
    }
    // Package lists may be missing or old on a fresh machine. Where updating fails, installing says why.
    UPDATE.call_once(|| {
        let _ = process::output(Command::new("apt-get").args(["update", "-q", RETRY]), LIMIT);
    });
    println!("    installing Debian's package {package}");
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args([
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        RETRY,
        package,
    ]);
    process::output(&mut apt, LIMIT).map(drop)
}

fn may_install() -> bool {
    rustix::process::geteuid().is_root()
}

fn missing(what: &str, package: &str) -> Error {
    Error::Missing {
        what: what.into(),
        cure: format!(
            "install it (Debian and Ubuntu: `sudo apt-get install {package}`), or run the same command as root"
        ),
    }
}
