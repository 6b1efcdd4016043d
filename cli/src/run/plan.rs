//! What to serve on this machine: manifests into what a pod would be told.

use std::path::Path;

use serin_crds::contract::pod_config::{ModelConfig, PodConfig, SourceConfig};
use serin_crds::contract::policy::{ApiConfig, Policy, TelemetryConfig};
use serin_crds::inference_service::InferenceServiceSpec;
use serin_crds::manifest::{Manifest, Problem, Problems, Service};
use serin_crds::revision::{Revision, revision_of};

use crate::source::{self, Found, URI};

/// What the manifests ask this machine to serve.
#[derive(Debug)]
pub struct Plan {
    /// What a pod would be told.
    pub config: PodConfig,
    /// What the process does that may change while it runs.
    pub policy: Policy,
    /// What each model of the configuration comes from, in its order.
    pub models: Vec<Origin>,
    /// What the manifests say that has no effect on this machine, a sentence each.
    pub notes: Vec<String>,
}

/// Where a model comes from.
#[derive(Debug)]
pub struct Origin {
    /// The name of its service.
    pub service: String,
    /// The file of its service.
    pub file: String,
    /// No other service comes from the same folder: requests beside it are for this one.
    pub alone: bool,
    /// Its revision, the same that a cluster would name.
    pub revision: Revision,
}

/// Fields that only act on a cluster, and how this machine does without each.
pub const CLUSTER_FIELDS: [(&str, &str); 5] = [
    ("spec.replicas", "one process serves"),
    ("spec.autoscaling", "one process serves"),
    ("spec.resources", "the process takes what it needs"),
    ("spec.gpu", "models run on the processor"),
    ("spec.podTemplate", "there is no pod"),
];

/// Plans to serve the services of `manifest`. Models in ConfigMaps are written below `scratch`.
///
/// # Errors
/// Every service that cannot be served here, at the field that prevents it.
pub fn plan(manifest: &Manifest, scratch: &Path) -> Result<Plan, Problems> {
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    let mut models = Vec::new();
    let mut origins: Vec<Origin> = Vec::new();
    for service in &manifest.services {
        if service.service.is_suspended() {
            notes.push(format!(
                "{} is suspended and not served (spec.suspend in {})",
                service.name(),
                service.file()
            ));
            continue;
        }
        if let Some(twin) = models
            .iter()
            .position(|model: &ModelConfig| model.name == service.service.model_name())
        {
            problems.push(service.problem(
                if service.states("spec.model.name") {
                    "spec.model.name"
                } else {
                    "metadata.name"
                },
                format!(
                    "the model of {} ({}) has the same name, and one address can serve only one of them",origins[twin].service, origins[twin].file),
                "give it another spec.model.name, or serve the other one elsewhere",
            ));
            continue;
        }
        match model(service, manifest, &scratch.join(models.len().to_string())) {
            Ok(config) => {
                notes.extend(unused(service));
                origins.push(Origin {
                    service: service.name().to_owned(),
                    file: service.file().to_owned(),
                    alone: is_alone(service, manifest),
                    revision: revision_of(&service.service),
                });
                models.push(config);
            }
            Err(problem) => problems.push(problem),
        }
    }
    let served = |service: &&Service| !service.service.is_suspended();
    let served: Vec<&Service> = manifest.services.iter().filter(served).collect();
    let policy = match policy(&served) {
        Ok(policy) if problems.is_empty() => policy,
        agreed => {
            problems.extend(agreed.err().into_iter().flat_map(|found| found.0));
            return Err(Problems(problems));
        }
    };
    for other in &manifest.others {
        notes.push(format!(
            "{} {} ({}:{}) has no effect on this machine",
            other.kind, other.name, other.file, other.line
        ));
    }
    let names =
        |name: &dyn Fn(&Origin) -> String| origins.iter().map(name).collect::<Vec<_>>().join(",");
    Ok(Plan {
        config: PodConfig {
            service: names(&|origin| origin.file.clone()),
            revision: names(&|origin| origin.revision.name.clone()),
            models,
        },
        policy,
        models: origins,
        notes,
    })
}

