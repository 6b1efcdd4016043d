//! Constant load on keep-alive connections.
//!
//! A connection is used until an answer says `Connection: close`; then it is opened anew. Nothing
//! is tried twice: whatever is not a 200 with a version that was expected counts as failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serin_e2e::answers::LoadReport;
use tokio::sync::Mutex;
use tokio::time::{interval, sleep_until, timeout};

use crate::connection::{Connection, DEADLINE, Target};

/// Constant load.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where to POST.
    url: Target,
    /// The body of every request.
    #[arg(long)]
    body: String,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 8)]
    connections: u32,
    /// Requests a second over all connections; 0: as many as go.
    #[arg(long, default_value_t = 0)]
    rate: u32,
}

/// Prints a [`LoadReport`] as a line of JSON every half second, and a last one at the end.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let arguments = Arc::new(arguments);
    let report = Arc::new(Mutex::new(LoadReport::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..arguments.connections)
        .map(|index| {
            let worker = Worker {
                arguments: Arc::clone(&arguments),
                report: Arc::clone(&report),
                stop: Arc::clone(&stop),
            };
            tokio::spawn(worker.work(index))
        })
        .collect();

    let (closed, mut end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = closed.send(());
    });
    let mut tick = interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            _ = &mut end => break,
            _ = tick.tick() => print(&*report.lock().await)?,
        }
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.map_err(|error| error.to_string())?;
    }
    let report = report.lock().await;
    print(&report)
}

fn print(report: &LoadReport) -> Result<(), String> {
    println!(
        "{}",
        serde_json::to_string(report).map_err(|error| error.to_string())?
    );
    Ok(())
}

struct Worker {
    arguments: Arc<Arguments>,
    report: Arc<Mutex<LoadReport>>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    async fn work(self, index: u32) {
        let pause = match self.arguments.rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs(1) * self.arguments.connections / rate,
        };
        let mut next = tokio::time::Instant::now() + pause * index / self.arguments.connections;
        let mut connection = None;
        while !self.stop.load(Ordering::Relaxed) {
            if !pause.is_zero() {
                sleep_until(next).await;
                next += pause;
            }
            let began = Instant::now();
            let outcome = self.one(&mut connection).await;
            self.report.lock().await.add(outcome, began.elapsed());
        }
    }

    /// Sends one request; gives the model version that answered.
    async fn one(&self, slot: &mut Option<Connection>) -> Result<String, String> {
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => {
                let connection = Connection::open(&self.arguments.url).await?;
                self.report.lock().await.connections += 1;
                connection
            }
        };
        let request = http::Request::post(&self.arguments.url.path)
            .header(http::header::HOST, &self.arguments.url.authority)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(self.arguments.body.clone())))
            .map_err(|error| error.to_string())?;
        let peer = connection.peer;
        let answer = async {
            connection
                .sender
                .ready()
                .await
                .map_err(|error| format!("connection lost between requests: {error}"))?;
            let response = connection
                .sender
                .send_request(request)
                .await
                .map_err(|error| format!("connection lost in a request: {error}"))?;
            let (head, body) = response.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| format!("connection lost in an answer: {error}"))?;
            Ok::<_, String>((head, body.to_bytes()))
        };
        let (head, body) = timeout(DEADLINE, answer)
            .await
            .map_err(|_| format!("no answer in {DEADLINE:?}"))?
            .map_err(|error| format!("{error} (to {peer})"))?;
        let closes = head
            .headers
            .get(http::header::CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        if !closes {
            *slot = Some(connection);
        }
        if head.status != http::StatusCode::OK {
            return Err(format!(
                "{}: {}",
                head.status,
                String::from_utf8_lossy(&body)
            ));
        }
        let body: serde_json::Value =
            serde_json::from_slice(&body).map_err(|error| format!("not JSON: {error}"))?;
        match body["model_version"].as_str() {
            Some(version) => Ok(version.to_owned()),
            None => Err(format!("no model_version: {body}")),
        }
    }
}
