//! The task that polls pods.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use serin_crds::labels::{REVISION, SERVICE};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::exchange::client::PodClient;
use crate::exchange::reports::Reports;
use crate::observe::pods::container::container;
use crate::observe::pods::terminated::is_terminated;
use crate::stores::Guarded;

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_secs(2);
/// Maximum number of concurrent requests.
const CONCURRENCY: usize = 32;
/// Maximum number of pods of one revision that are polled in a round: they usually wait for the same
/// thing.
const PODS_PER_REVISION: usize = 3;

/// Polls pods until the receiver of `wake` is dropped. `wake` gets the services that need a pass.
pub async fn poll(
    pods: Store<Pod>,
    client: PodClient,
    reports: Arc<Reports>,
    wake: mpsc::Sender<ObjectRef<Guarded>>,
) {
    let mut rounds = tokio::time::interval(INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            () = wake.closed() => return,
        }
        for service in round(&pods.state(), &client, &reports).await {
            // An error means that the controller has ended, and with it this task.
            let _ = wake.send(service).await;
        }
    }
}

/// Polls once every pod that runs and is not ready; returns the services whose reports changed.
pub async fn round(
    pods: &[Arc<Pod>],
    client: &PodClient,
    reports: &Reports,
) -> Vec<ObjectRef<Guarded>> {
    let asked = to_ask(pods);
    reports.retain(&asked.iter().map(|question| &*question.uid).collect());
    let answers = asked.into_iter().map(|question| async move {
        let report = client.status(question.address).await?;
        reports
            .keep(&question.uid, report)
            .then_some(question.service)
    });
    let answers = stream::iter(answers).buffer_unordered(CONCURRENCY);
    let mut changed: Vec<_> = answers.filter_map(std::future::ready).collect().await;
    changed.sort_unstable_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    changed.dedup();
    changed
}

/// A pod to poll.
struct Question {
    uid: String,
    address: IpAddr,
    service: ObjectRef<Guarded>,
}

fn to_ask(pods: &[Arc<Pod>]) -> Vec<Question> {
    let mut by_revision: BTreeMap<_, Vec<&Pod>> = BTreeMap::new();
    for pod in pods {
        let key = (&pod.metadata.namespace, pod.labels().get(REVISION));
        by_revision.entry(key).or_default().push(pod);
    }
    let mut asked = Vec::new();
    for mut pods in by_revision.into_values() {
        pods.sort_unstable_by_key(|pod| &pod.metadata.name);
        asked.extend(
            pods.into_iter()
                .filter_map(question)
                .take(PODS_PER_REVISION),
        );
    }
    asked
}

/// `None` for a pod whose data plane does not run, or is ready.
fn question(pod: &Pod) -> Option<Question> {
    let container = container(pod)?;
    let runs = container.state.as_ref()?.running.is_some() && !is_terminated(pod);
    if container.ready || !runs || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let service = ObjectRef::new(pod.labels().get(SERVICE)?);
    Some(Question {
        uid: pod.metadata.uid.clone()?,
        address: pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?,
        service: service.within(pod.metadata.namespace.as_deref()?),
    })
}

#[cfg(test)]
mod tests;
