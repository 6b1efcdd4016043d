//! A cluster of one service for tests: the operator's passes against the fake API server, with
//! stores that show what is there, and hands that play the other controllers.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{Lookup, ObjectRef, store::Writer as StoreWriter};
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serin_crds::InferenceService;
use tokio::sync::Semaphore;

use crate::child_kind::{ChildKind, ChildType, KindVisitor};
use crate::error::Error;
use crate::leader::Fence;
use crate::metrics::Metrics;
use crate::reconcile::context::{Context, Shared};
use crate::reconcile::reconcile;
use crate::stores::{Stores, Writers, stores};
use crate::testing::builders::defaults;
use crate::testing::fake_apiserver::FakeApi;
use crate::writer::Writer;

pub const INFERENCE_SERVICES: &str = "/apis/serin.dev/v1alpha1/namespaces/demo/inferenceservices";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/demo/deployments";
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/demo/configmaps";
pub const SERVICES: &str = "/api/v1/namespaces/demo/services";
pub const AUTOSCALERS: &str = "/apis/autoscaling/v2/namespaces/demo/horizontalpodautoscalers";
pub const PODS: &str = "/api/v1/namespaces/demo/pods";

pub struct World {
    pub api: FakeApi,
    pub context: Arc<Context>,
    writers: Writers,
    children: Vec<Fill>,
}

/// Lets the watch of one kind of children catch up.
type Fill = Box<dyn FnMut(&FakeApi)>;

/// Adds the store of a kind of children, and what fills it.
struct WatchChildren<'a>(&'a mut Stores);

impl KindVisitor for WatchChildren<'_> {
    type Output = Fill;

    fn visit<K: ChildType>(self) -> Fill {
        let mut writer = self.0.add::<K>();
        let collection = <K as kube::Resource>::url_path(&(), Some("demo"));
        Box::new(move |api| fill(api, &collection, &mut writer))
    }
}

impl World {
    /// A cluster that holds one service and nothing else.
    pub fn with(service: &InferenceService) -> Self {
        let world = Self::empty(Fence::always());
        let mut object = serde_json::to_value(service).unwrap();
        object["apiVersion"] = json!("serin.dev/v1alpha1");
        object["kind"] = json!("InferenceService");
        world.api.put(
            &format!(
                "{INFERENCE_SERVICES}/{}",
                service.metadata.name.as_deref().unwrap()
            ),
            object,
        );
        world
    }

    pub fn empty(fence: Fence) -> Self {
        let api = FakeApi::default();
        let client = api.client();
        let metrics = Metrics::default();
        let (mut stores, writers) = stores();
        let children = ChildKind::ALL
            .iter()
            .map(|kind| kind.visit(WatchChildren(&mut stores)))
            .collect();
        let reporter = Reporter {
            controller: "test".into(),
            instance: None,
        };
        let shared = Shared {
            writer: Writer::new(client.clone(), fence, metrics.clone()),
            recorder: Recorder::new(client.clone(), reporter),
            client,
            defaults: defaults(),
            backoff: Arc::default(),
            expectations: Arc::default(),
            metrics,
            slots: Arc::new(Semaphore::new(8)),
            metrics_api: Arc::default(),
            clock: || Timestamp::UNIX_EPOCH,
        };
        Self {
            api,
            context: Arc::new(Context {
                shared,
                stores,
                reports: Arc::default(),
            }),
            writers,
            children,
        }
    }

    /// Changes what the passes share.
    pub fn change(&mut self, change: impl FnOnce(&mut Shared)) {
        let mut shared = self.context.shared.clone();
        change(&mut shared);
        self.context = Arc::new(Context {
            shared,
            stores: self.context.stores.clone(),
            reports: Arc::clone(&self.context.reports),
        });
    }

    /// Lets the watches catch up.
    pub fn sync(&mut self) {
        let api = self.api.clone();
        fill(
            &api,
            INFERENCE_SERVICES,
            &mut self.writers.inference_services,
        );
        fill(&api, PODS, &mut self.writers.pods);
        for fill in &mut self.children {
            fill(&api);
        }
    }

