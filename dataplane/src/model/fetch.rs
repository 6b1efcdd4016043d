//! Fetching over HTTPS: resumed where it broke off, checked before it counts, published at once.
//!
//! A file is written as `model.onnx.partial`, flushed to disk, compared with its digest and only
//! then renamed: whoever finds `model.onnx` finds all of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderName, IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::address::Rule;
use super::client::{Refused, client, refused_literal};
use super::digest;
use super::error::LoadError;
use super::options::SourceOptions;

/// Redirects that are followed, each checked like the first address.
const MAX_REDIRECTS: usize = 3;
/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// Left free on the disk beside the file.
const SPARE_BYTES: u64 = 16 << 20;

/// One file to fetch.
pub(super) struct Fetch<'a> {
    pub(super) uri: &'a str,
    /// The URI without its secrets.
    pub(super) shown: &'a str,
    pub(super) digest: Option<&'a str>,
    pub(super) rule: Rule,
    pub(super) options: &'a SourceOptions,
}

/// Where a file is kept.
struct Place {
    whole: PathBuf,
    partial: PathBuf,
    /// The store's name for the content that `partial` is the beginning of.
    partial_etag: PathBuf,
    /// The same for `whole`.
    whole_etag: PathBuf,
}

/// What the store answers.
enum Begun {
    /// The file here is the file there.
    Unchanged,
    /// Its bytes from this one on.
    Bytes(Response, u64),
}

/// Fetches the file, or finds it fetched already.
///
/// # Errors
/// [`LoadError`].
pub(super) async fn fetch(fetch: &Fetch<'_>) -> Result<PathBuf, LoadError> {
    let place = place(fetch)?;
    if let Some(declared) = fetch.digest
        && place.whole.is_file()
        && hash(&place.whole)
            .await
            .is_ok_and(|found| found == declared)
    {
        return Ok(place.whole);
    }
    let folder = place.whole.parent().unwrap_or(&place.whole);
    fs::create_dir_all(folder).await.map_err(disk)?;
    let client = client(&fetch.rule, fetch.options.extra_roots.as_deref())?;
    match fetch.begin(&client, &place).await? {
        Begun::Unchanged => {
            tracing::info!(
                source = fetch.shown,
                "the model fetched before is still current"
            );
            return Ok(place.whole);
        }
        Begun::Bytes(response, have) => fetch.receive(response, have, &place).await?,
    }
    let found = hash(&place.partial).await.map_err(disk)?;
    if let Err(mismatch) = digest::compare(fetch.shown, fetch.digest, &found) {
        // What is not the file must not be resumed.
        let _ = fs::remove_file(&place.partial).await;
        return Err(mismatch);
    }
    // In this order a crash leaves a file without a name for its content, never with a wrong one.
    let _ = fs::remove_file(&place.whole_etag).await;
    fs::rename(&place.partial, &place.whole)
        .await
        .map_err(disk)?;
    let _ = fs::rename(&place.partial_etag, &place.whole_etag).await;
    let folder = File::open(folder).await.map_err(disk)?;
    folder.sync_all().await.map_err(disk)?;
    Ok(place.whole)
}

fn place(fetch: &Fetch<'_>) -> Result<Place, LoadError> {
    let mut key = Sha256::new();
    key.update(fetch.uri);
    key.update([0]);
    key.update(fetch.digest.unwrap_or_default());
    let key = hex::encode(key.finalize());
    let folder = fetch.options.cache_dir.join("models").join(&key[..32]);
    let named = |name: &str| folder.join(name);
    Ok(Place {
        whole: named("model.onnx"),
        partial: named("model.onnx.partial"),
        partial_etag: named("model.onnx.partial.etag"),
        whole_etag: named("model.onnx.etag"),
    })
}

