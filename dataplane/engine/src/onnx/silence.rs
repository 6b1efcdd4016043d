//! Keeps ONNX Runtime from reporting to its maker.
//!
//! Microsoft's builds (seen in 1.31.1 for Linux) keep a device id and a database of events under
//! the home folder and send them to a collector, unless a variable is set when the library starts;
//! what its C API offers to switch that off comes too late. A process cannot safely change its own
//! environment once it has threads, so it starts over with the variable set.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The variable that the library reads.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Whether this process may open the library.
pub(super) fn is_silent() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == "1")
}

/// Returns at once where the library will be silent; else replaces this process by itself, with
/// the same arguments and the variable set. To be called first in `main`: whatever was done before
/// is done again. `also` are variables of other libraries that read them before `main`; one that is
/// set already keeps its value.
///
/// # Errors
/// When the system refuses; [`super::Runtime::open`] then refuses to open the library.
pub fn silence_runtime(also: &[(&str, &str)]) -> io::Result<()> {
    let absent = also
        .iter()
        .filter(|(name, _)| std::env::var_os(name).is_none());
    if is_silent() && absent.clone().next().is_none() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    Err(Command::new(std::env::current_exe()?)
        .arg0(name)
        .args(arguments)
        .env(VARIABLE, "1")
        .envs(absent.copied())
        .exec())
}
