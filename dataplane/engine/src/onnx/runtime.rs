//! Finds the ONNX Runtime library and opens it, once per process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use super::raw;
use super::silence::is_silent;

/// The release that Serin ships and that `serin runtime install` fetches.
pub const PINNED_VERSION: &str = "1.31.1";

/// The oldest release that is accepted: the `api-24` feature of `ort`. Before 1.31 a hostile
/// model could read files; [`super::ModelFile`] checks for that itself, whatever the release.
pub const MINIMUM_VERSION: &str = "1.24";

const LIBRARY: &str = "libonnxruntime.so.1";
const VARIABLE: &str = "SERIN_ONNXRUNTIME";
const SYSTEM_PATH: &str = "/usr/lib/serin/libonnxruntime.so.1";

/// The open library. Cheap to clone; one environment per process, whoever asks.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    path: PathBuf,
    /// Most bytes that tensors may take, once that was said; `None` where the library refused.
    memory: Arc<OnceLock<Option<usize>>>,
}

/// Why ONNX Runtime cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No candidate exists.
    #[error(
        "ONNX Runtime was not found (looked for {looked_for}): run `serin runtime install`, or name the library \
         with --runtime-library or {VARIABLE}"
    )]
    NotFound {
        /// The candidates, in order.
        looked_for: String,
    },
    /// A library that cannot be loaded.
    #[error(
        "ONNX Runtime at {path} cannot be loaded ({reason}): run `serin runtime install`, or name another library \
         with --runtime-library or {VARIABLE}"
    )]
    Unusable {
        /// The library.
        path: String,
        /// The loader's reason.
        reason: String,
    },
    /// The process was not started in a way that keeps the library from reporting to its maker.
    #[error(
        "ONNX Runtime would report its use to its maker: start this program with ORT_DISABLE_TELEMETRY=1"
    )]
    WouldReport,
    /// A library older than [`MINIMUM_VERSION`].
    #[error(
        "ONNX Runtime at {path} is version {version}, at least {MINIMUM_VERSION} is needed: run \
         `serin runtime install`, or name another library with --runtime-library or {VARIABLE}"
    )]
    TooOld {
        /// The library.
        path: String,
        /// Its version.
        version: String,
    },
}

/// Where the library may be: what the caller names, and what the machine offers.
struct Places {
    named: Option<PathBuf>,
    executable: Option<PathBuf>,
    cache: Option<PathBuf>,
}

impl Runtime {
    /// Opens ONNX Runtime. `named` is the `--runtime-library` flag; without it `SERIN_ONNXRUNTIME`,
    /// the executable's folder, the user's cache, `/usr/lib/serin` and the system's library path
    /// are looked at, in this order. The first call decides for the process.
    ///
    /// # Errors
    /// [`RuntimeError`], whose text says the cure.
    pub fn open(named: Option<&Path>) -> Result<Self, RuntimeError> {
        // Not a OnceLock: a failed look-up may be followed by an installation and a retry.
        static OPEN: Mutex<Option<Runtime>> = Mutex::new(None);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = open.as_ref() {
            return Ok(runtime.clone());
        }
        let path = Self::find(named)?;
        let runtime = Self::load(path)?;
        *open = Some(runtime.clone());
        Ok(runtime)
    }

