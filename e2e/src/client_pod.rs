//! A pod that sends requests as any client in the namespace would.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::answers::{Answer, LoadReport, Tensors};
use crate::namespace::TestNamespace;
use crate::program::{self, Ended};
use crate::wait::eventually;

const NAME: &str = "client";
const PROGRAM: &str = "/usr/bin/serin-e2e-client";
const START: Duration = Duration::from_secs(60);
const PROGRAMMED: Duration = Duration::from_secs(60);
const REQUEST: Duration = Duration::from_secs(40);

/// The pod.
pub struct ClientPod<'a> {
    namespace: &'a TestNamespace,
}

impl<'a> ClientPod<'a> {
    /// Starts it and waits until it runs.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(namespace: &'a TestNamespace) -> Self {
        let image = namespace.world().client_image();
        namespace.apply(&serde_json::json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": NAME},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}
                },
                "containers": [{
                    "name": NAME,
                    "image": image,
                    "args": ["idle"],
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]}
                    }
                }]
            }
        }));
        let timeout = format!("--timeout={}s", START.as_secs());
        namespace
            .kubectl_with(
                &["wait", "pod", NAME, "--for=condition=Ready", &timeout],
                "",
                START + START,
            )
            .expect_success();
        Self { namespace }
    }

    /// Waits until the service answers here: a node programs a new Service, and its name is known,
    /// about a second after its pods are ready.
    ///
    /// # Panics
    /// When it does not.
    pub async fn reaches(&self, service: &str) {
        let health = format!("http://{service}/v2/health/ready");
        let what = format!("the Service '{service}' is programmed");
        eventually(&what, PROGRAMMED, || async {
            match self.send("GET", &health, "")? {
                answer if answer.status == 200 => Ok(()),
                answer => Err(format!("{} {}", answer.status, answer.body)),
            }
        })
        .await;
    }

    /// Sends one request. The answer, or why there is none.
    pub fn send(&self, method: &str, url: &str, body: &str) -> Result<Answer, String> {
        let ended = self.exec(&["send", method, url], body);
        if !ended.success {
            return Err(ended.stderr);
        }
        serde_json::from_str(&ended.stdout).map_err(|error| format!("{error}: {}", ended.stdout))
    }

    /// Sends rows, one a line, and gives the lines of the answer.
    pub fn stream_rows(&self, url: &str, rows: &str) -> Result<Answer, String> {
        let arguments = ["send", "POST", url, "--content-type=application/x-ndjson"];
        let ended = self.exec(&arguments, rows);
        if !ended.success {
            return Err(ended.stderr);
        }
        serde_json::from_str(&ended.stdout).map_err(|error| format!("{error}: {}", ended.stdout))
    }

    /// Inference over gRPC with the client's arguments: address, model, input, the row's values, and `--stream=N`.
    pub fn grpc(&self, arguments: &[&str]) -> Result<Vec<Tensors>, String> {
        let ended = self.exec(&[&["grpc"], arguments].concat(), "");
        if !ended.success {
            return Err(ended.stderr);
        }
        let read =
            |line: &str| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"));
        ended.stdout.lines().map(read).collect()
    }

    /// A prediction of the model behind a service's DNS name.
    pub fn infer(&self, service: &str, body: &str) -> Result<Answer, String> {
        self.send("POST", &infer_url(service, service), body)
    }

    /// Starts a constant load: `rate` requests a second (0: as many as go) over `connections`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn load(&self, url: &str, body: &str, connections: u32, rate: u32) -> Load {
        let (connections, rate) = (connections.to_string(), rate.to_string());
        let mut command = self.command();
        command.args([
            "load",
            url,
            "--body",
            body,
            "--connections",
            &connections,
            "--rate",
            &rate,
        ]);
        Load::start(command)
    }

    fn exec(&self, arguments: &[&str], stdin: &str) -> Ended {
        let mut command = self.command();
        command.args(arguments);
        program::run(command, stdin, REQUEST)
    }

    fn command(&self) -> Command {
        let mut command = self.namespace.world().command("kubectl");
        command.args([
            "--namespace",
            &self.namespace.name,
            "exec",
            "--stdin",
            NAME,
            "--",
            PROGRAM,
        ]);
        command
    }
}

/// Where `model` of `service` answers, by the service's short DNS name.
pub fn infer_url(service: &str, model: &str) -> String {
    format!("http://{service}/v2/models/{model}/infer")
}

/// A constant load that runs.
pub struct Load {
    child: Child,
    latest: Arc<Mutex<LoadReport>>,
    reader: thread::JoinHandle<()>,
}

impl Load {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let latest = Arc::new(Mutex::new(LoadReport::default()));
        let shared = Arc::clone(&latest);
        let reader = thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Ok(report) = serde_json::from_str(&line) {
                    *shared.lock().unwrap_or_else(PoisonError::into_inner) = report;
                }
            }
        });
        Self {
            child,
            latest,
            reader,
        }
    }

    /// What became of it so far.
    pub fn so_far(&self) -> LoadReport {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends it, every request begun included.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(mut self) -> LoadReport {
        drop(self.child.stdin.take());
        let began = Instant::now();
        while !self.reader.is_finished() {
            if began.elapsed() > REQUEST {
                let _ = self.child.kill();
                panic!("the load did not end within {REQUEST:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.wait();
        self.so_far()
    }
}
