//! Models: fetched, checked, loaded, and found by name.

mod client;
mod default_version;
mod digest;
mod entry;
mod error;
mod fetch;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod load;
mod memory;
mod open;
mod options;
mod preflight;
mod registry;
mod repository;
mod serving;
mod source;

pub(crate) use memory::plan_here as memory_plan_here;

pub use default_version::{DefaultVersionPolicy, VersionState, default_version};
pub use error::LoadError;
pub use open::check;
pub use options::{LoadBounds, LoaderOptions, SourceOptions};
pub use preflight::enter as enter_preflight;
pub use registry::{Registry, load_all};
pub use repository::Repository;
pub use serving::{Runner, ServingModel};
pub use source::{LocalArtifact, locate};
