//! `serin runtime`: gets ONNX Runtime onto this machine.

mod fetch;
mod release;
mod unpack;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serin_engine::onnx::{PINNED_VERSION, cache_path};
use sha2::{Digest, Sha256};

use crate::args::InstallArgs;
use release::Release;

/// Why the library cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No build of ONNX Runtime is pinned for this machine.
    #[error(
        "no ONNX Runtime is pinned for {os} on {arch}; build or get libonnxruntime {PINNED_VERSION} yourself and name it \
         with --runtime-library or SERIN_ONNXRUNTIME"
    )]
    NoRelease {
        /// The operating system.
        os: &'static str,
        /// The processor.
        arch: &'static str,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("there is no cache folder to put ONNX Runtime into; set HOME or XDG_CACHE_HOME")]
    NoCache,
    /// The library is not in the cache.
    #[error("ONNX Runtime is not at {path}; run `serin runtime install`", path = .0.display())]
    NotInstalled(PathBuf),
    /// A file or folder that the system refuses.
    #[error("{path}: {reason}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// pip did not bring the wheel.
    #[error(
        "{0}; where this machine has no internet, fetch the wheel on another one (`pip download --no-deps \
         onnxruntime=={PINNED_VERSION}`) and name it with --wheel"
    )]
    Fetch(String),
    /// A file that is no wheel of ONNX Runtime.
    #[error("{path}: {reason}; name a wheel of onnxruntime {PINNED_VERSION} for this machine", path = .path.display())]
    NotTheWheel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A library that is not the pinned one.
    #[error(
        "{from} holds a library with SHA-256 {found}, and {wanted} is pinned for ONNX Runtime {PINNED_VERSION}; get that \
         release, or use this library at your own risk with --runtime-library or SERIN_ONNXRUNTIME"
    )]
    WrongHash {
        /// Where the library came from.
        from: String,
        /// Its SHA-256.
        found: String,
        /// The pinned one.
        wanted: &'static str,
    },
}

impl RuntimeError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |reason| Self::Io {
            path: path.to_owned(),
            reason,
        }
    }
}

/// Where the library is, or is to be.
///
/// # Errors
/// [`RuntimeError::NoCache`].
pub fn destination() -> Result<PathBuf, RuntimeError> {
    cache_path(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"))
        .ok_or(RuntimeError::NoCache)
}

/// Prints where the library is.
///
/// # Errors
/// [`RuntimeError::NotInstalled`], [`RuntimeError::NoCache`].
pub fn print_path() -> Result<(), RuntimeError> {
    let path = destination()?;
    if !path.is_file() {
        return Err(RuntimeError::NotInstalled(path));
    }
    println!("{}", path.display());
    Ok(())
}

/// Puts the pinned library into the cache, whole or not at all.
///
/// # Errors
/// [`RuntimeError`], whose text says the cure.
pub fn install(args: &InstallArgs) -> Result<PathBuf, RuntimeError> {
    let release = Release::of_this_machine()?;
    let destination = destination()?;
    if let Ok(mut file) = File::open(&destination)
        && hash_of(&mut file).is_ok_and(|hash| hash == release.sha256)
    {
        eprintln!(
            "ONNX Runtime {PINNED_VERSION} is already at {}",
            destination.display()
        );
        return Ok(destination);
    }
    let folder = destination.parent().ok_or(RuntimeError::NoCache)?;
    fs::create_dir_all(folder).map_err(RuntimeError::io(folder))?;
    // In the folder itself, so that the last step is a rename; removed whatever happens.
    let work = tempfile::Builder::new()
        .prefix(".install-")
        .tempdir_in(folder)
        .map_err(RuntimeError::io(folder))?;
    let part = work.path().join("library");
    let InstallArgs { wheel, library } = args;
    let from = match (library, wheel) {
        (Some(library), _) => {
            copy(library, &part)?;
            library.clone()
        }
        (None, Some(wheel)) => {
            unpack::library(wheel, release, &part)?;
            wheel.clone()
        }
        (None, None) => {
            let wheel = fetch::wheel(release, work.path())?;
            eprintln!("unpacking {}", release.member);
            unpack::library(&wheel, release, &part)?;
            wheel
        }
    };
    let found = File::open(&part)
        .and_then(|mut file| hash_of(&mut file))
        .map_err(RuntimeError::io(&part))?;
    if found != release.sha256 {
        return Err(RuntimeError::WrongHash {
            from: from.display().to_string(),
            found,
            wanted: release.sha256,
        });
    }
    fs::rename(&part, &destination).map_err(RuntimeError::io(&destination))?;
    eprintln!(
        "ONNX Runtime {PINNED_VERSION} is at {}",
        destination.display()
    );
    Ok(destination)
}

fn copy(from: &Path, to: &Path) -> Result<(), RuntimeError> {
    let mut source = File::open(from).map_err(RuntimeError::io(from))?;
    write_bounded(&mut source, to)?;
    Ok(())
}

/// Copies at most [`release::LARGEST_LIBRARY`] bytes to disk, synced.
fn write_bounded(from: &mut dyn Read, to: &Path) -> Result<(), RuntimeError> {
    let mut file = File::create(to).map_err(RuntimeError::io(to))?;
    io::copy(&mut from.take(release::LARGEST_LIBRARY), &mut file)
        .and_then(|_| file.flush())
        .and_then(|()| file.sync_all())
        .map_err(RuntimeError::io(to))
}

/// SHA-256 of all that `reader` gives, in hexadecimal.
pub fn hash_of(reader: &mut dyn Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(hex::encode(hasher.finalize())),
            Ok(read) => hasher.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