impl Fetch<'_> {
    /// Asks for the file, or for what is missing of it.
    async fn begin(&self, client: &Client, place: &Place) -> Result<Begun, LoadError> {
        let have = fs::metadata(&place.partial)
            .await
            .map_or(0, |meta| meta.len());
        let conditions = self.conditions(place, have).await;
        let mut url = Url::parse(self.uri)
            .map_err(|error| LoadError::permanent(format!("{} is no URL: {error}", self.shown)))?;
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url)?;
            let mut request = client.get(url.clone());
            for (name, value) in &conditions {
                request = request.header(name, value);
            }
            let response = request.send().await.map_err(|error| self.network(&error))?;
            match response.status() {
                StatusCode::NOT_MODIFIED => return Ok(Begun::Unchanged),
                status if status.is_redirection() => url = self.redirected(&url, &response)?,
                StatusCode::RANGE_NOT_SATISFIABLE => {
                    let _ = fs::remove_file(&place.partial).await;
                    return Err(LoadError::passing(format!(
                        "{}: the store has less of the file than was fetched before; fetching it anew",
                        self.shown
                    )));
                }
                StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(have) => {
                    return Ok(Begun::Bytes(response, have));
                }
                StatusCode::PARTIAL_CONTENT => {
                    let _ = fs::remove_file(&place.partial).await;
                    return Err(LoadError::passing(format!(
                        "{}: the store sent another part than it was asked for; fetching it anew",
                        self.shown
                    )));
                }
                status if status.is_success() => return Ok(Begun::Bytes(response, 0)),
                _ => return Err(self.refused(&response)),
            }
        }
        Err(LoadError::permanent(format!(
            "{} redirects more than {MAX_REDIRECTS} times",
            self.shown
        )))
    }

    /// What makes the store send less than all: the part that is here, or the whole of before.
    /// Without a digest only the store knows whether that is still current.
    async fn conditions(&self, place: &Place, have: u64) -> Vec<(HeaderName, String)> {
        if have > 0 {
            return match fs::read_to_string(&place.partial_etag).await {
                Ok(etag) => vec![(RANGE, format!("bytes={have}-")), (IF_RANGE, etag)],
                Err(_) => Vec::new(),
            };
        }
        match fs::read_to_string(&place.whole_etag).await {
            Ok(etag) if self.digest.is_none() && place.whole.is_file() => {
                vec![(IF_NONE_MATCH, etag)]
            }
            _ => Vec::new(),
        }
    }

    fn check(&self, url: &Url) -> Result<(), LoadError> {
        if url.scheme() != "https" {
            return Err(LoadError::permanent(format!(
                "{} leads to {}://, only https:// is followed",
                self.shown,
                url.scheme()
            )));
        }
        match refused_literal(url, &self.rule) {
            Some(refused) => Err(LoadError::permanent(format!("{}: {refused}", self.shown))),
            None => Ok(()),
        }
    }

    fn redirected(&self, from: &Url, response: &Response) -> Result<Url, LoadError> {
        response
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok())
            .and_then(|location| from.join(location).ok())
            .ok_or_else(|| LoadError::permanent(format!("{} redirects to nowhere", self.shown)))
    }

    fn refused(&self, response: &Response) -> LoadError {
        let status = response.status();
        let message = |cure: &str| format!("{}: the store answers {status}; {cure}", self.shown);
        match status.as_u16() {
            404 | 410 => LoadError::permanent(message("check the URI, or put the file there")),
            401 | 403 => {
                LoadError::permanent(message("make the file readable without credentials"))
            }
            408 | 425 | 429 | 500..=599 => LoadError {
                retry_after: seconds(response),
                ..LoadError::passing(message("trying again"))
            },
            _ => LoadError::permanent(message("check the URI")),
        }
    }

    fn network(&self, error: &reqwest::Error) -> LoadError {
        let mut reason = String::new();
        let mut source: Option<&dyn std::error::Error> = Some(error);
        let mut refused = false;
        while let Some(error) = source {
            refused |= error.is::<Refused>();
            // The outer ones repeat the URL, query and all.
            reason = error.to_string();
            source = error.source();
        }
        let message = format!("{} cannot be fetched: {reason}", self.shown);
        if refused {
            LoadError::permanent(message)
        } else {
            LoadError::passing(message)
        }
    }

    async fn receive(&self, response: Response, have: u64, place: &Place) -> Result<(), LoadError> {
        let limit = self.options.max_bytes;
        let too_large = |bytes: u64| {
            LoadError::permanent(format!(
                "{} has {bytes} bytes or more, at most {limit} are fetched",
                self.shown
            ))
        };
        let total = response.content_length().map(|rest| have + rest);
        if let Some(total) = total.filter(|total| *total > limit) {
            return Err(too_large(total));
        }
        if let Some(total) = total {
            check_space(place, total - have, self.shown)?;
        }
        match response
            .headers()
            .get(ETAG)
            .and_then(|etag| etag.to_str().ok())
        {
            // A weak one does not promise the same bytes.
            Some(etag) if !etag.starts_with("W/") => {
                fs::write(&place.partial_etag, etag).await.map_err(disk)?;
            }
            _ => drop(fs::remove_file(&place.partial_etag).await),
        }
        let mut file = open(&place.partial, have).await.map_err(disk)?;
        let mut written = have;
        let mut told = Instant::now();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.network(&error))?;
            written += chunk.len() as u64;
            if written > limit {
                drop(file);
                let _ = fs::remove_file(&place.partial).await;
                return Err(too_large(written));
            }
            file.write_all(&chunk).await.map_err(disk)?;
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let percent = total.map(|total| written * 100 / total.max(1));
                tracing::info!(
                    source = self.shown,
                    bytes = written,
                    percent,
                    "fetching the model"
                );
            }
        }
        file.sync_all().await.map_err(disk)?;
        match total {
            Some(total) if written != total => Err(LoadError::passing(format!(
                "{} broke off after {written} of {total} bytes",
                self.shown
            ))),
            _ => {
                tracing::info!(source = self.shown, bytes = written, "fetched the model");
                Ok(())
            }
        }
    }
}

/// The store's `Retry-After`, where it is a number of seconds.
fn seconds(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Where the bytes of a partial answer begin.
fn starts_at(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

async fn open(partial: &Path, have: u64) -> std::io::Result<File> {
    if have == 0 {
        return File::create(partial).await;
    }
    OpenOptions::new().append(true).open(partial).await
}

async fn hash(path: &Path) -> std::io::Result<String> {
    let path = path.to_path_buf();
    tokio::task::spawn_blocking(move || digest::of_file(&path))
        .await
        .map_err(std::io::Error::other)?
}

fn check_space(place: &Place, needed: u64, shown: &str) -> Result<(), LoadError> {
    let folder = place.whole.parent().unwrap_or(&place.whole);
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed.saturating_add(SPARE_BYTES) {
        return Err(LoadError::passing(format!(
            "{shown} needs {needed} bytes of disk and {free} are free: give the cache more room"
        )));
    }
    Ok(())
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
fn disk(error: std::io::Error) -> LoadError {
    LoadError::passing(format!(
        "the model cannot be kept in the cache folder: {error}. Check its room and rights (--cache-dir)"
    ))
}
