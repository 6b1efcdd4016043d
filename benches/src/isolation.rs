//! What it would cost to run engines in a process of their own: a request goes there and its answer comes back through shared memory,
//! with one wake-up each way. Measured beside the same exchange with a thread, which is what Serin does.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};

/// Measures exchanges with a thread and with a process.
#[derive(Parser)]
struct Args {
    /// Exchanges of each size
    #[arg(long, default_value_t = 50_000)]
    rounds: usize,
    /// Bytes of a request, and of its answer
    #[arg(long, value_delimiter = ',', default_values_t = [16, 4096, 65536, 1_048_576])]
    bytes: Vec<usize>,
    /// The shared memory: this is the process to exchange with
    #[arg(long, hide = true)]
    memory: Option<String>,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    if let Some(memory) = &args.memory {
        return answer(memory, args.bytes.first().copied().unwrap_or(16));
    }
    println!("| bytes each way | with | p50 µs | p99 µs | CPU µs, both sides |");
    println!("|---:|---|---:|---:|---:|");
    for bytes in &args.bytes {
        // A megabyte takes a hundred times as long as a wake-up.
        let rounds = args
            .rounds
            .min((args.rounds << 16) / bytes.max(&1))
            .max(1000);
        let mut thread = OtherThread::start(*bytes)?;
        let found = measure(rounds, || thread.exchange());
        report(*bytes, "a thread", &found?, rounds);
        let mut process = OtherProcess::start(*bytes)?;
        let before = process.cpu()?;
        let mut found = measure(rounds, || process.exchange())?;
        found.cpu += process.cpu()?.saturating_sub(before);
        report(*bytes, "a process", &found, rounds);
    }
    Ok(())
}

/// Times of exchanges, in order of length, and what they took of the processor.
struct Found {
    times: Vec<Duration>,
    cpu: Duration,
}

fn measure(rounds: usize, mut exchange: impl FnMut() -> io::Result<()>) -> io::Result<Found> {
    for _ in 0..rounds / 10 {
        exchange()?;
    }
    let before = own_cpu();
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        exchange()?;
        times.push(begun.elapsed());
    }
    let cpu = own_cpu().saturating_sub(before);
    times.sort_unstable();
    Ok(Found { times, cpu })
}

fn report(bytes: usize, with: &str, found: &Found, rounds: usize) {
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let at = |share: usize| micros(found.times[found.times.len() * share / 100]);
    let cpu = micros(found.cpu) / rounds as f64;
    println!(
        "| {bytes} | {with} | {:.1} | {:.1} | {cpu:.1} |",
        at(50),
        at(99)
    );
}

fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A thread that takes a buffer and gives it back.
struct OtherThread {
    to: SyncSender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
    request: Vec<u8>,
}

impl OtherThread {
    fn start(bytes: usize) -> io::Result<Self> {
        let (to, asked) = sync_channel::<Vec<u8>>(1);
        let (answered, from) = sync_channel(1);
        std::thread::Builder::new().spawn(move || {
            while let Ok(buffer) = asked.recv() {
                // The engine's own copy of its outputs.
                if answered.send(buffer.clone()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            to,
            from,
            request: vec![1; bytes],
        })
    }

    fn exchange(&mut self) -> io::Result<()> {
        let ended = |_| io::Error::other("the thread ended");
        let request = std::mem::take(&mut self.request);
        self.to
            .send(request)
            .map_err(|_| io::Error::other("the thread ended"))?;
        self.request = self.from.recv().map_err(ended)?;
        Ok(())
    }
}

/// A process that reads from shared memory and writes there.
struct OtherProcess {
    child: Child,
    memory: File,
    wake: OwnedFd,
    woken: OwnedFd,
    request: Vec<u8>,
}

impl OtherProcess {
    fn start(bytes: usize) -> io::Result<Self> {
        let memory = File::from(memfd_create("exchange", MemfdFlags::CLOEXEC)?);
        memory.set_len(2 * bytes as u64)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC)?;
        let woken = eventfd(0, EventfdFlags::CLOEXEC)?;
        let child = Command::new(std::env::current_exe()?)
            .arg(format!("--bytes={bytes}"))
            .arg(format!(
                "--memory=/proc/{}/fd/{}",
                std::process::id(),
                memory.as_raw_fd()
            ))
            .stdin(Stdio::from(wake.try_clone()?))
            .stdout(Stdio::from(woken.try_clone()?))
            .spawn()?;
        Ok(Self {
            child,
            memory,
            wake,
            woken,
            request: vec![1; bytes],
        })
    }

    fn exchange(&mut self) -> io::Result<()> {
        self.memory.write_all_at(&self.request, 0)?;
        rustix::io::write(&self.wake, &1u64.to_ne_bytes())?;
        wait(&self.woken)?;
        let place = self.request.len() as u64;
        self.memory.read_exact_at(&mut self.request, place)
    }

    /// What the process has had of the processor.
    fn cpu(&self) -> io::Result<Duration> {
        let mut text = String::new();
        File::open(format!("/proc/{}/schedstat", self.child.id()))?.read_to_string(&mut text)?;
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Ok(Duration::from_nanos(nanos.unwrap_or(0)))
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a wake-up.
fn wait(events: impl AsFd) -> io::Result<()> {
    let mut count = [0; 8];
    rustix::io::read(events, &mut count)?;
    Ok(())
}

/// The process's side: until it is killed.
fn answer(memory: &str, bytes: usize) -> io::Result<()> {
    let memory = File::options().read(true).write(true).open(memory)?;
    let mut buffer = vec![0; bytes];
    loop {
        wait(io::stdin())?;
        memory.read_exact_at(&mut buffer, 0)?;
        memory.write_all_at(&buffer, bytes as u64)?;
        rustix::io::write(io::stdout(), &1u64.to_ne_bytes())?;
    }
}
