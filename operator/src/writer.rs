//! The only place that writes to the API server, besides the lease and events.
//!
//! Two field managers share a Deployment: the main one applies everything but `spec.replicas`, the
//! other one applies `spec.replicas` alone, so that the main apply never changes a size that an
//! autoscaler has chosen.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::ObjectMeta;
use kube::core::params::ValidationDirective;
use kube::{Api, Client};
use serde_json::{Value, json};
use serin_crds::{InferenceService, InferenceServiceStatus};

use crate::child::Child;
use crate::child_kind::{ChildKind, ChildObject, ChildType, KindVisitor};
use crate::deadline::{Call, with_deadline};
use crate::decide::Deletion;
use crate::error::Error;
use crate::leader::Fence;
use crate::metrics::Metrics;

/// Field manager of everything but sizes.
pub const MAIN_MANAGER: &str = "serin-operator";
/// Field manager of `spec.replicas` of Deployments.
pub const SCALE_MANAGER: &str = "serin-scale";

/// A resource version that no stored object has: etcd begins at 1, and its first write makes 2.
const NO_OBJECTS_VERSION: &str = "1";

/// Writes, while this process leads.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    fence: Fence,
    metrics: Metrics,
}

impl Writer {
    /// A writer that refuses writes when `fence` has fallen.
    pub fn new(client: Client, fence: Fence, metrics: Metrics) -> Self {
        Self {
            client,
            fence,
            metrics,
        }
    }

    /// Creates a child. A Deployment is created with its size in the same write, or it would
    /// run one pod for a moment; nobody else can own the field of what does not exist.
    ///
    /// What somebody made under the name meanwhile is not touched: an apply that carries a
    /// resource version is refused by an object of another version, and the API server does not
    /// look at it where there is none (for a Service since Kubernetes 1.23, see
    /// kubernetes/kubernetes#106745). A POST would be refused too, but the fields of what it
    /// makes belong to the manager's updates, and no later apply could take one away.
    ///
    /// # Errors
    /// Those of [`with_deadline`], and [`Error::NotLeader`]. A conflict where the name is taken by now.
    pub async fn create(
        &self,
        namespace: &str,
        child: &Child,
        replicas: Option<i32>,
    ) -> Result<ChildObject, Error> {
        let mut body = child.body.clone();
        body["metadata"]["resourceVersion"] = json!(NO_OBJECTS_VERSION);
        if let (ChildKind::Deployment, Some(replicas)) = (child.kind, replicas) {
            body["spec"]["replicas"] = json!(replicas);
        }
        self.apply(namespace, child.kind, MAIN_MANAGER, &body).await
    }

    /// Applies the desired state to the existing child of this uid.
    ///
    /// # Errors
    /// Those of [`with_deadline`], and [`Error::NotLeader`]. A conflict where the child of this uid is gone.
    pub async fn update(
        &self,
        namespace: &str,
        child: &Child,
        uid: &str,
    ) -> Result<ChildObject, Error> {
        let mut body = child.body.clone();
        body["metadata"]["uid"] = json!(uid);
        self.apply(namespace, child.kind, MAIN_MANAGER, &body).await
    }

