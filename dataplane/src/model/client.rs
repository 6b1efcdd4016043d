//! The HTTPS client that fetches models: trusted authorities, and addresses that it may dial.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

use super::address::Rule;
use super::error::LoadError;
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
        .dns_resolver(Arc::new(CheckedResolver { rule: rule.clone() }))
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| LoadError::permanent(format!("no HTTPS client can be made: {error}")))
}

/// An address that may not be dialled.
#[derive(Debug, thiserror::Error)]
#[error("{host} {why}, models are not fetched from there")]
pub(super) struct RefusedAddress {
    host: String,
    why: &'static str,
}

/// Whether a URL names an address that may not be dialled; names are judged once resolved, which
/// addresses never are.
pub(super) fn refused_literal(url: &Url, rule: &Rule) -> Option<RefusedAddress> {
    let host = url.host_str()?;
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = literal.parse().ok()?;
    let why = rule.refusal(address)?;
    Some(RefusedAddress {
        host: host.to_owned(),
        why,
    })
}

/// Resolves names to those of their addresses that may be dialled; these, and no later answer of
/// the name server, are dialled.
struct CheckedResolver {
    rule: Rule,
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
                return Err(RefusedAddress { host, why }.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_refused_however_the_url_spells_them() {
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "[::1]",
            "[::ffff:7f00:1]",
            "169.254.169.254",
            "%31%32%37.0.0.1",
        ] {
            let url = Url::parse(&format!("https://{host}/m.onnx")).unwrap();
            assert!(refused_literal(&url, &Rule::default()).is_some(), "{host}");
        }
        let url = Url::parse("https://models.example/m.onnx").unwrap();
        assert!(refused_literal(&url, &Rule::default()).is_none());
    }

    #[tokio::test]
    async fn a_name_that_means_this_machine_is_refused() {
        let resolver = CheckedResolver {
            rule: Rule::default(),
        };
        let refused = resolver.resolve("localhost".parse().unwrap()).await.err();
        let text = refused.unwrap().to_string();
        assert!(text.contains("localhost is this machine itself"), "{text}");
    }
}
