//! A model that is pinned by its digest is the model that answers, whoever renames folders meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/served.rs"]
mod served;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serin_dataplane::model::load_all;
use serin_dataplane::pipeline::{Pipeline, WhenBusy};
use serin_dataplane::runtime::cpu_pool::CpuPool;
use serin_dataplane::runtime::lifecycle::Lifecycle;
use served::{call, config, infer, options, registry};
use sha2::{Digest, Sha256};
use support::{as_f32, f32s, model};

/// How often the model is loaded while its folder is exchanged.
const LOADS: usize = 1000;

fn digest(file: &Path) -> String {
    format!(
        "sha256:{}",
        hex::encode(Sha256::digest(fs::read(file).unwrap()))
    )
}

/// Exchanges two folders in a loop until it is told to stop.
struct Exchange {
    stop: Arc<AtomicBool>,
    times: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Exchange {
    fn start(a: PathBuf, b: PathBuf) -> Self {
        let (stop, times) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&times));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                std::thread::yield_now();
            }
        });
        Self {
            stop,
            times,
            thread: Some(thread),
        }
    }

    fn end(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        self.times.load(Ordering::SeqCst)
    }
}

/// Loads a model again and again under its good digest: what it answers where it loads.
async fn loads(place: &Path, pinned: &str, input: &[f32; 4]) -> Vec<Vec<f32>> {
    let mut answers = Vec::new();
    for _ in 0..LOADS {
        let mut model = config("m", &format!("file://{}", place.display()));
        model.source.digest = Some(pinned.to_owned());
        let registry = registry(vec![model]);
        if load_all(&registry, &options(), &Lifecycle::new())
            .await
            .is_err()
        {
            continue;
        }
        let pipeline = Pipeline::new(registry, CpuPool::new());
        let asked = call("m", vec![f32s("X", &[1, 4], input)]);
        let reply = infer(&pipeline, asked, WhenBusy::Refuse).await.unwrap();
        answers.push(as_f32(&reply.outputs[0]));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_exchanged_in_a_loop_never_gives_another_model_than_the_pinned_one() {
    let root = tempfile::tempdir().unwrap();
    let (good, evil) = (root.path().join("m"), root.path().join("evil"));
    for (folder, name) in [(&good, "linear"), (&evil, "set_model")] {
        fs::create_dir(folder).unwrap();
        fs::copy(model(name), folder.join("model.onnx")).unwrap();
    }
    let pinned = digest(&good.join("model.onnx"));
    for place in [good.clone(), good.join("model.onnx")] {
        let exchange = Exchange::start(good.clone(), evil.clone());
        let answers = loads(&place, &pinned, &[1.0, 2.0, 3.0, 4.0]).await;
        assert!(exchange.end() > LOADS);
        // The other model has four numbers for four.
        assert!(!answers.is_empty());
        for answer in answers {
            assert_eq!(answer, [10.0, -1.0, 41.0]);
        }
    }
}

/// A protobuf field of bytes.
fn block(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    assert!(content.len() < 128);
    field.extend_from_slice(content);
    field
}

/// A protobuf field of a small number.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// `Y = X + W` over [N,4], with W in the file `parts/w.bin` beside it.
fn with_weights_beside(producer: &str) -> Vec<u8> {
    let value = |name: &str| {
        let shape = [block(1, &block(2, b"N")), block(1, &number(1, 4))];
        let tensor = [number(1, 1), block(2, &shape.concat())].concat();
        [block(1, name.as_bytes()), block(2, &block(1, &tensor))].concat()
    };
    let node = [
        block(1, b"X"),
        block(1, b"W"),
        block(2, b"Y"),
        block(4, b"Add"),
    ]
    .concat();
    let place = [block(1, b"location"), block(2, b"parts/w.bin")].concat();
    let weights = [
        number(1, 4),
        number(2, 1),
        block(8, b"W"),
        block(13, &place),
        number(14, 1),
    ];
    let graph = [
        block(1, &node),
        block(2, b"g"),
        block(5, &weights.concat()),
        block(11, &value("X")),
        block(12, &value("Y")),
    ];
    let graph = graph.concat();
    let head = [
        number(1, 8),
        block(2, producer.as_bytes()),
        block(8, &number(2, 17)),
    ];
    let length = u8::try_from(graph.len() & 0x7f).unwrap() | 0x80;
    let more = u8::try_from(graph.len() >> 7).unwrap();
    [head.concat(), vec![7 << 3 | 2, length, more], graph].concat()
}

/// A folder of that model, whose W has this value everywhere.
fn lay(folder: &Path, producer: &str, weight: f32) {
    fs::create_dir_all(folder.join("parts")).unwrap();
    fs::write(folder.join("model.onnx"), with_weights_beside(producer)).unwrap();
    let weights: Vec<u8> = [weight; 4]
        .iter()
        .flat_map(|weight| weight.to_le_bytes())
        .collect();
    fs::write(folder.join("parts/w.bin"), weights).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_come_from_the_folder_of_the_file_that_was_hashed() {
    let root = tempfile::tempdir().unwrap();
    let (good, evil) = (root.path().join("m"), root.path().join("evil"));
    lay(&good, "good", 1.0);
    lay(&evil, "evil", 666.0);
    let pinned = digest(&good.join("model.onnx"));
    let exchange = Exchange::start(good.clone(), evil);
    let answers = loads(&good, &pinned, &[0.0; 4]).await;
    assert!(exchange.end() > LOADS);
    assert!(!answers.is_empty());
    for answer in answers {
        assert_eq!(answer, [1.0; 4]);
    }
}
