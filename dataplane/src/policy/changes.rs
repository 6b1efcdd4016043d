//! What differs between two policies, for the log.

use std::collections::BTreeMap;

use serde_json::Value;
use serin_crds::contract::policy::Policy;

/// Each setting that differs, as `api.nonFinite "String" -> "Error"`, in the order of names.
pub(super) fn changes(old: &Policy, new: &Policy) -> Vec<String> {
    let (old, new) = (settings(old), settings(new));
    let names = old
        .keys()
        .chain(new.keys().filter(|name| !old.contains_key(*name)));
    let mut changes: Vec<String> = names
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| format!("{name} {} -> {}", shown(&old, name), shown(&new, name)))
        .collect();
    changes.sort();
    changes
}

type Settings = BTreeMap<String, String>;

fn shown<'a>(settings: &'a Settings, name: &str) -> &'a str {
    settings.get(name).map_or("none", String::as_str)
}

fn settings(policy: &Policy) -> Settings {
    let mut settings = Settings::new();
    // A section at its default is not written by the policy itself.
    let sections = [
        ("api", serde_json::to_value(policy.api)),
        ("telemetry", serde_json::to_value(&policy.telemetry)),
    ];
    for (name, section) in sections {
        flatten(name, &section.unwrap_or_default(), &mut settings);
    }
    settings
}

fn flatten(path: &str, value: &Value, settings: &mut Settings) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flatten(&format!("{path}.{name}"), member, settings);
            }
        }
        value => {
            settings.insert(path.to_owned(), value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_crds::contract::policy::{NonFinite, TracesConfig};

    #[test]
    fn every_setting_that_differs_is_named_with_both_values() {
        let mut policy = Policy::default();
        policy.api.non_finite = NonFinite::Error;
        policy.telemetry.compat_metrics.clear();
        policy.telemetry.traces = Some(TracesConfig {
            endpoint: "http://c:4318".to_owned(),
            sample_percent: 10,
        });
        assert_eq!(
            changes(&Policy::default(), &policy),
            [
                r#"api.nonFinite "String" -> "Error""#,
                r#"telemetry.compatMetrics ["VLLM"] -> []"#,
                r#"telemetry.traces.endpoint none -> "http://c:4318""#,
                "telemetry.traces.samplePercent none -> 10",
            ]
        );
        assert!(changes(&policy, &policy).is_empty());
    }
}