/// The policy of a process that serves `services`.
///
/// # Errors
/// Services that ask for different ones.
pub fn policy(services: &[&Service]) -> Result<Policy, Problems> {
    let api = agreed(services, "spec.api", |spec| spec.api.as_ref());
    let telemetry = agreed(services, "spec.telemetry", |spec| spec.telemetry.as_ref());
    match (api, telemetry) {
        (Ok(api), Ok(telemetry)) => Ok(Policy {
            api: ApiConfig::from(api),
            telemetry: TelemetryConfig::from(telemetry),
        }),
        (api, telemetry) => Err(Problems(
            api.err().into_iter().chain(telemetry.err()).collect(),
        )),
    }
}

/// What `services` say in a field that acts on the whole process: those that say anything must say
/// the same, as one process serves all of them.
fn agreed<'a, T: PartialEq>(
    services: &[&'a Service],
    field: &str,
    said: impl Fn(&'a InferenceServiceSpec) -> Option<&'a T>,
) -> Result<Option<&'a T>, Problem> {
    let mut agreed: Option<(&Service, &T)> = None;
    for service in services {
        let Some(own) = said(&service.service.spec) else {
            continue;
        };
        match agreed {
            None => agreed = Some((service, own)),
            Some((_, first)) if first == own => {}
            Some((other, _)) => {
                return Err(service.problem(
                    field,
                    format!(
                        "{} ({}) asks for something else, and one process serves both",
                        other.name(),
                        other.file()
                    ),
                    "say the same in both, or serve one of them elsewhere",
                ));
            }
        }
    }
    Ok(agreed.map(|(_, value)| value))
}

fn is_alone(service: &Service, manifest: &Manifest) -> bool {
    let folder = |service: &Service| Path::new(service.file()).parent().map(Path::to_owned);
    let of_folder = manifest
        .services
        .iter()
        .filter(|other| folder(other) == folder(service));
    of_folder.count() == 1
}

fn model(service: &Service, manifest: &Manifest, scratch: &Path) -> Result<ModelConfig, Problem> {
    let path = match source::find(service, &manifest.config_maps)? {
        Found::File(path) => {
            source::verify(service, &path)?;
            None
        }
        Found::Bytes { key, bytes } => {
            let path = source::write(service, &scratch.join(key), bytes)?;
            source::verify(service, &path)?;
            Some(path.display().to_string())
        }
        Found::Folder(files) => {
            let path = source::write_all(service, scratch, files)?;
            source::verify(service, &path)?;
            Some(path.display().to_string())
        }
        Found::Remote => None,
        Found::Volume => {
            return Err(service.problem(
                URI,
                "a volume claim exists only on a cluster",
                "to serve here, name a copy of the file: file:///PATH",
            ));
        }
        Found::Absent(problem) => return Err(problem),
    };
    Ok(ModelConfig {
        name: service.service.model_name().to_owned(),
        version: revision_of(&service.service).version,
        source: SourceConfig {
            path,
            ..source::config(service)
        },
        gpu: false,
        batching: service.service.spec.model.batching,
    })
}

