//! Versions that come and go at random while others are asked without a pause. What is asked
//! answers rightly, or says that it is not there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(dead_code, reason = "the test and the drill use their own parts")]

#[path = "served.rs"]
mod served;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{ModelRef, Standing};
use serin_crds::contract::pod_config::{ModelConfig, SourceConfig};
use serin_dataplane::admission::submit;
use serin_dataplane::model::{Registry, Repository, Runner, ServingModel, load_all};
use serin_dataplane::runtime::lifecycle::Lifecycle;
use serin_dataplane::telemetry::Metrics;
use serin_engine::batch::{WhenBusy, Work};
use tokio::task::JoinSet;

use crate::support::{as_f32, f32s};

/// The model whose versions come and go.
const CHANGING: &str = "changing";
/// The version of it that stays.
const STAYS: &str = "stays";
/// The model that is loaded and unloaded.
const RELOADED: &str = "reloaded";

/// What happens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Versions that come and go, besides the one that stays.
    pub versions: u32,
    /// Loads and unloads at once.
    pub operators: u32,
    /// Callers of the version that stays, and as many of the others.
    pub callers: u32,
    /// When it ends.
    pub end: End,
    /// Whether models are tried in a child process first.
    pub preflight: bool,
}

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// After a time.
    Time(Duration),
    /// After so many loads and unloads together.
    Changes(u64),
}

/// What has happened so far.
#[derive(Default)]
pub struct Counts {
    /// Requests to the version that stays.
    pub staying: AtomicU64,
    /// Requests to versions that come and go.
    pub changing: AtomicU64,
    /// Of these, requests whose version was not there.
    pub absent: AtomicU64,
    /// Answers that were not the version's own.
    pub wrong: AtomicU64,
    /// Requests that a version did not answer although it was there, and loads that failed.
    pub failed: AtomicU64,
    pub loads: AtomicU64,
    pub unloads: AtomicU64,
}

/// Counts one more.
fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Everything that runs.
struct Churn {
    plan: Plan,
    registry: Arc<Registry>,
    repository: Repository,
    folder: tempfile::TempDir,
    counts: Arc<Counts>,
    begun: Instant,
    stopped: AtomicBool,
}

/// Runs the plan; `watch` is called at the beginning and then every 10 seconds, with the time since.
pub async fn run(plan: Plan, watch: impl Fn(Duration, &Counts)) -> Arc<Counts> {
    let churn = Arc::new(Churn::start(plan).await);
    let mut callers = JoinSet::new();
    for caller in 0..plan.callers {
        callers.spawn(Arc::clone(&churn).ask_the_staying(caller % 2 == 0));
        callers.spawn(Arc::clone(&churn).ask_the_changing());
    }
    let mut operators = JoinSet::new();
    for _ in 0..plan.operators {
        operators.spawn(Arc::clone(&churn).change());
    }
    let mut looks = tokio::time::interval(Duration::from_secs(10));
    loop {
        tokio::select! {
            _ = looks.tick() => watch(churn.begun.elapsed(), &churn.counts),
            ended = operators.join_next() => match ended {
                Some(ended) => ended.unwrap(),
                None => break,
            },
        }
    }
    churn.stopped.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    Arc::clone(&churn.counts)
}

impl Churn {
    async fn start(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A version's factor is its number; the model that is reloaded has 0, the one that stays the
        // next number.
        for factor in 0..=plan.versions + 1 {
            write_model(folder.path(), factor);
        }
        let mut options = served::options();
        options.source.cache_dir = folder.path().join("cache");
        options.bounds.preflight = plan.preflight;
        let models = vec![
            config(folder.path(), CHANGING, STAYS, plan.versions + 1),
            config(folder.path(), RELOADED, "1", 0),
        ];
        let registry = Arc::new(Registry::new(models, &Arc::new(Metrics::new([]))));
        let lifecycle = Lifecycle::new();
        load_all(&registry, &options, &lifecycle).await.unwrap();
        let repository = Repository::new(Arc::clone(&registry), options, lifecycle);
        Self {
            plan,
            registry,
            repository,
            folder,
            counts: Arc::default(),
            begun: Instant::now(),
            stopped: AtomicBool::new(false),
        }
    }

