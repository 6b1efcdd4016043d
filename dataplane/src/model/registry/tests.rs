use std::thread;

use serin_crds::contract::pod_config::SourceConfig;

use super::*;
use serin_core::types::Availability;

fn config(name: &str, version: &str) -> ModelConfig {
    ModelConfig {
        name: name.to_owned(),
        version: version.to_owned(),
        source: SourceConfig {
            uri: "file:///m.onnx".to_owned(),
            path: None,
            digest: None,
            allowed_networks: Vec::new(),
        },
        gpu: false,
        batching: None,
    }
}

fn registry(models: &[(&str, &str)]) -> Registry {
    let models = models.iter().map(|(name, version)| config(name, version));
    Registry::new(models.collect(), &Arc::new(Metrics::new([])))
}

fn named(name: &str, version: Option<&str>) -> ModelRef {
    ModelRef {
        name: name.to_owned(),
        version: version.map(str::to_owned),
    }
}

fn code<T>(outcome: Result<T, Fault>) -> &'static str {
    outcome.err().map_or("none", |fault| fault.code)
}

#[test]
fn versions_are_added_and_removed_while_others_stay() {
    let registry = registry(&[("m", "1"), ("n", "1")]);
    assert!(registry.insert(config("m", "2")));
    assert!(!registry.insert(config("m", "2")), "it is there already");
    assert_eq!(registry.versions("m"), ["1", "2"]);
    assert_eq!(code(registry.known(&named("m", Some("2")))), "none");
    assert!(registry.remove("m", "1"));
    assert!(!registry.remove("m", "1"), "it is gone already");
    assert_eq!(registry.versions("m"), ["2"]);
    assert_eq!(
        code(registry.known(&named("m", Some("1")))),
        "version_not_found"
    );
    assert!(registry.remove("m", "2"));
    assert_eq!(code(registry.known(&named("m", None))), "model_not_found");
    let states = registry.states();
    assert_eq!(states.len(), 1);
    assert_eq!(
        (states[0].name.as_str(), states[0].availability),
        ("n", Availability::Loading)
    );
    assert!(registry.insert(config("m", "3")), "a name may come again");
}

#[test]
fn a_model_is_known_before_it_answers() {
    let registry = registry(&[("m", "1")]);
    assert_eq!(code(registry.known(&named("m", None))), "none");
    assert_eq!(code(registry.resolve(&named("m", None))), "model_not_ready");
    let unknown = registry.known(&named("nobody", Some("1"))).unwrap_err();
    assert_eq!(unknown.kind, FaultKind::NotFound);
    assert_eq!(unknown.message, "model 'nobody' not found");
}

#[test]
fn the_policy_chooses_the_version_of_requests_that_name_none() {
    let default = |registry: Registry| {
        let fault = registry.resolve(&named("m", None)).err().unwrap();
        fault.message
    };
    let first = default(registry(&[("m", "1"), ("m", "2")]));
    assert!(first.contains("version '1'"), "{first}");
    let latest = registry(&[("m", "1"), ("m", "2")]);
    let latest = default(latest.with_default_version(DefaultVersionPolicy::LatestReady));
    assert!(latest.contains("version '2'"), "{latest}");
}

#[test]
fn changes_from_many_threads_are_all_kept() {
    let registry = registry(&[]);
    thread::scope(|scope| {
        for writer in 0..8 {
            let registry = &registry;
            scope.spawn(move || {
                for n in 0..16 {
                    let version = format!("{writer}.{n}");
                    assert!(registry.insert(config("m", &version)));
                    if n % 2 == 0 {
                        assert!(registry.remove("m", &version));
                    }
                }
            });
        }
    });
    assert_eq!(registry.versions("m").len(), 64);
}