/// One sentence about the fields of `service` that act on a cluster only.
fn unused(service: &Service) -> Option<String> {
    let stated: Vec<String> = CLUSTER_FIELDS
        .iter()
        .filter(|(field, _)| service.states(field))
        .map(|(field, instead)| format!("{field} ({instead})"))
        .collect();
    (!stated.is_empty()).then(|| {
        format!(
            "{}: no effect on this machine: {}",
            service.file(),
            stated.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_crds::manifest::parse;

    fn service(name: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: serin.dev/v1alpha1\nkind: InferenceService\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
        )
    }

    fn planned(text: &str) -> Result<Plan, String> {
        let scratch = tempfile::tempdir().unwrap();
        plan(&parse("m.yaml", text).unwrap(), scratch.path())
            .map_err(|problems| problems.to_string())
    }

    const REMOTE: &str = "model: {source: {uri: 'https://models.example.com/a.onnx'}}";

    #[test]
    fn the_version_and_revision_are_those_of_a_cluster() {
        let text = service("a", REMOTE);
        let plan = planned(&text).unwrap();
        let of_cluster = revision_of(&parse("m.yaml", &text).unwrap().services[0].service);
        assert_eq!(plan.config.revision, of_cluster.name);
        assert_eq!(plan.config.models[0].version, of_cluster.hash);
        assert_eq!(plan.config.models[0].name, "a");
    }

    #[test]
    fn what_acts_on_the_whole_process_is_the_same_in_all_services_that_say_it() {
        let traced = |port: u16| {
            format!("telemetry: {{traces: {{endpoint: 'http://localhost:{port}'}}}}, {REMOTE}")
        };
        let text = service("a", &traced(4318)) + &service("b", &traced(4318));
        let plan = planned(&(text.clone() + &service("c", REMOTE))).unwrap();
        let traces = plan.policy.telemetry.traces.unwrap();
        assert_eq!(traces.endpoint, "http://localhost:4318");
        assert_eq!(traces.sample_percent, 100);

        let refused = planned(&(text + &service("d", &traced(4319)))).unwrap_err();
        for part in ["spec.telemetry", "a (m.yaml) asks for something else"] {
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn a_choice_of_batching_reaches_the_model() {
        let chosen = REMOTE.replace("}}", "}, batching: Disabled}");
        let plan = planned(&service("a", &chosen)).unwrap();
        let batching = plan.config.models[0].batching;
        assert_eq!(
            batching,
            Some(serin_crds::inference_service::Batching::Disabled)
        );
    }

    #[test]
    fn fields_of_a_cluster_are_named_once() {
        let plan = planned(&service(
            "a",
            &format!("{REMOTE}, replicas: 3, gpu: {{count: 1}}"),
        ))
        .unwrap();
        assert_eq!(
            plan.notes,
            [
                "m.yaml: no effect on this machine: spec.replicas (one process serves), spec.gpu (models run on the processor)"
            ]
        );
        assert!(!plan.config.models[0].gpu);
        assert!(planned(&service("a", REMOTE)).unwrap().notes.is_empty());
    }

    #[test]
    fn escapes_in_a_files_uri_are_resolved() {
        let scratch = tempfile::tempdir().unwrap();
        let iris = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/iris/iris.onnx");
        std::fs::copy(iris, scratch.path().join("my model+1.onnx")).unwrap();
        let at = |name: &str| {
            let uri = format!("file://{}/{name}", scratch.path().display());
            planned(&service(
                "a",
                &format!("model: {{source: {{uri: '{uri}'}}}}"),
            ))
        };
        assert!(at("my%20model+1.onnx").is_ok());
        assert!(at("my%2520model+1.onnx").is_err());
    }

    #[test]
    fn a_volume_claim_is_refused_with_the_cure() {
        let message = planned(&service(
            "a",
            "model: {source: {uri: 'pvc://models/a.onnx'}}",
        ))
        .unwrap_err();
        assert!(message.contains("spec.model.source.uri: a volume claim exists only on a cluster, found \"pvc://models/a.onnx\"; to serve here"), "{message}");
    }

    #[test]
    fn a_suspended_service_is_not_served_and_said_so() {
        let plan = planned(&service("a", &format!("{REMOTE}, suspend: true"))).unwrap();
        assert!(plan.config.models.is_empty());
        assert_eq!(
            plan.notes,
            ["a is suspended and not served (spec.suspend in m.yaml)"]
        );
    }

    #[test]
    fn two_models_of_one_name_are_refused() {
        let named = "model: {name: a, source: {uri: 'https://models.example.com/a.onnx'}}";
        let message =
            planned(&format!("{}{}", service("a", REMOTE), service("b", named))).unwrap_err();
        assert!(
            message.contains(
                "m.yaml:10:22: spec.model.name: the model of a (m.yaml) has the same name"
            ),
            "{message}"
        );
    }

    #[test]
    fn a_model_in_a_config_map_becomes_a_file() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/iris");
        let manifest = serin_crds::manifest::load(&[examples]).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let plan = plan(&manifest, scratch.path()).unwrap();
        let source = &plan.config.models[0].source;
        let path = Path::new(source.path.as_deref().unwrap());
        assert!(path.starts_with(scratch.path()) && path.ends_with("iris.onnx"));
        assert!(source.digest.is_some());
    }
}