    /// The library that [`Runtime::open`] opens if it is the first call.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`].
    pub fn find(named: Option<&Path>) -> Result<PathBuf, RuntimeError> {
        let places = Places {
            named: named.map(Path::to_path_buf).or_else(|| {
                std::env::var_os(VARIABLE)
                    .filter(|path| !path.is_empty())
                    .map(PathBuf::from)
            }),
            executable: std::env::current_exe().ok(),
            cache: cache_path(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")),
        };
        places.choose(&|path| path.exists())
    }

    fn load(path: PathBuf) -> Result<Self, RuntimeError> {
        if !is_silent() {
            return Err(RuntimeError::WouldReport);
        }
        let unusable = |reason: String| RuntimeError::Unusable {
            path: path.display().to_string(),
            reason,
        };
        let builder = ort::init_from(&path).map_err(|error| match error {
            ort::LoadDynamicError::BadVersion { version_str, path } => RuntimeError::TooOld {
                path: path.display().to_string(),
                version: version_str,
            },
            other => unusable(other.to_string()),
        })?;
        let environment = builder
            .with_name("serin")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        environment.set_log_level(LogLevel::Warning);
        tracing::info!(library = %path.display(), "opened ONNX Runtime");
        Ok(Self {
            environment,
            path,
            memory: Arc::default(),
        })
    }

    /// Lets the tensors and weights of all models that are opened from now on take at most `bytes`
    /// together. What an operator keeps elsewhere (the characters of strings) is not counted. The
    /// first call decides for the process.
    pub fn bound_memory(&self, bytes: u64) {
        self.memory.get_or_init(|| {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            match raw::bound_memory(&self.environment, bytes) {
                Ok(()) => Some(bytes),
                Err(error) => {
                    tracing::warn!(%error, "the memory of models is not bounded");
                    None
                }
            }
        });
    }

    /// What tensors and weights may take together, in bytes, if that is bounded.
    pub(super) fn memory(&self) -> Option<usize> {
        self.memory.get().copied().flatten()
    }

    /// The library in use.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}

impl Places {
    /// The first place that exists; a named one is not passed over.
    fn choose(self, exists: &dyn Fn(&Path) -> bool) -> Result<PathBuf, RuntimeError> {
        if let Some(named) = self.named {
            return if exists(&named) {
                Ok(named)
            } else {
                Err(RuntimeError::NotFound {
                    looked_for: named.display().to_string(),
                })
            };
        }
        let beside = self
            .executable
            .as_deref()
            .and_then(Path::parent)
            .map(|folder| folder.join(LIBRARY));
        let candidates: Vec<PathBuf> = beside
            .into_iter()
            .chain(self.cache)
            .chain([PathBuf::from(SYSTEM_PATH)])
            .chain(system_folders().map(|folder| Path::new(folder).join(LIBRARY)))
            .collect();
        candidates
            .iter()
            .find(|path| exists(path))
            .cloned()
            .ok_or_else(|| RuntimeError::NotFound {
                looked_for: candidates
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}

/// Where the dynamic loader of Debian- and Red-Hat-like systems looks.
fn system_folders() -> impl Iterator<Item = &'static str> {
    let multiarch = match std::env::consts::ARCH {
        "aarch64" => "/usr/lib/aarch64-linux-gnu",
        _ => "/usr/lib/x86_64-linux-gnu",
    };
    ["/usr/local/lib", multiarch, "/usr/lib64", "/usr/lib"].into_iter()
}

/// Where `serin runtime install` puts the library:
/// `${XDG_CACHE_HOME:-$HOME/.cache}/serin/onnxruntime/VERSION/libonnxruntime.so.1`; `None` without
/// either variable.
pub fn cache_path(xdg_cache_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let folder = xdg_cache_home
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| {
            home.filter(|home| !home.is_empty())
                .map(|home| Path::new(&home).join(".cache"))
        })?;
    Some(
        folder
            .join("serin/onnxruntime")
            .join(PINNED_VERSION)
            .join(LIBRARY),
    )
}

/// The runtime's own lines, at levels that keep them out of the default log: what matters of them
/// comes back as errors.
fn log(level: LogLevel, category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Verbose | LogLevel::Info => {
            tracing::trace!(target: "onnxruntime", category, "{message}");
        }
        LogLevel::Warning | LogLevel::Error | LogLevel::Fatal => {
            tracing::debug!(target: "onnxruntime", category, "{message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(named: Option<&str>) -> Places {
        Places {
            named: named.map(PathBuf::from),
            executable: Some("/opt/serin/bin/serin".into()),
            cache: cache_path(None, Some("/home/ann".into())),
        }
    }

    #[test]
    fn a_named_library_is_not_passed_over() {
        let error =
            places(Some("/nowhere/lib.so")).choose(&|path| path != Path::new("/nowhere/lib.so"));
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("/nowhere/lib.so") && text.contains("serin runtime install"),
            "{text}"
        );
    }

    #[test]
    fn the_look_up_order_is_executable_cache_shipped_system() {
        let order = [
            "/opt/serin/bin/libonnxruntime.so.1",
            "/home/ann/.cache/serin/onnxruntime/1.31.1/libonnxruntime.so.1",
            "/usr/lib/serin/libonnxruntime.so.1",
            "/usr/local/lib/libonnxruntime.so.1",
        ];
        for (at, expected) in order.iter().enumerate() {
            let there = &order[at..];
            let chosen = places(None)
                .choose(&|path| there.iter().any(|there| path == Path::new(there)))
                .unwrap();
            assert_eq!(chosen, Path::new(expected));
        }
    }

    #[test]
    fn nothing_found_names_every_place_and_the_cure() {
        let text = places(None).choose(&|_| false).unwrap_err().to_string();
        for part in [
            "/opt/serin/bin",
            "/home/ann/.cache",
            "/usr/lib/serin",
            "serin runtime install",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn the_cache_is_under_xdg_cache_home_where_that_is_set() {
        let path = cache_path(Some("/cache".into()), Some("/home/ann".into())).unwrap();
        assert!(path.starts_with("/cache/serin"), "{path:?}");
        assert_eq!(cache_path(None, None), None);
    }
}
