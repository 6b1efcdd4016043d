//! `/metrics`, `/livez` and `/readyz`. A follower is ready: else a rolling update of two
//! operators would wait for ever.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time. Probes and scrapers need a handful.
const MAX_CONNECTIONS: usize = 64;
/// How long a caller may take for its request's head.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// How long a connection may last in all.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(60);

/// Opens the port. `::` stands for every address: of IPv6 and IPv4, as sockets of a network
/// namespace of its own do, or of IPv4 alone where the host has no IPv6.
///
/// # Errors
/// Where it cannot be had.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) => match instead(address, error.kind()) {
            Some(address) => TcpListener::bind(address).await,
            None => Err(error),
        },
        bound => bound,
    }
}

/// The address to fall back to where IPv6 is not available; none where the port is taken, since half
/// of the addresses would belong to another program.
fn instead(address: SocketAddr, error: io::ErrorKind) -> Option<SocketAddr> {
    let of_the_port = [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied];
    let every = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    (every && !of_the_port.contains(&error))
        .then(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, registry: Arc<Registry>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: a pause lets some be closed.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &registry);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_DEADLINE)
                .serve_connection(TokioIo::new(stream), service);
            // Errors of a connection concern its caller only.
            let _ = tokio::time::timeout(CONNECTION_DEADLINE, connection).await;
            drop(slot);
        });
    }
}

fn answer(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is answered here\n".into(),
        );
    }
    match request.uri().path() {
        "/livez" | "/readyz" => text(StatusCode::OK, "ok\n".into()),
        "/metrics" => {
            let mut body = String::new();
            match prometheus_client::encoding::text::encode(&mut body, registry) {
                Ok(()) => {
                    let mut response = text(StatusCode::OK, body);
                    response.headers_mut().insert(
                        header::CONTENT_TYPE,
                        header::HeaderValue::from_static(
                            "application/openmetrics-text; version=1.0.0; charset=utf-8",
                        ),
                    );
                    response
                }
                Err(_) => text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "metrics cannot be written\n".into(),
                ),
            }
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "/metrics, /livez and /readyz are answered here\n".into(),
        ),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use clap::Parser;

    use super::*;
    use crate::settings::Settings;

    #[tokio::test]
    async fn probes_reach_the_operator_over_ipv4_and_where_there_is_ipv6_over_that_too() {
        let settings = Settings::parse_from(["serin-operator", "--dataplane-image=d:1"]);
        let bound = bind(SocketAddr::new(settings.metrics_addr, 0))
            .await
            .unwrap();
        let port = bound.local_addr().unwrap().port();
        let answers = |ip: IpAddr| TcpStream::connect(SocketAddr::new(ip, port)).is_ok();
        assert!(answers(Ipv4Addr::LOCALHOST.into()));
        let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let has_ipv6 = std::net::TcpListener::bind((loopback, 0)).is_ok();
        assert_eq!(answers(loopback), has_ipv6);
    }

    #[test]
    fn a_host_without_ipv6_is_answered_on_every_ipv4_address() {
        let every = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 8080);
        let ipv4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 8080);
        // The kind of "address family not supported" has no name.
        for missing in [io::ErrorKind::AddrNotAvailable, io::ErrorKind::Other] {
            assert_eq!(instead(every, missing), Some(ipv4));
            let named = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 8080);
            assert_eq!(instead(named, missing), None);
        }
        assert_eq!(instead(every, io::ErrorKind::AddrInUse), None);
    }
}
