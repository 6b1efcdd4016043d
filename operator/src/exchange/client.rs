//! The HTTP client of pods: pooled connections, a deadline for each request.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serin_crds::contract::status_report::StatusReport;

/// Deadline of a request, connecting included.
const DEADLINE: Duration = Duration::from_secs(2);
/// Maximum size of a report, in bytes.
const MAX_REPORT: usize = 16 * 1024;
/// Lifetime of an idle connection. A pod is polled every two seconds.
const IDLE: Duration = Duration::from_secs(10);

/// Calls the admin port of pods.
#[derive(Clone, Debug)]
pub struct PodClient {
    client: Client<HttpConnector, Empty<Bytes>>,
    port: u16,
}

impl PodClient {
    /// A client for pods whose admin port is `port`.
    pub fn new(port: u16) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build(HttpConnector::new());
        Self { client, port }
    }

    /// The status report of the pod at this address; `None` where it does not answer in time with
    /// a report. Its probes show that as well.
    pub async fn status(&self, pod: IpAddr) -> Option<StatusReport> {
        tokio::time::timeout(DEADLINE, self.exchange(pod))
            .await
            .ok()?
    }

    async fn exchange(&self, pod: IpAddr) -> Option<StatusReport> {
        let address = SocketAddr::new(pod, self.port);
        let request = Request::get(format!("http://{address}/statusz"))
            .body(Empty::new())
            .ok()?;
        let response = self.client.request(request).await.ok()?;
        let body = Limited::new(response.into_body(), MAX_REPORT)
            .collect()
            .await
            .ok()?;
        serde_json::from_slice(&body.to_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use serin_crds::contract::status_report::Phase;

    use super::*;
    use crate::testing::fake_pod::FakePod;

    #[tokio::test]
    async fn a_report_is_read_over_one_connection_each_time() {
        let pod = FakePod::start(r#"{"phase":"Loading","message":"m","later":1}"#).await;
        let client = PodClient::new(pod.address.port());
        for _ in 0..3 {
            let report = client.status(pod.address.ip()).await.unwrap();
            assert_eq!(
                (report.phase, report.message.as_str()),
                (Phase::Loading, "m")
            );
        }
        assert_eq!((pod.requests(), pod.connections()), (3, 1));
    }

    #[tokio::test]
    async fn nonsense_and_too_much_are_no_report() {
        for body in [
            "<html>".to_owned(),
            r#"{"phase":"Failed"}"#.to_owned(),
            format!(
                r#"{{"phase":"Ready","message":"{}"}}"#,
                "x".repeat(MAX_REPORT)
            ),
        ] {
            let pod = FakePod::start(&body).await;
            let client = PodClient::new(pod.address.port());
            assert_eq!(client.status(pod.address.ip()).await, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_says_nothing_is_given_up_on() {
        let pod = FakePod::silent().await;
        let client = PodClient::new(pod.address.port());
        assert_eq!(client.status(pod.address.ip()).await, None);
    }
}
