//! Fetching models from a store over HTTPS: a local one, made here, with a certificate of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/store.rs"]
mod store;

use std::path::PathBuf;
use std::time::Duration;

use serin_crds::contract::pod_config::SourceConfig;
use serin_dataplane::model::{LoadError, SourceOptions, locate};
use store::{Answer, Store};

const MODEL: &[u8] = include_bytes!("models/linear.onnx");

/// SHA-256 of nothing that is served here.
const OTHER: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct Fetcher {
    cache: tempfile::TempDir,
    options: SourceOptions,
    source: SourceConfig,
}

impl Fetcher {
    fn new(store: &Store, path: &str) -> Self {
        let cache = tempfile::tempdir().unwrap();
        Self {
            options: SourceOptions {
                cache_dir: cache.path().to_path_buf(),
                max_bytes: 1 << 20,
                local_mode: true,
                extra_roots: Some(store.roots()),
            },
            source: SourceConfig {
                uri: store.url(path),
                path: None,
                digest: None,
                allowed_networks: Vec::new(),
            },
            cache,
        }
    }

    async fn fetch(&self) -> Result<PathBuf, LoadError> {
        locate(&self.source, &self.options)
            .await
            .map(|located| located.path)
    }

    /// Names of everything in the cache.
    fn kept(&self) -> Vec<String> {
        fn names(folder: &std::path::Path, into: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    names(&path, into);
                } else {
                    into.push(path.file_name().unwrap().to_string_lossy().into_owned());
                }
            }
        }
        let mut found = Vec::new();
        names(self.cache.path(), &mut found);
        found.sort();
        found
    }
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

#[tokio::test]
async fn a_file_with_a_digest_is_fetched_once() {
    let store = Store::start(|_| Answer::ok(MODEL));
    let mut fetcher = Fetcher::new(&store, "/m.onnx");
    fetcher.source.digest = Some(digest(MODEL));
    for _ in 0..2 {
        let path = fetcher.fetch().await.unwrap();
        assert_eq!(std::fs::read(path).unwrap(), MODEL);
    }
    assert_eq!(store.requests().len(), 1);
}

#[tokio::test]
async fn a_file_without_a_digest_is_fetched_again_only_if_it_changed() {
    let store = Store::start(|request| {
        if request.header("if-none-match") == Some("\"v1\"") {
            Answer::status("304 Not Modified")
        } else {
            Answer::ok(MODEL).with("ETag", "\"v1\"")
        }
    });
    let fetcher = Fetcher::new(&store, "/m.onnx");
    for _ in 0..3 {
        let path = fetcher.fetch().await.unwrap();
        assert_eq!(std::fs::read(path).unwrap(), MODEL);
    }
    let asked: Vec<bool> = store
        .requests()
        .iter()
        .map(|request| request.header("if-none-match").is_some())
        .collect();
    assert_eq!(asked, [false, true, true]);
}

