//! The least that an HTTP server in Rust can do: read a request's body and answer the same bytes each time. What Serin costs beyond
//! this is its own: JSON, checks, the queue, the model.
#![forbid(unsafe_code)]

use std::{convert::Infallible, net::Ipv4Addr, path::PathBuf};

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Answers every request with the content of a file.
#[derive(Parser)]
struct Args {
    /// Where to listen on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// The body of every answer
    #[arg(long)]
    answer: PathBuf,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let answer = Bytes::from(std::fs::read(&args.answer)?);
    // One thread: the benchmark gives each server one core.
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(serve(args.port, answer))
}

async fn serve(port: u16, answer: Bytes) -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, answer.clone()));
            // A connection that breaks is the client's affair.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    answer: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off ends the connection by itself.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(answer));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}
