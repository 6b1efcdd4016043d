//! Fetches the wheel with the user's pip: their proxy, mirror and certificates apply.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serin_engine::onnx::PINNED_VERSION;

use super::RuntimeError;
use super::release::Release;

/// The wheel has 24 MB; a line that needs longer than this is not coming.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Downloads the wheel into `folder`.
pub fn wheel(release: &Release, folder: &Path) -> Result<PathBuf, RuntimeError> {
    let wheels = folder.join("wheel");
    eprintln!(
        "fetching onnxruntime {PINNED_VERSION} for {} with pip (about 24 MB)",
        release.platform
    );
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "--disable-pip-version-check", "download"])
        .args(["--no-deps", "--only-binary=:all:", "--no-input"])
        // The wheel is only unpacked: which Python this is must not matter.
        .args([
            "--implementation",
            "cp",
            "--python-version",
            "3.13",
            "--abi",
            "cp313",
        ])
        .args(["--platform", release.platform, "--dest"])
        .arg(&wheels)
        .arg(format!("onnxruntime=={PINNED_VERSION}"))
        .stdin(Stdio::null());
    let watched = std::io::stderr().is_terminal();
    if watched {
        // pip's progress bar. It writes to standard output, which is not ours to fill.
        command
            .stdout(Stdio::from(std::io::stderr()))
            .stderr(Stdio::piped());
    } else {
        command
            .arg("--progress-bar=off")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
    }
    let complaint = finish(command)?;
    let wheel = std::fs::read_dir(&wheels)
        .ok()
        .and_then(|mut entries| entries.find_map(|entry| Some(entry.ok()?.path())));
    wheel.ok_or_else(|| RuntimeError::Fetch(format!("pip brought no wheel: {complaint}")))
}

/// Runs pip to its end or to the deadline; what it complained about, on success too.
fn finish(mut command: Command) -> Result<String, RuntimeError> {
    let mut child = command.spawn().map_err(|error| {
        RuntimeError::Fetch(format!(
            "python3, which runs pip, cannot be started: {error}"
        ))
    })?;
    let stderr = child.stderr.take();
    let complaint = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(stderr) = stderr {
            // What follows is not worth memory; pip ends all the same, its pipe is drained below.
            let mut bounded = stderr.take(64 * 1024);
            let _ = bounded.read_to_end(&mut text);
            let _ = std::io::copy(&mut bounded.into_inner(), &mut std::io::sink());
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text
            .lines()
            .rev()
            .find(|line| line.contains("ERROR") || line.contains("No module"));
        line.or(text.lines().last())
            .unwrap_or_default()
            .trim()
            .to_owned()
    });
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if started.elapsed() < DEADLINE => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(RuntimeError::Fetch(format!(
                    "pip did not end within {} minutes",
                    DEADLINE.as_secs() / 60
                )));
            }
            Err(error) => {
                return Err(RuntimeError::Fetch(format!(
                    "pip cannot be waited for: {error}"
                )));
            }
        }
    };
    let complaint = complaint.join().unwrap_or_default();
    if status.success() {
        Ok(complaint)
    } else {
        Err(RuntimeError::Fetch(format!(
            "pip failed ({status}): {complaint}"
        )))
    }
}
