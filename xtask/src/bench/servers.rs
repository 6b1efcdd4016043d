//! The servers that are measured, each on a core of its own.
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    build,
    error::{Error, Result},
    http, process, workspace,
};

/// The core of the server; the load has another one.
pub const SERVER_CORE: &str = "0";
pub const LOAD_CORE: &str = "1";

/// Python needs some seconds to load its packages.
const READY: Duration = Duration::from_secs(60);

/// A server that runs, and ends with this value.
pub struct Server {
    pub address: SocketAddr,
    /// Where its probes answer.
    probe: (SocketAddr, &'static str),
    child: Child,
}

/// A command on the given core.
pub fn pinned(core: &str, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", core]).arg(program.as_ref());
    command
}

/// The model that all of them serve.
pub fn iris() -> PathBuf {
    workspace::root().join("examples/iris/iris.onnx")
}

/// A configuration of the data plane with the iris model, or with none.
pub fn config(folder: &Path, with_model: bool) -> Result<PathBuf> {
    let model = json!({"name": "iris", "version": "1", "source": {"uri": "configmap://iris-model/iris.onnx", "path": iris()}});
    let models = if with_model { vec![model] } else { vec![] };
    let path = folder.join(format!("config-{with_model}.json"));
    let text =
        json!({"service": "bench/iris", "revision": "iris-bench", "models": models}).to_string();
    fs::write(&path, text).map_err(Error::file("write", &path))?;
    Ok(path)
}

/// The data plane as a pod runs it, on one core. Returns at once: see [`Server::wait_ready`].
pub fn dataplane(config: &Path) -> Result<Server> {
    dataplane_of(&build::released("serin-dataplane"), config)
}

/// The same of another build.
pub fn dataplane_of(program: &Path, config: &Path) -> Result<Server> {
    let (http, admin) = (address()?, address()?);
    let mut command = pinned(SERVER_CORE, program);
    command
        .arg("--config")
        .arg(config)
        .arg("--cache-dir")
        .arg(config.parent().unwrap_or(config))
        .args([
            "--bind",
            "127.0.0.1",
            "--grpc-port",
            "0",
            "--lame-duck",
            "0s",
            "--threads",
            "1",
            "--log",
            "warn",
        ])
        .args([
            "--http-port",
            &http.port().to_string(),
            "--admin-port",
            &admin.port().to_string(),
        ]);
    Server::start(command, http, (admin, "/readyz"))
}

/// hyper alone, with this answer.
pub fn bare(answer: &Path) -> Result<Server> {
    let address = address()?;
    let mut command = pinned(SERVER_CORE, build::released("bare-hyper"));
    command
        .args(["--port", &address.port().to_string(), "--answer"])
        .arg(answer);
    Server::start(command, address, (address, "/"))
}

/// FastAPI, uvicorn and ONNX Runtime, with these options more.
pub fn fastapi(python: &Path, options: &[&str]) -> Result<Server> {
    let address = address()?;
    let mut command = pinned(SERVER_CORE, python);
    command
        .arg(workspace::root().join("benches/fastapi/server.py"))
        .args(["--port", &address.port().to_string(), "--model"])
        .arg(iris())
        .args(options);
    Server::start(command, address, (address, "/v2/health/ready"))
}

fn address() -> Result<SocketAddr> {
    let port = http::free_port(0).map_err(|error| Error::Missing {
        what: "a free port on 127.0.0.1".into(),
        cure: error.to_string(),
    })?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

impl Server {
    fn start(
        mut command: Command,
        address: SocketAddr,
        probe: (SocketAddr, &'static str),
    ) -> Result<Self> {
        let child = process::start(command.stdout(Stdio::null()))?;
        Ok(Self {
            address,
            probe,
            child,
        })
    }

    /// Asks again and again until the server says that it is ready.
    pub fn wait_ready(mut self) -> Result<Self> {
        let deadline = Instant::now() + READY;
        let (address, path) = self.probe;
        while !http::get(address, path).is_ok_and(|answer| answer.status == 200) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Error::Wrong(format!(
                    "the server ended before it was ready ({status})"
                )));
            }
            if process::interrupted() {
                return Err(Error::Interrupted);
            }
            if Instant::now() > deadline {
                return Err(Error::Wrong(format!(
                    "http://{address}{path} was not 200 within {} s",
                    READY.as_secs()
                )));
            }
            thread::sleep(Duration::from_micros(500));
        }
        Ok(self)
    }

    /// Of the server itself: taskset becomes the program.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}
