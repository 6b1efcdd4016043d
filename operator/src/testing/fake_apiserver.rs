//! An API server in memory that stores what it is told and remembers what it was asked. It
//! knows as much of server-side apply as the operator relies on: preconditions, who owns
//! `spec.replicas`, which maps are replaced, and that an apply that changes nothing leaves the
//! resource version alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value, json};

/// Maps that an apply replaces, where it merges others.
const WHOLE_MAPS: [&str; 3] = ["selector", "nodeSelector", "matchLabels"];

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: Value,
}

#[derive(Default)]
pub struct State {
    /// Objects by path.
    pub objects: BTreeMap<String, Value>,
    pub calls: Vec<Call>,
    /// Answers to give instead: method, end of the path, status code, message.
    pub refusals: Vec<(&'static str, String, u16, String)>,
    /// Answer nothing at all.
    pub hangs: bool,
    pub serves_metrics: bool,
    /// What somebody makes right after it was asked for in vain, by path.
    pub latecomers: BTreeMap<String, Value>,
    /// Every value that `spec.replicas` of a Deployment had, in order.
    pub sizes: Vec<(String, i64)>,
    version: u64,
}

#[derive(Clone, Default)]
pub struct FakeApi(Arc<Mutex<State>>);

impl FakeApi {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn client(&self) -> Client {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let api = self.clone();
        tokio::spawn(async move {
            while let Some((request, reply)) = handle.next_request().await {
                if api.state().hangs {
                    // Kept, or the caller would see an error.
                    std::mem::forget(reply);
                    continue;
                }
                reply.send_response(api.answer(request).await);
            }
        });
        Client::new(service, "default")
    }

    /// Puts an object there, as a user would.
    pub fn put(&self, path: &str, mut object: Value) {
        let mut state = self.state();
        let version = state.next_version();
        let meta = &mut object["metadata"];
        meta["resourceVersion"] = json!(version);
        if meta["uid"].is_null() {
            meta["uid"] = json!(format!("uid-{version}"));
        }
        if meta["generation"].is_null() {
            meta["generation"] = json!(1);
        }
        state.objects.insert(path.to_owned(), object);
    }

    /// Changes an object, as another controller would.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let version = state.next_version();
        let object = state
            .objects
            .get_mut(path)
            .unwrap_or_else(|| panic!("no {path}"));
        let spec = object["spec"].clone();
        change(object);
        if object["spec"] != spec {
            let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        object["metadata"]["resourceVersion"] = json!(version);
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// Writes since the last call of this.
    pub fn take_writes(&self) -> Vec<Call> {
        let calls = std::mem::take(&mut self.state().calls);
        calls
            .into_iter()
            .filter(|call| call.method != "GET" && !call.path.contains("/events"))
            .collect()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let call = Call {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        };
        let (code, answer) = self.state().handle(&call);
        self.state().calls.push(call);
        Response::builder()
            .status(code)
            .header("content-type", "application/json")
            .body(Body::from(answer.to_string().into_bytes()))
            .unwrap()
    }
}

impl State {
    fn next_version(&mut self) -> String {
        self.version += 1;
        (1000 + self.version).to_string()
    }

    fn handle(&mut self, call: &Call) -> (u16, Value) {
        let refusal = self
            .refusals
            .iter()
            .find(|(method, end, ..)| call.method == *method && call.path.ends_with(end));
        if let Some((_, _, code, message)) = refusal {
            return failure(*code, message);
        }
        if call.path == "/apis/metrics.k8s.io/v1beta1" {
            return if self.serves_metrics {
                (
                    200,
                    json!({"kind": "APIResourceList", "groupVersion": "metrics.k8s.io/v1beta1", "resources": []}),
                )
            } else {
                failure(404, "the server could not find the requested resource")
            };
        }
        match call.method.as_str() {
            "GET" => self.read(&call.path),
            "PATCH" => self.patch(call),
            "DELETE" => self.delete(call),
            "POST" => (201, call.body.clone()),
            "PUT" => self.replace(call),
            _ => failure(405, "no such method"),
        }
    }

    fn read(&mut self, path: &str) -> (u16, Value) {
        if let Some(object) = self.objects.get(path) {
            return (200, object.clone());
        }
        if let Some(mut latecomer) = self.latecomers.remove(path) {
            latecomer["metadata"]["resourceVersion"] = json!(self.next_version());
            latecomer["metadata"]["uid"] = json!(format!("uid-{}", self.version));
            self.objects.insert(path.to_owned(), latecomer);
        }
        failure(404, "not found")
    }