    fn has_ended(&self) -> bool {
        match self.plan.end {
            End::Time(time) => self.begun.elapsed() >= time,
            End::Changes(changes) => {
                read(&self.counts.loads) + read(&self.counts.unloads) >= changes
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Asks the version that stays, by its name or as the default one.
    async fn ask_the_staying(self: Arc<Self>, by_name: bool) {
        let model = named(CHANGING, by_name.then_some(STAYS));
        while !self.is_stopped() {
            add(&self.counts.staying);
            let answered = match self.registry.resolve(&model) {
                Ok(serving) => ask(&serving, self.plan.versions + 1).await,
                Err(fault) => Err(fault),
            };
            self.count(answered);
        }
    }

    /// Asks one of the others, which may not be there. One that is there answers, even if it is
    /// removed meanwhile.
    async fn ask_the_changing(self: Arc<Self>) {
        while !self.is_stopped() {
            let factor = fastrand::u32(0..=self.plan.versions);
            let version = factor.to_string();
            let model = match factor {
                0 => named(RELOADED, None),
                _ => named(CHANGING, Some(&version)),
            };
            add(&self.counts.changing);
            match self.registry.resolve(&model) {
                Ok(serving) => self.count(ask(&serving, factor).await),
                Err(fault) if is_absence(&fault) => {
                    add(&self.counts.absent);
                    tokio::task::yield_now().await;
                }
                Err(fault) => self.count(Err(fault)),
            }
        }
    }

    fn count(&self, answered: Result<bool, Fault>) {
        match answered {
            Ok(true) => {}
            Ok(false) => add(&self.counts.wrong),
            Err(fault) => {
                eprintln!("failed: {} ({})", fault.message, fault.code);
                add(&self.counts.failed);
            }
        }
    }

    /// Adds versions that are not there and removes those that are; loads and unloads the other
    /// model likewise.
    async fn change(self: Arc<Self>) {
        while !self.has_ended() {
            let factor = fastrand::u32(0..=self.plan.versions);
            let (changed, counter) = match factor {
                0 => self.reload().await,
                _ => self.add_or_remove(factor).await,
            };
            match changed {
                Ok(()) => add(counter),
                // Another operator changes the same version.
                Err(fault) if fault.kind == FaultKind::NotFound || fault.code == "model_busy" => {
                    tokio::task::yield_now().await;
                }
                Err(fault) => self.count(Err(fault)),
            }
        }
    }

    async fn reload(&self) -> (Result<(), Fault>, &AtomicU64) {
        if fastrand::bool() {
            (self.repository.load(RELOADED).await, &self.counts.loads)
        } else {
            (self.repository.unload(RELOADED), &self.counts.unloads)
        }
    }

    async fn add_or_remove(&self, factor: u32) -> (Result<(), Fault>, &AtomicU64) {
        let version = factor.to_string();
        let model = named(CHANGING, Some(&version));
        if self.registry.known(&model).is_ok() {
            let removed = self.repository.remove(CHANGING, &version);
            return (removed, &self.counts.unloads);
        }
        let config = config(self.folder.path(), CHANGING, &version, factor);
        let inserted = self.repository.insert(config).await;
        (inserted, &self.counts.loads)
    }
}

fn is_absence(fault: &Fault) -> bool {
    matches!(
        fault.code,
        "version_not_found" | "model_not_ready" | "model_unloaded"
    )
}

/// Sends one row: whether the answer is that of the model with this factor.
async fn ask(serving: &ServingModel, factor: u32) -> Result<bool, Fault> {
    let row = [(); 4].map(|()| fastrand::i32(-100..100) as f32);
    let work = Work {
        inputs: vec![f32s("X", &[1, 4], &row)],
        outputs: vec![0],
        arrived: Instant::now(),
        deadline: Instant::now() + Duration::from_secs(60),
        priority: 0,
        standing: Standing::default(),
    };
    let Runner::Batched(worker) = &serving.runner;
    let answer = submit(worker, work, WhenBusy::Wait).await;
    let answer = answer.map_err(|rejected| rejected.fault)?;
    let expected = [
        row.iter().sum(),
        row[0] - row[1],
        factor as f32 * row[3] + 1.0,
    ];
    Ok(as_f32(&answer.outputs[0]) == expected)
}

fn named(name: &str, version: Option<&str>) -> ModelRef {
    ModelRef {
        name: name.to_owned(),
        version: version.map(str::to_owned),
    }
}

fn config(folder: &Path, name: &str, version: &str, factor: u32) -> ModelConfig {
    ModelConfig {
        name: name.to_owned(),
        version: version.to_owned(),
        source: SourceConfig {
            uri: format!("file://{}/{factor}.onnx", folder.display()),
            path: None,
            digest: None,
            allowed_networks: Vec::new(),
        },
        gpu: false,
        batching: None,
    }
}

/// The test model `linear` with another factor than 10 in its last weight.
fn write_model(folder: &Path, factor: u32) {
    let mut model = include_bytes!("../models/linear.onnx").to_vec();
    // The weight, and the tag and the name of the tensor that it ends.
    let end = [&10f32.to_le_bytes()[..], b"B\x01W"].concat();
    let at = model.windows(end.len()).position(|bytes| bytes == end);
    let at = at.unwrap();
    model[at..at + 4].copy_from_slice(&(factor as f32).to_le_bytes());
    std::fs::write(folder.join(format!("{factor}.onnx")), model).unwrap();
}