    /// One pass over the service, on what is there now.
    pub async fn pass(&mut self, name: &str) -> Result<Action, Error> {
        self.sync();
        self.stale_pass(name).await
    }

    /// One pass over the service, on what the watches last showed.
    pub async fn stale_pass(&self, name: &str) -> Result<Action, Error> {
        let service = self
            .context
            .stores
            .inference_services
            .get(&ObjectRef::new(name).within("demo"))
            .unwrap();
        reconcile(service, Arc::clone(&self.context)).await
    }

    /// Passes, with Deployments whose pods come up at once, until nothing is written.
    pub async fn settle(&mut self, name: &str) {
        for _ in 0..12 {
            self.pass(name).await.unwrap();
            self.pods_come_up();
            if self.api.take_writes().is_empty() {
                return;
            }
        }
        panic!("{name} does not settle: {:#?}", self.status(name));
    }

    /// Passes until the service does not change any more, and keeps the record of all writes.
    pub async fn settle_writes(&mut self, name: &str) {
        self.api.state().calls.clear();
        for _ in 0..8 {
            self.pass(name).await.unwrap();
            self.pods_come_up();
        }
    }

    /// Plays the Deployment controller and the kubelet: all pods that are wanted are available.
    pub fn pods_come_up(&self) {
        for path in self.paths(DEPLOYMENTS) {
            self.deployment_says(&path, None);
        }
    }

    /// Plays the Deployment controller: `available` pods of those that are wanted, or all.
    pub fn deployment_says(&self, path: &str, available: Option<i64>) {
        let object = self.api.get(path).unwrap();
        let wanted = object["spec"]["replicas"].as_i64().unwrap();
        let available = available.unwrap_or(wanted);
        let status = json!({
            "observedGeneration": object["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": available,
            "availableReplicas": available,
        });
        if object["status"] != status {
            self.api.edit(path, |object| object["status"] = status);
        }
    }

    /// Paths of the objects in a collection.
    pub fn paths(&self, collection: &str) -> Vec<String> {
        let state = self.api.state();
        let inside = |path: &&String| path.starts_with(&format!("{collection}/"));
        state.objects.keys().filter(inside).cloned().collect()
    }

    /// Changes the spec, as a user would.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.api
            .edit(&format!("{INFERENCE_SERVICES}/{name}"), |object| {
                change(&mut object["spec"]);
            });
    }

    pub fn status(&self, name: &str) -> Value {
        self.api
            .get(&format!("{INFERENCE_SERVICES}/{name}"))
            .unwrap()["status"]
            .clone()
    }

    /// Status, reason and message of a condition.
    pub fn condition(&self, name: &str, type_: &str) -> (String, String, String) {
        let status = self.status(name);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let condition = conditions
            .iter()
            .find(|condition| condition["type"] == type_);
        let condition = condition.unwrap_or_else(|| panic!("no {type_} in {status:#}"));
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    }

    /// The revision that the Service selects.
    pub fn selected(&self, name: &str) -> String {
        let address = self.api.get(&format!("{SERVICES}/{name}")).unwrap();
        address["spec"]["selector"]["serin.dev/revision"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn fill<K>(api: &FakeApi, collection: &str, writer: &mut StoreWriter<K>)
where
    K: Lookup<DynamicType = ()> + Clone + DeserializeOwned + 'static,
{
    let state = api.state();
    writer.apply_watcher_event(&Event::Init);
    for (path, object) in &state.objects {
        let is_ours = collection == INFERENCE_SERVICES
            || object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "serin-operator";
        if is_ours && path.starts_with(&format!("{collection}/")) {
            let object = serde_json::from_value(object.clone()).unwrap();
            writer.apply_watcher_event(&Event::InitApply(object));
        }
    }
    writer.apply_watcher_event(&Event::InitDone);
}
