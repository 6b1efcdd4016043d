//! The API server's audit log: who wrote what.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

use crate::world::{OPERATOR_NAME, OPERATOR_NAMESPACE, World};

/// One write that the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// `create`, `patch`...
    pub verb: String,
    /// `deployments`, `inferenceservices/status`...
    pub resource: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// HTTP status of the answer.
    pub code: i64,
}

/// A place in the audit log.
pub struct AuditMark {
    log: PathBuf,
    position: u64,
}

impl AuditMark {
    /// The end of the log now; `None` on a cluster that is somebody else's to log.
    pub fn now(world: &World) -> Option<Self> {
        let log = world.cluster().audit_log()?;
        let position = log.metadata().map_or(0, |metadata| metadata.len());
        Some(Self { log, position })
    }

    /// What the operator wrote since, its leases aside.
    ///
    /// # Panics
    /// When the log cannot be read or is no audit log.
    pub fn operator_writes(&self) -> Vec<Write> {
        let user = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_NAME}");
        let mut text = String::new();
        let mut file = File::open(&self.log).expect("the audit log is there");
        file.seek(SeekFrom::Start(self.position))
            .expect("a position in the audit log");
        file.read_to_string(&mut text)
            .expect("the audit log is text");
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        text[..complete]
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).expect("a line of the audit log is JSON")
            })
            .filter(|event| event["user"]["username"] == user.as_str())
            .filter(|event| {
                !["get", "list", "watch"].contains(&event["verb"].as_str().unwrap_or_default())
            })
            .map(|event| write_of(&event))
            .filter(|write| write.resource != "leases")
            .collect()
    }

    /// The same in one namespace.
    pub fn operator_writes_in(&self, namespace: &str) -> Vec<Write> {
        let mut writes = self.operator_writes();
        writes.retain(|write| write.namespace == namespace);
        writes
    }
}

fn write_of(event: &Value) -> Write {
    let object = &event["objectRef"];
    let field = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let resource = match field("subresource") {
        sub if sub.is_empty() => field("resource"),
        sub => format!("{}/{sub}", field("resource")),
    };
    Write {
        verb: event["verb"].as_str().unwrap_or_default().to_owned(),
        resource,
        namespace: field("namespace"),
        name: field("name"),
        code: event["responseStatus"]["code"].as_i64().unwrap_or_default(),
    }
}
