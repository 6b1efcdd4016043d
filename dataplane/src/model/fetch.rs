//! Fetching over HTTPS: resumed after an interruption, checked against the digest, published
//! atomically.
//!
//! A file is written as `model.onnx.partial`, flushed to disk, compared with its digest and only
//! then renamed, so `model.onnx` is always complete.

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
use tokio::time::{timeout, timeout_at};

use super::client::client;
use super::digest;
use super::error::LoadError;
use super::options::SourceOptions;
use crate::address::{RefusedAddress, Rule, refused_literal};

/// Redirects that are followed, each checked like the first address.
const MAX_REDIRECTS: usize = 3;
/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// The time from a question to the store's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a file may come at any rate; after that it must average [`SLOWEST`]. So a fetch has an end
/// whatever the store does, and another one goes on where it stopped.
const GRACE: Duration = Duration::from_secs(60);
/// Bytes a second.
const SLOWEST: u64 = 64 << 10;
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

/// Files of the cache.
struct CachePaths {
    /// The complete file.
    whole: PathBuf,
    /// The part of it that was received.
    partial: PathBuf,
    /// The ETag of the content that `partial` is the beginning of.
    partial_etag: PathBuf,
    /// The ETag of `whole`.
    whole_etag: PathBuf,
}

/// The store's answer.
enum Download {
    /// The cached file is current.
    Unchanged,
    /// The file's bytes, from this offset on.
    Bytes(Response, u64),
}

/// Fetches the file, or finds it fetched already.
///
/// # Errors
/// [`LoadError`].
pub(super) async fn fetch(fetch: &Fetch<'_>) -> Result<PathBuf, LoadError> {
    let paths = cache_paths(fetch);
    if let Some(declared) = fetch.digest
        && paths.whole.is_file()
        && hash(&paths.whole)
            .await
            .is_ok_and(|found| found == declared)
    {
        return Ok(paths.whole);
    }
    let folder = paths.whole.parent().unwrap_or(&paths.whole);
    fs::create_dir_all(folder).await.map_err(disk)?;
    let client = client(&fetch.rule, fetch.options.extra_roots.as_deref())?;
    match fetch.begin(&client, &paths).await? {
        Download::Unchanged => {
            tracing::info!(
                source = fetch.shown,
                "the model fetched before is still current"
            );
            return Ok(paths.whole);
        }
        Download::Bytes(response, have) => fetch.receive(response, have, &paths).await?,
    }
    let found = hash(&paths.partial).await.map_err(disk)?;
    if let Err(mismatch) = digest::compare(fetch.shown, fetch.digest, &found) {
        // Another file must not be resumed.
        let _ = fs::remove_file(&paths.partial).await;
        return Err(mismatch);
    }
    // In this order a crash leaves a file without an ETag, never with a wrong one.
    let _ = fs::remove_file(&paths.whole_etag).await;
    fs::rename(&paths.partial, &paths.whole)
        .await
        .map_err(disk)?;
    let _ = fs::rename(&paths.partial_etag, &paths.whole_etag).await;
    let folder = File::open(folder).await.map_err(disk)?;
    folder.sync_all().await.map_err(disk)?;
    Ok(paths.whole)
}

fn cache_paths(fetch: &Fetch<'_>) -> CachePaths {
    let mut key = Sha256::new();
    key.update(fetch.uri);
    key.update([0]);
    key.update(fetch.digest.unwrap_or_default());
    let key = hex::encode(key.finalize());
    let folder = fetch.options.cache_dir.join("models").join(&key[..32]);
    let named = |name: &str| folder.join(name);
    CachePaths {
        whole: named("model.onnx"),
        partial: named("model.onnx.partial"),
        partial_etag: named("model.onnx.partial.etag"),
        whole_etag: named("model.onnx.etag"),
    }
}

