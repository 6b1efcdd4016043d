//! How a node's kubelet is set.

use std::time::Duration;

use serde_json::Value;

use crate::world::World;

/// The longest time until a changed ConfigMap is in the volumes of the pods of `node`.
///
/// The kubelet writes it when it synchronises a pod. It does so `syncFrequency` after the last time,
/// up to half of that later so that not all pods come at once, and looks once a second which pods are
/// due.
///
/// # Panics
/// When the kubelet does not say, or keeps ConfigMaps for a time of its own beyond that (the
/// change detection strategy `Cache`).
pub fn volume_sync(world: &World, node: &str) -> Duration {
    let path = format!("/api/v1/nodes/{node}/proxy/configz");
    let printed = world.kubectl(&["get", "--raw", &path]).expect_success();
    let settings = serde_json::from_str(&printed).expect("the kubelet's settings are JSON");
    longest_sync(&settings).unwrap_or_else(|reason| panic!("{node}: {reason}\n{printed}"))
}

fn longest_sync(settings: &Value) -> Result<Duration, String> {
    const LOOK: Duration = Duration::from_secs(1);
    let settings = &settings["kubeletconfig"];
    let strategy = &settings["configMapAndSecretChangeDetectionStrategy"];
    if strategy == "Cache" {
        return Err("the kubelet keeps ConfigMaps for a time of its own".to_owned());
    }
    let frequency: kube::core::Duration = settings["syncFrequency"]
        .as_str()
        .ok_or("no syncFrequency")?
        .parse()
        .map_err(|error| format!("syncFrequency: {error}"))?;
    Ok(Duration::from(frequency) * 3 / 2 + LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sync(frequency: &str, strategy: &str) -> Result<Duration, String> {
        longest_sync(&json!({"kubeletconfig": {
            "syncFrequency": frequency, "configMapAndSecretChangeDetectionStrategy": strategy
        }}))
    }

    #[test]
    fn a_pod_is_synchronised_half_a_period_late_at_most() {
        assert_eq!(sync("10s", "Watch"), Ok(Duration::from_secs(16)));
        assert_eq!(sync("1m0s", "Get"), Ok(Duration::from_secs(91)));
        assert!(sync("1m0s", "Cache").is_err());
        assert!(sync("often", "Watch").is_err());
        assert!(longest_sync(&json!({})).is_err());
    }
}
