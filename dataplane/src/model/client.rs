//! The HTTPS client that fetches models: trusted authorities, and addresses that it may dial.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;

use super::error::LoadError;
use crate::address::{CheckedResolver, Rule};
use crate::tls_roots;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time without a byte from a store, before its answer or within a file.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that follows no redirect by itself and dials only what `rule` allows. It uses no proxy:
/// the addresses that a proxy dials cannot be checked.
pub(super) fn client(rule: &Rule, extra_roots: Option<&Path>) -> Result<Client, LoadError> {
    let tls = tls_roots::client_config(extra_roots)
        .map_err(|error| LoadError::permanent(error.to_string()))?;
    Client::builder()
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .user_agent(concat!("serin/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(CheckedResolver::new(rule.clone())))
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| LoadError::permanent(format!("no HTTPS client can be made: {error}")))
}
