//! What a port takes no request for, whatever its route: ambiguous headers, names that are not this
//! machine's, pages of other sites, and changes from elsewhere. One place, so that a new route cannot be
//! outside of it.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, ORIGIN, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use serin_core::fault::{Fault, FaultKind};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Ends of the paths whose requests change nothing, although they have a body. A path that is not listed
/// counts as one that changes something.
const INFERENCE: [&str; 7] = [
    "/infer",
    "/infer_stream",
    ":predict",
    ":explain",
    "/embeddings",
    "/ModelInfer",
    "/ModelStreamInfer",
];

/// The rules of one port.
#[derive(Clone, Debug)]
pub(in crate::server) struct Guard {
    /// The port is for the pod's own administration: changes are taken from the pod itself alone.
    pub(in crate::server) admin: bool,
    /// In local mode: the names besides `localhost` by which the machine may be addressed. A page whose
    /// name was made to resolve to this machine would else be one of ours to the browser.
    pub(in crate::server) names: Option<Vec<String>>,
}

impl Guard {
    /// Checks the header block of a request from `peer`.
    ///
    /// # Errors
    /// `Malformed` and `NotImplemented` for ambiguous framing, `Forbidden`.
    pub(super) fn check<B>(&self, request: &Request<B>, peer: SocketAddr) -> Result<(), Fault> {
        let headers = request.headers();
        if request.version() < Version::HTTP_2 {
            framing(request.version(), headers)?;
        }
        let authority = authority(request)?;
        if let (Some(names), Some(authority)) = (&self.names, &authority)
            && !is_local(authority.host(), names)
        {
            return Err(not_local(authority.host()));
        }
        let path = request.uri().path();
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        if safe {
            // Any page may open a WebSocket to any host, this machine included.
            return if headers.contains_key(UPGRADE) {
                same_site(headers, authority.as_ref())
            } else {
                Ok(())
            };
        }
        // A page may call for inference where a gateway says so; on this machine nobody has.
        if self.admin || self.names.is_some() || !is_inference(path) {
            same_site(headers, authority.as_ref())?;
        }
        if self.admin && !peer.ip().to_canonical().is_loopback() {
            return Err(not_from_here());
        }
        Ok(())
    }
}

fn is_inference(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    INFERENCE.iter().any(|end| path.ends_with(end))
}

/// RFC 9112, 3.2 and 6.1: one `Host`, and no coding but chunks. A server in front that reads such a
/// request in another way would take a part of it for the next one; so the connection is closed as well.
fn framing(version: Version, headers: &HeaderMap) -> Result<(), Fault> {
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Err(invalid(&HOST, "must be given once"));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(_), _) if version < Version::HTTP_11 => {
            Err(invalid(&TRANSFER_ENCODING, "is not of HTTP/1.0"))
        }
        (Some(coding), None) if is_chunked(coding) => Ok(()),
        (Some(coding), None) if !coding.as_bytes().split(|byte| *byte == b',').all(is_chunks) => {
            Err(Fault::new(
                FaultKind::NotImplemented,
                "not_implemented",
                "Transfer-Encoding may be 'chunked' alone; compress a body by Content-Encoding",
            ))
        }
        _ => Err(invalid(&TRANSFER_ENCODING, "must be 'chunked', given once")),
    }
}

fn is_chunked(coding: &HeaderValue) -> bool {
    is_chunks(coding.as_bytes())
}

fn is_chunks(coding: &[u8]) -> bool {
    coding.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// The host and port that a request is for.
fn authority<B>(request: &Request<B>) -> Result<Option<Authority>, Fault> {
    let host = request.headers().get(HOST);
    let host = match host.map(HeaderValue::as_bytes) {
        // As a client says that there is none to name.
        None | Some(b"") => None,
        Some(host) => match Authority::try_from(host) {
            Ok(host) if !host.as_str().contains('@') => Some(host),
            _ => return Err(invalid(&HOST, "must be a host, with or without a port")),
        },
    };
    // The target's own goes before the header (RFC 9112, 3.2.2); over HTTP/2 they may not differ.
    match (request.uri().authority(), host) {
        (Some(target), Some(host)) if request.version() >= Version::HTTP_2 && *target != host => {
            Err(invalid(&HOST, "must be what :authority is"))
        }
        (Some(target), _) => Ok(Some(target.clone())),
        (None, host) => Ok(host),
    }
}

/// An address, `localhost`, what is below it, or a name that was listed.
fn is_local(host: &str, names: &[String]) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || names
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(&name))
}

/// Browsers say where a page comes from: by `Sec-Fetch-Site`, which no page can change, and older ones by
/// `Origin` alone. Programs send neither.
fn same_site(headers: &HeaderMap, authority: Option<&Authority>) -> Result<(), Fault> {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        let own = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
        return if sites.all(own) {
            Ok(())
        } else {
            Err(cross_site("another site"))
        };
    }
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().unwrap_or("?");
        let page = origin.split_once("://").map(|(_, page)| page);
        let same = page
            .zip(authority)
            .is_some_and(|(page, authority)| page.eq_ignore_ascii_case(authority.as_str()));
        if !same {
            let shown: String = origin.chars().take(80).collect();
            return Err(cross_site(&shown));
        }
    }
    Ok(())
}

fn cross_site(page: &str) -> Fault {
    let message = format!(
        "a page of {page} may not ask for this: serve it under this host, or leave the header Origin out if it is no page"
    );
    Fault::new(FaultKind::Forbidden, "cross_site_request", message)
}

fn not_local(host: &str) -> Fault {
    let shown: String = host.chars().take(80).collect();
    let message = format!(
        "this machine is not addressed as '{shown}': use localhost or an address, or start with --allow-host {shown}"
    );
    Fault::new(FaultKind::Forbidden, "host_not_allowed", message)
}

fn not_from_here() -> Fault {
    let message = "the admin port takes changes from the pod itself alone: use kubectl port-forward, or kubectl exec";
    Fault::new(FaultKind::Forbidden, "permission_denied", message)
}

fn invalid(name: &HeaderName, must: &str) -> Fault {
    let message = format!("the header {name} {must}");
    Fault::new(FaultKind::Malformed, "invalid_header", message).with_param(name.as_str())
}

#[cfg(test)]
mod tests;
