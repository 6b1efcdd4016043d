//! Fetching over HTTPS: resumed where it broke off, checked before it counts, published at once.
//!
//! A file is written as `model.onnx.partial`, flushed to disk, compared with its digest and only
//! then renamed: whoever finds `model.onnx` finds all of it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_RANGE, ETAG, IF_RANGE, LOCATION, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::address::Rule;
use super::source::SourceOptions;
use super::{LoadError, digest};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a store in the middle of a file.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
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
    etag: PathBuf,
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
    let client = client(&fetch.rule, fetch.options.local_mode)?;
    let (response, have) = fetch.begin(&client, &place).await?;
    fetch.receive(response, have, &place).await?;
    let found = hash(&place.partial).await.map_err(disk)?;
    if let Err(mismatch) = digest::compare(fetch.shown, fetch.digest, &found) {
        // What is not the file must not be resumed.
        let _ = fs::remove_file(&place.partial).await;
        return Err(mismatch);
    }
    fs::rename(&place.partial, &place.whole)
        .await
        .map_err(disk)?;
    let _ = fs::remove_file(&place.etag).await;
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
        etag: named("model.onnx.etag"),
    })
}

impl Fetch<'_> {
    /// Asks for the file, or for what is missing of it: the answer, and how many bytes are there.
    async fn begin(&self, client: &Client, place: &Place) -> Result<(Response, u64), LoadError> {
        let have = fs::metadata(&place.partial)
            .await
            .map_or(0, |meta| meta.len());
        let etag = fs::read_to_string(&place.etag).await.ok();
        let resume = etag.filter(|_| have > 0);
        let mut url = Url::parse(self.uri)
            .map_err(|error| LoadError::permanent(format!("{} is no URL: {error}", self.shown)))?;
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url)?;
            let mut request = client.get(url.clone());
            if let Some(etag) = &resume {
                request = request
                    .header(RANGE, format!("bytes={have}-"))
                    .header(IF_RANGE, etag);
            }
            let response = request.send().await.map_err(|error| self.network(&error))?;
            let status = response.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                url = self.redirected(&url, &response)?;
                continue;
            }
            if status == StatusCode::RANGE_NOT_SATISFIABLE {
                let _ = fs::remove_file(&place.partial).await;
                return Err(LoadError::passing(format!(
                    "{}: the store has less of the file than was fetched before; fetching it anew",
                    self.shown
                )));
            }
            if !status.is_success() {
                return Err(self.refused(status));
            }
            let continues = status == StatusCode::PARTIAL_CONTENT
                && starts_at(&response) == Some(have)
                && resume.is_some();
            return Ok((response, if continues { have } else { 0 }));
        }
        Err(LoadError::permanent(format!(
            "{} redirects more than {MAX_REDIRECTS} times",
            self.shown
        )))
    }

    fn check(&self, url: &Url) -> Result<(), LoadError> {
        if url.scheme() != "https" {
            return Err(LoadError::permanent(format!(
                "{} leads to {}://, only https:// is followed",
                self.shown,
                url.scheme()
            )));
        }
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        match literal
            .parse::<IpAddr>()
            .ok()
            .and_then(|ip| self.rule.refusal(ip))
        {
            Some(why) => Err(LoadError::permanent(format!(
                "{}: {host} {why}, models are not fetched from there",
                self.shown
            ))),
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

    fn refused(&self, status: StatusCode) -> LoadError {
        let message = |cure: &str| format!("{}: the store answers {status}; {cure}", self.shown);
        match status.as_u16() {
            404 | 410 => LoadError::permanent(message("check the URI, or put the file there")),
            401 | 403 => {
                LoadError::permanent(message("make the file readable without credentials"))
            }
            408 | 425 | 429 | 500..=599 => LoadError::passing(message("trying again")),
            _ => LoadError::permanent(message("check the URI")),
        }
    }

    fn network(&self, error: &reqwest::Error) -> LoadError {
        let mut reason = String::new();
        let mut source: Option<&dyn std::error::Error> = Some(error);
        let mut refused = false;
        while let Some(error) = source {
            refused |= error.is::<Refused>();
            // The first two only repeat the URL.
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
                fs::write(&place.etag, etag).await.map_err(disk)?;
            }
            _ => drop(fs::remove_file(&place.etag).await),
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

fn disk(error: std::io::Error) -> LoadError {
    LoadError::passing(format!(
        "the model cannot be kept in the cache folder: {error}. Check its room and rights (--cache-dir)"
    ))
}

fn client(rule: &Rule, local_mode: bool) -> Result<Client, LoadError> {
    let builder = Client::builder()
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .user_agent(concat!("serin/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(std::sync::Arc::new(CheckedResolver { rule: rule.clone() }));
    // A proxy would dial for us, and whom it dials nobody checks.
    let builder = if local_mode {
        builder
    } else {
        builder.no_proxy()
    };
    builder
        .build()
        .map_err(|error| LoadError::permanent(format!("no HTTPS client can be made: {error}")))
}

/// Resolves names to those of their addresses that may be dialled.
struct CheckedResolver {
    rule: Rule,
}

/// A name all of whose addresses are refused.
#[derive(Debug, thiserror::Error)]
#[error("{host} {why}, models are not fetched from there")]
struct Refused {
    host: String,
    why: &'static str,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = self.rule.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let mut why = "has no address";
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| match rule.refusal(address.ip()) {
                    None => true,
                    Some(reason) => {
                        why = reason;
                        false
                    }
                })
                .collect();
            if allowed.is_empty() {
                return Err(Refused { host, why }.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