impl Fetch<'_> {
    /// Asks for the file, or for what is missing of it.
    async fn begin(&self, client: &Client, paths: &CachePaths) -> Result<Download, LoadError> {
        let have = fs::metadata(&paths.partial)
            .await
            .map_or(0, |meta| meta.len());
        let conditions = self.conditions(paths, have).await;
        let mut url = Url::parse(self.uri)
            .map_err(|error| LoadError::permanent(format!("{} is no URL: {error}", self.shown)))?;
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url)?;
            let mut request = client.get(url.clone());
            for (name, value) in &conditions {
                request = request.header(name, value);
            }
            let answered = timeout(ANSWER_TIMEOUT, request.send()).await;
            let answered = answered.map_err(|_| self.too_slow("its answer does not come"))?;
            let response = answered.map_err(|error| self.network(&error))?;
            match response.status() {
                StatusCode::NOT_MODIFIED => return Ok(Download::Unchanged),
                status if status.is_redirection() => url = self.redirected(&url, &response)?,
                StatusCode::RANGE_NOT_SATISFIABLE => {
                    let _ = fs::remove_file(&paths.partial).await;
                    return Err(LoadError::passing(format!(
                        "{}: the store has less of the file than was fetched before; fetching it anew",
                        self.shown
                    )));
                }
                StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(have) => {
                    return Ok(Download::Bytes(response, have));
                }
                StatusCode::PARTIAL_CONTENT => {
                    let _ = fs::remove_file(&paths.partial).await;
                    return Err(LoadError::passing(format!(
                        "{}: the store sent another part than it was asked for; fetching it anew",
                        self.shown
                    )));
                }
                status if status.is_success() => return Ok(Download::Bytes(response, 0)),
                _ => return Err(self.refused(&response)),
            }
        }
        Err(LoadError::permanent(format!(
            "{} redirects more than {MAX_REDIRECTS} times",
            self.shown
        )))
    }

    /// Headers that make the store send less than the whole file: the partial file is continued, and
    /// a complete one is asked for only if it has changed. With a digest no such question is needed.
    async fn conditions(&self, paths: &CachePaths, have: u64) -> Vec<(HeaderName, String)> {
        if have > 0 {
            return match fs::read_to_string(&paths.partial_etag).await {
                Ok(etag) => vec![(RANGE, format!("bytes={have}-")), (IF_RANGE, etag)],
                Err(_) => Vec::new(),
            };
        }
        match fs::read_to_string(&paths.whole_etag).await {
            Ok(etag) if self.digest.is_none() && paths.whole.is_file() => {
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
            refused |= error.is::<RefusedAddress>();
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

    fn too_slow(&self, said: &str) -> LoadError {
        LoadError::passing(format!("{}: the store is too slow: {said}", self.shown))
    }

    async fn receive(
        &self,
        response: Response,
        have: u64,
        paths: &CachePaths,
    ) -> Result<(), LoadError> {
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
            check_space(paths, total - have, self.shown)?;
        }
        match response
            .headers()
            .get(ETAG)
            .and_then(|etag| etag.to_str().ok())
        {
            // A weak one does not promise the same bytes.
            Some(etag) if !etag.starts_with("W/") => {
                fs::write(&paths.partial_etag, etag).await.map_err(disk)?;
            }
            _ => drop(fs::remove_file(&paths.partial_etag).await),
        }
        let mut file = open(&paths.partial, have).await.map_err(disk)?;
        let mut written = have;
        let mut reported = Instant::now();
        let begun = tokio::time::Instant::now();
        let mut chunks = response.bytes_stream();
        loop {
            let Ok(next) = timeout_at(begun + longest(written - have), chunks.next()).await else {
                file.sync_all().await.map_err(disk)?;
                let said = format!(
                    "{written} bytes so far, at least {} KiB/s are needed",
                    SLOWEST >> 10
                );
                return Err(self.too_slow(&said));
            };
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|error| self.network(&error))?;
            written += chunk.len() as u64;
            if written > limit {
                drop(file);
                let _ = fs::remove_file(&paths.partial).await;
                return Err(too_large(written));
            }
            file.write_all(&chunk).await.map_err(disk)?;
            if reported.elapsed() >= PROGRESS_EVERY {
                reported = Instant::now();
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

/// The longest time in which the bytes after `received` may come.
fn longest(received: u64) -> Duration {
    GRACE + Duration::from_millis(received.saturating_mul(1000) / SLOWEST)
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

fn check_space(paths: &CachePaths, needed: u64, shown: &str) -> Result<(), LoadError> {
    let folder = paths.whole.parent().unwrap_or(&paths.whole);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_must_keep_a_pace_after_its_grace() {
        assert_eq!(longest(0), Duration::from_secs(60));
        assert_eq!(longest(SLOWEST * 10), Duration::from_secs(70));
        assert_eq!(longest(10 << 30), Duration::from_secs(60 + (10 << 14)));
        assert!(longest(u64::MAX) > Duration::from_secs(60), "no overflow");
    }

    /// The store sends a byte each 20 s and has no end: no single wait is long.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_drips_is_given_up_and_what_came_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let options = SourceOptions {
            cache_dir: folder.path().to_owned(),
            max_bytes: 1 << 30,
            local_mode: false,
            extra_roots: None,
        };
        let fetch = Fetch {
            uri: "https://store.example/m.onnx",
            shown: "https://store.example/m.onnx",
            digest: None,
            rule: Rule::default(),
            options: &options,
        };
        let paths = cache_paths(&fetch);
        fs::create_dir_all(paths.whole.parent().unwrap())
            .await
            .unwrap();
        let drip = futures_util::stream::repeat(b"x").then(|byte| async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok::<_, std::io::Error>(&byte[..])
        });
        let response = http::Response::new(reqwest::Body::wrap_stream(drip));
        let begun = tokio::time::Instant::now();
        let error = fetch.receive(response.into(), 0, &paths).await.unwrap_err();
        assert!(error.to_string().contains("too slow"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(120));
        assert!(fs::metadata(&paths.partial).await.unwrap().len() >= 2);
    }
}