#[tokio::test]
async fn a_fetch_that_broke_off_is_resumed_where_it_was() {
    let store = Store::start(|request| match request.header("range") {
        None => Answer::ok(MODEL).with("ETag", "\"v1\"").cut_after(100),
        Some(range) => {
            let from: usize = range["bytes=".len()..range.len() - 1].parse().unwrap();
            let total = MODEL.len();
            Answer::new("206 Partial Content", &MODEL[from..])
                .with("ETag", "\"v1\"")
                .with(
                    "Content-Range",
                    &format!("bytes {from}-{}/{total}", total - 1),
                )
        }
    });
    let fetcher = Fetcher::new(&store, "/m.onnx");
    let error = fetcher.fetch().await.unwrap_err();
    assert!(!error.permanent, "{error}");
    assert_eq!(
        std::fs::read(fetcher.fetch().await.unwrap()).unwrap(),
        MODEL
    );
    let resumed = &store.requests()[1];
    assert_eq!(resumed.header("range"), Some("bytes=100-"));
    assert_eq!(resumed.header("if-range"), Some("\"v1\""));
    assert_eq!(fetcher.kept(), ["model.onnx", "model.onnx.etag"]);
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_fetched_from_its_start() {
    // What a store does whose file is not the one named by If-Range any more.
    let store = Store::start(|request| match request.header("range") {
        None => Answer::ok(&[7; 300]).with("ETag", "\"old\"").cut_after(200),
        Some(_) => Answer::ok(MODEL).with("ETag", "\"new\""),
    });
    let fetcher = Fetcher::new(&store, "/m.onnx");
    fetcher.fetch().await.unwrap_err();
    assert_eq!(
        std::fs::read(fetcher.fetch().await.unwrap()).unwrap(),
        MODEL
    );
}

#[tokio::test]
async fn redirects_are_followed_three_times() {
    let store = Store::start(|request| match request.path.as_str() {
        "/3" => Answer::ok(MODEL),
        path => {
            let next: u32 = path[1..].parse().unwrap_or(0) + 1;
            Answer::status("302 Found").with("Location", &format!("/{next}"))
        }
    });
    let fetcher = Fetcher::new(&store, "/0");
    assert_eq!(
        std::fs::read(fetcher.fetch().await.unwrap()).unwrap(),
        MODEL
    );
    let store = Store::start(|_| Answer::status("302 Found").with("Location", "/again"));
    let error = Fetcher::new(&store, "/0").fetch().await.unwrap_err();
    assert!(
        error.permanent && error.message.contains("more than 3 times"),
        "{error}"
    );
    assert_eq!(store.requests().len(), 4);
}

#[tokio::test]
async fn a_redirect_to_plain_http_or_to_the_metadata_service_is_refused() {
    for (location, part) in [
        ("http://models.example/m.onnx", "only https://"),
        ("https://169.254.169.254/latest", "169.254.169.254"),
        ("https://[fe80::1]/m.onnx", "fe80::1"),
    ] {
        let store =
            Store::start(|_| Answer::status("307 Temporary Redirect").with("Location", location));
        let error = Fetcher::new(&store, "/m.onnx").fetch().await.unwrap_err();
        assert!(error.permanent && error.message.contains(part), "{error}");
    }
}

#[tokio::test]
async fn outside_of_local_mode_this_machine_is_never_dialled() {
    let store = Store::start(|_| Answer::ok(MODEL));
    for uri in [
        store.url("/m.onnx"),
        store.url("/m.onnx").replace("localhost", "127.0.0.1"),
    ] {
        let mut fetcher = Fetcher::new(&store, "/m.onnx");
        fetcher.options.local_mode = false;
        fetcher.source.uri = uri;
        fetcher.source.allowed_networks = vec!["127.0.0.0/8".to_owned()];
        let error = fetcher.fetch().await.unwrap_err();
        assert!(
            error.permanent && error.message.contains("this machine itself"),
            "{error}"
        );
    }
    assert_eq!(store.connections(), 0);
}

#[tokio::test]
async fn another_file_than_the_digest_says_is_refused_and_not_kept() {
    let store = Store::start(|_| Answer::ok(MODEL));
    let mut fetcher = Fetcher::new(&store, "/m.onnx");
    fetcher.source.digest = Some(OTHER.to_owned());
    let error = fetcher.fetch().await.unwrap_err();
    assert!(error.permanent, "{error}");
    for part in [
        &fetcher.source.uri,
        &digest(MODEL),
        OTHER,
        "model.source.digest",
    ] {
        assert!(error.message.contains(part), "{error}");
    }
    assert!(
        !fetcher
            .kept()
            .iter()
            .any(|name| name.starts_with("model.onnx") && !name.ends_with("etag"))
    );
}

#[tokio::test]
async fn a_file_above_the_bound_is_refused_whether_it_says_so_or_not() {
    for announced in [true, false] {
        let store = Store::start(move |_| {
            let answer = Answer::ok(&[0; 5000]);
            if announced {
                answer
            } else {
                answer.without_length()
            }
        });
        let mut fetcher = Fetcher::new(&store, "/m.onnx");
        fetcher.options.max_bytes = 4999;
        let error = fetcher.fetch().await.unwrap_err();
        assert!(
            error.permanent && error.message.contains("at most 4999"),
            "{error}"
        );
        assert!(
            fetcher
                .kept()
                .iter()
                .all(|name| !name.ends_with(".partial"))
        );
    }
}

#[tokio::test]
async fn a_file_larger_than_the_disk_is_not_begun() {
    let store = Store::start(|_| Answer::ok(&[0; 10]).with_length(1 << 60));
    let mut fetcher = Fetcher::new(&store, "/m.onnx");
    fetcher.options.max_bytes = u64::MAX;
    let error = fetcher.fetch().await.unwrap_err();
    assert!(
        !error.permanent && error.message.contains("are free"),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_store_refuses_is_permanent_and_what_it_cannot_do_now_is_not() {
    for (status, permanent) in [
        ("404 Not Found", true),
        ("410 Gone", true),
        ("403 Forbidden", true),
        ("401 Unauthorized", true),
        ("400 Bad Request", true),
        ("429 Too Many Requests", false),
        ("500 Internal Server Error", false),
        ("503 Service Unavailable", false),
    ] {
        let store = Store::start(move |_| Answer::status(status).with("Retry-After", "7"));
        let error = Fetcher::new(&store, "/m.onnx").fetch().await.unwrap_err();
        assert_eq!(error.permanent, permanent, "{error}");
        assert!(error.message.contains(&status[..3]), "{error}");
        let asked = (!permanent).then_some(Duration::from_secs(7));
        assert_eq!(error.retry_after, asked, "{status}");
    }
}

#[tokio::test]
async fn a_secret_in_the_uri_is_in_no_message() {
    for answer in ["404 Not Found", "503 Service Unavailable"] {
        let store = Store::start(move |_| Answer::status(answer));
        let error = Fetcher::new(&store, "/m.onnx?sig=hunter2")
            .fetch()
            .await
            .unwrap_err();
        assert!(!error.message.contains("hunter2"), "{error}");
        assert!(error.message.contains("/m.onnx"), "{error}");
    }
    let store = Store::start(|_| Answer::ok(MODEL));
    let mut fetcher = Fetcher::new(&store, "/m.onnx?sig=hunter2");
    fetcher.options.extra_roots = None;
    let error = fetcher.fetch().await.unwrap_err();
    assert!(
        !error.permanent && !error.message.contains("hunter2"),
        "{error}"
    );
    assert!(error.message.contains("certificate"), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_a_passing_failure() {
    let store = Store::start(|_| Answer::ok(MODEL));
    let mut fetcher = Fetcher::new(&store, "/m.onnx");
    // Port 1 of this machine: no service is ever there.
    fetcher.source.uri = "https://localhost:1/m.onnx".to_owned();
    let error = fetcher.fetch().await.unwrap_err();
    assert!(
        !error.permanent && error.message.contains("cannot be fetched"),
        "{error}"
    );
}
