//! From files on this machine to a model that can run: its files checked, its digest compared, tried
//! in a child process, opened by its backend.

use std::fmt::Display;
use std::sync::Arc;

use serin_crds::contract::pod_config::SourceConfig;

use super::digest;
use super::error::LoadError;
use super::options::LoaderOptions;
use super::preflight::{self, Outcome, PreflightCache, Trial};
use super::source::{LocalArtifact, locate};
use serin_core::types::Signature;
use serin_engine::text::{Embedder, NoEmbedder, tokenizer_file};
use serin_engine::{Artifact, Backend, Backends, OpenError, OpenOptions, Opened};

/// A model that can run, and what is known of it by then.
pub(super) struct OpenedModel {
    pub(super) opened: Opened,
    pub(super) artifact: Artifact,
    /// What its preflight found; `None` where it was not tried.
    pub(super) tried: Option<Outcome>,
    /// What lies beside it and makes it an embedder, or why it is none.
    pub(super) embedder: Result<Embedder, NoEmbedder>,
}

/// How a model is to be opened, besides what goes for all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// What its main file must hash to.
    pub(super) digest: Option<String>,
    /// It runs on a GPU.
    pub(super) gpu: bool,
    /// Its rows may be merged, if that proves safe.
    pub(super) merging: bool,
}

/// Opens the model of a source. Dropping the future ends a preflight.
///
/// # Errors
/// [`LoadError`].
pub(super) async fn open(
    located: &LocalArtifact,
    asked: Asked,
    options: &LoaderOptions,
) -> Result<OpenedModel, LoadError> {
    let Asked {
        digest,
        gpu,
        merging,
    } = asked;
    let (located, options) = (located.clone(), options.clone());
    let (located, (backend, artifact)) = blocking({
        let backends = options.backends.clone();
        move || {
            let verified = verified(&located, digest.as_deref(), &backends)?;
            Ok((located, verified))
        }
    })
    .await?;
    let permit = preflight::opening_permit().await;
    let (give_up, watch) = preflight::watch();
    let opened = blocking(move || {
        let _permit = permit;
        // A GPU may admit one process only.
        let tried = if options.bounds.preflight && preflight::is_available() && !gpu {
            let trial = Trial {
                backend: &*backend,
                artifact: &artifact,
                runtime_library: None,
                shown: &located.shown,
                bounds: options.bounds,
                threads: options.threads,
                merging,
            };
            try_once(trial, &options, &watch)?
        } else {
            None
        };
        let open = OpenOptions {
            gpu,
            threads: options.threads,
            memory: options.bounds.memory,
        };
        let opened = backend
            .open(&artifact, &open)
            .map_err(|error| refused(&located, error))?;
        let longest_text = tried.as_ref().and_then(|outcome| outcome.longest_text);
        let embedder = Embedder::load(artifact.place(), opened.engine.signature())
            .map(|embedder| embedder.taking(longest_text.unwrap_or(usize::MAX)));
        if let Err(NoEmbedder::Unfit(why)) = embedder {
            return Err(refused(&located, OpenError::Refused(why)));
        }
        if !artifact.is_unchanged() {
            return Err(refused(&located, OpenError::Changed));
        }
        Ok(OpenedModel {
            opened,
            embedder,
            artifact,
            tried,
        })
    })
    .await;
    drop(give_up);
    opened
}

/// Opens the model of a source for its signature, without serving it.
///
/// # Errors
/// [`LoadError`].
pub async fn check(source: &SourceConfig, options: &LoaderOptions) -> Result<Signature, LoadError> {
    let located = locate(source, &options.source).await?;
    let asked = Asked {
        digest: source.digest.clone(),
        merging: true,
        ..Asked::default()
    };
    let model = open(&located, asked, options).await?;
    Ok(model.opened.engine.signature().clone())
}

/// The checked files of a model, their digest computed, and the backend that opens them.
fn verified(
    located: &LocalArtifact,
    declared: Option<&str>,
    backends: &Backends,
) -> Result<(Arc<dyn Backend>, Artifact), LoadError> {
    let unusable = |error: &dyn Display| unusable(located, error);
    let mut artifact =
        Artifact::find(&located.path, &backends.main_files()).map_err(|error| unusable(&error))?;
    let hash = |artifact: &Artifact| {
        let found = digest::of_file(artifact.main()).map_err(|error| unusable(&error))?;
        digest::compare(&located.shown, declared, &found)?;
        Ok::<_, LoadError>(found)
    };
    // The digest tells a wrong file more clearly than what is odd in it.
    if declared.is_some() {
        artifact.digest = Some(hash(&artifact)?);
    }
    let backend = Arc::clone(backends.of(&artifact));
    let others = backend
        .other_files(&artifact)
        .map_err(|error| refused(located, error))?;
    artifact.add(others).map_err(|error| unusable(&error))?;
    // It is tried with the model, and must be the same one afterwards.
    let tokenizer = tokenizer_file(artifact.place()).into_iter().collect();
    artifact.add(tokenizer).map_err(|error| unusable(&error))?;
    if artifact.digest.is_none() {
        artifact.digest = Some(hash(&artifact)?);
    }
    Ok((backend, artifact))
}

/// Tries a model in a child process, unless it has passed before.
fn try_once(
    mut trial: Trial<'_>,
    options: &LoaderOptions,
    watch: &preflight::Watch,
) -> Result<Option<Outcome>, LoadError> {
    // Without the library no model can be tried; the error of opening it says what to do.
    let Ok(runtime_library) = trial.backend.runtime_library() else {
        return Ok(None);
    };
    trial.runtime_library = runtime_library;
    let cache = PreflightCache::new(&options.source.cache_dir, &trial);
    if let Some(outcome) = cache.recall() {
        return Ok(Some(outcome));
    }
    let outcome = std::thread::scope(|scope| {
        // While the child loads the model: it takes as long as loading a small one.
        scope.spawn(|| trial.backend.prepare());
        preflight::run(&trial, watch)
    })?;
    if let Some(outcome) = &outcome {
        cache.mark(outcome);
    }
    Ok(outcome)
}

/// Runs work that blocks; a panic in it fails this model only.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(LoadError::permanent(format!(
                "loading the model failed: {error}"
            )))
        })
}

fn unusable(located: &LocalArtifact, error: &dyn Display) -> LoadError {
    LoadError::permanent(format!(
        "model source {}: {error}. Correct model.source.uri or the file",
        located.shown
    ))
}

fn refused(located: &LocalArtifact, error: OpenError) -> LoadError {
    let message = || format!("model source {}: {error}", located.shown);
    match error {
        OpenError::Unusable(_) => unusable(located, &error),
        OpenError::Refused(_) => LoadError::permanent(message()),
        OpenError::Changed => LoadError::passing(message()),
        OpenError::Unavailable { message, summary } => LoadError {
            summary: Some(summary),
            ..LoadError::permanent(message)
        },
    }
}

#[cfg(test)]
mod tests;
