//! Addresses in URLs, and behind names.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Rule;

/// An address that may not be dialled.
#[derive(Debug, thiserror::Error)]
#[error("{host} {why}, it is not dialled")]
pub(crate) struct RefusedAddress {
    host: String,
    why: &'static str,
}

/// Whether a URL names an address that may not be dialled; names are judged once resolved, which
/// addresses never are.
pub(crate) fn refused_literal(url: &Url, rule: &Rule) -> Option<RefusedAddress> {
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
pub(crate) struct CheckedResolver {
    rule: Rule,
}

impl CheckedResolver {
    pub(crate) fn new(rule: Rule) -> Self {
        Self { rule }
    }
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
