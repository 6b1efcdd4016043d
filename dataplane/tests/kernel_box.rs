//! The edges of every signature, sent to a real process that serves models of some fifty operators and
//! the examples: whatever a kernel does with them, the process lives.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

mod harness;
#[path = "support/server.rs"]
mod server;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use harness::{Answer, Client};
use serde_json::{Value, json};
use server::{Server, settled};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every model of the box and of the examples, by name.
fn models() -> Vec<(String, PathBuf)> {
    let kernels = root().join("tests/models/kernels");
    let files = std::fs::read_dir(&kernels).expect("the kernels");
    let mut found: Vec<(String, PathBuf)> = files
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        .map(|path| (stem(&path), path))
        .collect();
    assert!(found.len() >= 50, "{}", found.len());
    for example in ["iris/iris.onnx", "digits/digits.onnx"] {
        let path = root().join("../examples").join(example);
        found.push((stem(&path), path.canonicalize().expect("an example")));
    }
    let embedder = root().join("../examples/embedder/model");
    found.push((
        "embedder".to_owned(),
        embedder.canonicalize().expect("the example"),
    ));
    found
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().expect("a name");
    stem.to_str().expect("a name").to_owned()
}

/// Values of a datatype that a request may hold, as JSON; the first is an ordinary one.
fn values(datatype: &str) -> Vec<Value> {
    match datatype {
        "BOOL" => vec![json!(true)],
        "BYTES" => vec![json!("cat"), json!("")],
        "UINT64" => vec![
            json!(1),
            json!(u64::MAX),
            json!(1u64 << 63),
            json!(64),
            json!(0),
        ],
        "INT64" => vec![
            json!(1),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(-1),
            json!(0),
            json!(i32::MIN),
            json!(1i64 << 31),
            json!((1i64 << 32) - 1),
            json!(3i64 << 31),
        ],
        "INT32" => vec![
            json!(1),
            json!(i32::MIN),
            json!(i32::MAX),
            json!(-1),
            json!(0),
        ],
        "FP32" => vec![
            json!(0.5),
            json!("NaN"),
            json!("Infinity"),
            json!("-Infinity"),
            json!(3e38),
            json!(-3e38),
            json!(2_147_483_648.0),
            json!(-1),
            json!(-1.5),
            json!(0),
        ],
        other => panic!("{other}: add its values"),
    }
}

/// One input of a request.
#[derive(Clone)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    /// Which axes may be 0.
    variable: Vec<bool>,
    /// Its elements in turns.
    values: Vec<Value>,
}

impl Input {
    fn document(&self) -> Value {
        let count = usize::try_from(self.shape.iter().product::<i64>()).expect("an extent");
        let data: Vec<&Value> = self.values.iter().cycle().take(count).collect();
        json!({"name": self.name, "datatype": self.datatype, "shape": self.shape, "data": data})
    }
}

/// The requests for a model, by its metadata: each value in each input, each pair of values in each
/// pair of inputs or in one, and each combination of zeros.
fn requests(metadata: &Value) -> Vec<Vec<Input>> {
    let inputs: Vec<Input> = metadata["inputs"]
        .as_array()
        .expect("inputs")
        .iter()
        .map(|input| {
            let extents = input["shape"].as_array().expect("a shape").iter();
            let extents: Vec<i64> = extents
                .map(|extent| extent.as_i64().expect("one"))
                .collect();
            let datatype = input["datatype"].as_str().expect("a datatype").to_owned();
            let axis = |(axis, extent): (usize, &i64)| match (axis, extent) {
                (0, -1) => 2,
                (_, -1) => 4,
                (_, fixed) => *fixed,
            };
            Input {
                name: input["name"].as_str().expect("a name").to_owned(),
                shape: extents.iter().enumerate().map(axis).collect(),
                variable: extents.iter().map(|extent| *extent == -1).collect(),
                values: vec![values(&datatype)[0].clone()],
                datatype,
            }
        })
        .collect();
    let mut made = vec![inputs.clone()];
    for first in 0..inputs.len() {
        for second in first..inputs.len() {
            for a in values(&inputs[first].datatype) {
                for b in values(&inputs[second].datatype) {
                    let mut request = inputs.clone();
                    request[first].values = vec![a.clone()];
                    if first == second {
                        request[first].values.push(b);
                    } else {
                        request[second].values = vec![b];
                    }
                    made.push(request);
                }
            }
        }
    }
    let axes: Vec<(usize, usize)> = inputs
        .iter()
        .enumerate()
        .flat_map(|(at, input)| {
            let variable = input.variable.iter().enumerate();
            variable.filter_map(move |(axis, is)| is.then_some((at, axis)))
        })
        .collect();
    for chosen in 1..1usize << axes.len() {
        let mut request = inputs.clone();
        for (bit, (input, axis)) in axes.iter().enumerate() {
            if chosen >> bit & 1 == 1 {
                request[*input].shape[*axis] = 0;
            }
        }
        made.push(request);
    }
    made
}

/// Values that JSON has no numbers for are sent as the protocol's strings.
async fn infer(client: &mut Client, model: &str, inputs: &[Input]) -> Answer {
    let inputs: Vec<Value> = inputs.iter().map(Input::document).collect();
    let body = json!({"inputs": inputs, "parameters": {"timeout": 5_000_000}}).to_string();
    let path = format!("/v2/models/{model}/infer");
    client.post(&path, body).await
}

async fn metadata(http: SocketAddr, model: &str) -> Value {
    let path = format!("/v2/models/{model}");
    let answer = Client::connect(http).await.get(&path).await;
    assert_eq!(answer.status, 200, "{model}: {answer:?}");
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_edge_of_any_signature_ends_the_process() {
    let models = models();
    let mut server = Server::start(&models, &["--model-memory-mib=1024"]);
    let (http, admin) = server.addresses().await;
    let states = settled(admin, models.len()).await;
    let mut client = Client::connect(http).await;
    let (mut sent, mut refused) = (0, Vec::new());
    for (model, _) in &models {
        assert_eq!(states[model], None, "{model}");
        for request in requests(&metadata(http, model).await) {
            let answer = infer(&mut client, model, &request).await;
            sent += 1;
            assert!(
                [200, 400, 500, 503, 504].contains(&answer.status),
                "{model}: {answer:?}"
            );
            if answer.json()["code"] == "unsafe_input" {
                refused.push(model.as_str());
            }
        }
        let alive = server.child.try_wait().expect("a child");
        assert_eq!(alive, None, "{model}: {}", server.log());
    }
    refused.dedup();
    // What is known to end the runtime is refused, and nothing else is.
    let known = ["div", "div_32", "div_32_of_64", "div_cast", "div_columns"];
    let mut refused: Vec<&str> = refused;
    refused.sort_unstable();
    for model in known.iter().chain(&["div_constant", "gru", "lstm"]) {
        assert!(refused.contains(model), "{model}: {refused:?}");
    }
    for model in ["gather", "iris", "softmax", "tree_classifier"] {
        assert!(!refused.contains(&model), "{model}: {refused:?}");
    }
    println!("{sent} requests, refused some of: {refused:?}");
    server.signal("TERM");
    assert_eq!(server.ended().await, Some(0));
}
