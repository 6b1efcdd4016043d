//! One request.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serin_e2e::answers::Answer;
use tokio::time::timeout;

use crate::connection::{Connection, DEADLINE, Target};

/// One request.
#[derive(clap::Args)]
pub struct Arguments {
    /// GET, POST...
    method: http::Method,
    /// Where to.
    url: Target,
    /// What the body is, where there is one.
    #[arg(long, default_value = "application/json")]
    content_type: http::HeaderValue,
}

/// Sends it and prints an [`Answer`] as JSON.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let mut body = Vec::new();
    std::io::stdin()
        .read_to_end(&mut body)
        .map_err(|error| error.to_string())?;
    let mut request = http::Request::builder()
        .method(arguments.method)
        .uri(&arguments.url.path)
        .header(http::header::HOST, &arguments.url.authority);
    if !body.is_empty() {
        request = request.header(http::header::CONTENT_TYPE, arguments.content_type);
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let mut connection = Connection::open(&arguments.url).await?;
    let answer = async {
        let response = connection
            .sender
            .send_request(request)
            .await
            .map_err(|error| format!("{}: {error}", arguments.url.authority))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        let headers: BTreeMap<_, _> = head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        Ok::<_, String>(Answer {
            status: head.status.as_u16(),
            headers,
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            peer: connection.peer.to_string(),
        })
    };
    let answer = timeout(DEADLINE, answer)
        .await
        .map_err(|_| format!("{}: no answer in {DEADLINE:?}", arguments.url.authority))??;
    println!(
        "{}",
        serde_json::to_string(&answer).map_err(|error| error.to_string())?
    );
    Ok(())
}