    /// Writes the size of the Deployment of this uid.
    ///
    /// # Errors
    /// As for [`Writer::update`].
    pub async fn scale(
        &self,
        namespace: &str,
        deployment: &str,
        uid: &str,
        replicas: i32,
    ) -> Result<ChildObject, Error> {
        let body = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": deployment, "uid": uid},
            "spec": {"replicas": replicas},
        });
        self.apply(namespace, ChildKind::Deployment, SCALE_MANAGER, &body)
            .await
    }

    /// Counts a child that needs no write.
    pub fn skipped(&self, kind: ChildKind) {
        self.metrics.wrote(kind, "skipped");
    }

    /// Deletes an object, if its uid and resource version are unchanged. One that does not exist
    /// counts as deleted.
    ///
    /// # Errors
    /// Those of [`with_deadline`], and [`Error::NotLeader`].
    pub async fn delete(&self, namespace: &str, deletion: &Deletion) -> Result<(), Error> {
        self.check()?;
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: Some(deletion.uid.clone()),
            resource_version: Some(deletion.resource_version.clone()),
        });
        let delete = Delete {
            client: self.client.clone(),
            namespace,
            name: &deletion.name,
            params,
        };
        let call = Call {
            verb: "delete",
            kind: deletion.kind.as_str(),
            name: &deletion.name,
        };
        match with_deadline(call, deletion.kind.visit(delete)).await {
            Ok(_) => self.metrics.wrote(deletion.kind, "deleted"),
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                self.metrics.wrote(deletion.kind, "failed");
                return Err(error);
            }
        }
        Ok(())
    }

    /// Reports the status of the service exactly as it was read: a change of it meanwhile is a
    /// conflict, so that no decision on an old state is recorded over a new one.
    ///
    /// # Errors
    /// Those of [`with_deadline`], and [`Error::NotLeader`].
    pub async fn report(
        &self,
        service: &ObjectMeta,
        status: &InferenceServiceStatus,
    ) -> Result<ObjectMeta, Error> {
        self.check()?;
        let name = service.name.as_deref().unwrap_or_default();
        let namespace = service.namespace.as_deref().unwrap_or_default();
        let body = json!({
            "apiVersion": "serin.dev/v1alpha1",
            "kind": "InferenceService",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": service.uid,
                "resourceVersion": service.resource_version,
            },
            "status": status,
        });
        // Of the answer only the metadata is read: the object may be one that cannot be decoded.
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.client.clone(),
            namespace,
            &ApiResource::erase::<InferenceService>(&()),
        );
        let call = Call {
            verb: "report",
            kind: "InferenceService",
            name,
        };
        let answer = with_deadline(
            call,
            api.patch_status(name, &params(MAIN_MANAGER), &Patch::Apply(&body)),
        )
        .await;
        let outcome = if answer.is_ok() { "patched" } else { "failed" };
        self.metrics.wrote_kind("InferenceService", outcome);
        Ok(answer?.metadata)
    }

    async fn apply(
        &self,
        namespace: &str,
        kind: ChildKind,
        manager: &str,
        body: &Value,
    ) -> Result<ChildObject, Error> {
        self.check()?;
        let name = body["metadata"]["name"].as_str().unwrap_or_default();
        let call = Call {
            verb: if manager == SCALE_MANAGER {
                "scale"
            } else {
                "apply"
            },
            kind: kind.as_str(),
            name,
        };
        let apply = Apply {
            client: self.client.clone(),
            namespace,
            manager,
            name,
            body,
        };
        let answer = with_deadline(call, kind.visit(apply)).await;
        let outcome = if answer.is_ok() { "patched" } else { "failed" };
        self.metrics.wrote(kind, outcome);
        answer
    }

    fn check(&self) -> Result<(), Error> {
        if self.fence.stands() {
            Ok(())
        } else {
            Err(Error::NotLeader)
        }
    }
}

fn params(manager: &str) -> PatchParams {
    PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply(manager).force()
    }
}

/// A server-side apply of one object.
struct Apply<'a> {
    client: Client,
    namespace: &'a str,
    manager: &'a str,
    name: &'a str,
    body: &'a Value,
}

impl<'a> KindVisitor for Apply<'a> {
    type Output = BoxFuture<'a, kube::Result<ChildObject>>;

    fn visit<K: ChildType>(self) -> Self::Output {
        Box::pin(async move {
            let api = Api::<K>::namespaced(self.client, self.namespace);
            let patch = Patch::Apply(self.body);
            let object = api.patch(self.name, &params(self.manager), &patch).await?;
            Ok(ChildObject::new(Arc::new(object)))
        })
    }
}

/// The deletion of one object.
struct Delete<'a> {
    client: Client,
    namespace: &'a str,
    name: &'a str,
    params: DeleteParams,
}

impl<'a> KindVisitor for Delete<'a> {
    type Output = BoxFuture<'a, kube::Result<()>>;

    fn visit<K: ChildType>(self) -> Self::Output {
        Box::pin(async move {
            let api = Api::<K>::namespaced(self.client, self.namespace);
            api.delete(self.name, &self.params).await.map(|_| ())
        })
    }
}
