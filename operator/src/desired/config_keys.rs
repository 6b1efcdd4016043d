//! Keys of a revision's ConfigMap.

/// The file that a pod reads.
pub const CONFIG_KEY: &str = "config.json";

/// The [snapshot](crate::desired::revision_snapshot) of the revision.
pub const SNAPSHOT_KEY: &str = "revision.json";

/// The [template](crate::desired::template) of its pods.
pub const TEMPLATE_KEY: &str = "pod-template.json";