    fn patch(&mut self, call: &Call) -> (u16, Value) {
        let (path, is_status) = match call.path.strip_suffix("/status") {
            Some(path) => (path.to_owned(), true),
            None => (call.path.clone(), false),
        };
        let manager = call
            .query
            .split('&')
            .find_map(|part| part.strip_prefix("fieldManager="));
        let manager = manager.unwrap_or_default().to_owned();
        let wanted = &call.body["metadata"];
        let Some(live) = self.objects.get(&path).cloned() else {
            if is_status {
                return failure(404, "not found");
            }
            if !wanted["uid"].is_null() {
                return failure(409, "the object of this uid is gone");
            }
            return (201, self.store(&path, call.body.clone(), &manager, None));
        };
        for field in ["uid", "resourceVersion"] {
            if !wanted[field].is_null() && wanted[field] != live["metadata"][field] {
                return failure(409, "the object has been modified");
            }
        }
        let mut object = live.clone();
        if is_status {
            object["status"] = call.body["status"].clone();
        } else {
            merge(&mut object, &call.body);
        }
        if is_status {
            if object != live {
                object["metadata"]["resourceVersion"] = json!(self.next_version());
                self.objects.insert(path.clone(), object.clone());
            }
            return (200, object);
        }
        (
            200,
            self.store(&path, object, &manager, Some((live, &call.body))),
        )
    }

    /// Stores an applied object, with the rules on `spec.replicas`.
    fn store(
        &mut self,
        path: &str,
        mut object: Value,
        manager: &str,
        before: Option<(Value, &Value)>,
    ) -> Value {
        let is_deployment = object["kind"] == "Deployment";
        let applied = before.as_ref().map_or(&object, |(_, body)| body);
        let owns = !applied["spec"]["replicas"].is_null();
        let mut owners = owners(&object);
        let owned = owners.iter().any(|owner| owner == manager);
        owners.retain(|owner| owner != manager);
        if owns {
            owners.push(manager.to_owned());
        }
        if is_deployment {
            if object["spec"]["replicas"].is_null() || owned && owners.is_empty() {
                object["spec"]["replicas"] = json!(1);
            }
            object["metadata"]["managedFields"] = owners
                .iter()
                .map(|owner| {
                    json!({"manager": owner, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}})
                })
                .collect();
            let size = object["spec"]["replicas"].as_i64().unwrap();
            let last = self.sizes.iter().rev().find(|(name, _)| name == path);
            if last.is_none_or(|(_, last)| *last != size) {
                self.sizes.push((path.to_owned(), size));
            }
        }
        match before {
            Some((live, _)) if live == object => return object,
            Some((live, _)) => {
                if live["spec"] != object["spec"] {
                    let generation = live["metadata"]["generation"].as_i64().unwrap_or(0);
                    object["metadata"]["generation"] = json!(generation + 1);
                }
            }
            None => {
                object["metadata"]["generation"] = json!(1);
                object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
            }
        }
        object["metadata"]["resourceVersion"] = json!(self.next_version());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    fn delete(&mut self, call: &Call) -> (u16, Value) {
        let Some(live) = self.objects.get(&call.path) else {
            return failure(404, "not found");
        };
        for field in ["uid", "resourceVersion"] {
            let wanted = &call.body["preconditions"][field];
            if !wanted.is_null() && *wanted != live["metadata"][field] {
                return failure(409, "the precondition does not hold");
            }
        }
        self.objects.remove(&call.path);
        (
            200,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 200}),
        )
    }

    fn replace(&mut self, call: &Call) -> (u16, Value) {
        let Some(live) = self.objects.get(&call.path).cloned() else {
            return failure(404, "not found");
        };
        if call.body["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"] {
            return failure(409, "the object has been modified");
        }
        let mut object = call.body.clone();
        object["metadata"]["resourceVersion"] = json!(self.next_version());
        self.objects.insert(call.path.clone(), object.clone());
        (200, object)
    }
}

fn owners(object: &Value) -> Vec<String> {
    object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["manager"].as_str().map(str::to_owned))
        .collect()
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if WHOLE_MAPS.contains(&key.as_str()) {
                    into.insert(key.clone(), value.clone());
                    continue;
                }
                merge(
                    into.entry(key.clone()).or_insert(Value::Object(Map::new())),
                    value,
                );
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn failure(code: u16, message: &str) -> (u16, Value) {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        403 => "Forbidden",
        422 => "Invalid",
        _ => "InternalError",
    };
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}),
    )
}
