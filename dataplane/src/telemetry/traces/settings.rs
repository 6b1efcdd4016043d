//! Where traces go: what the resource says, else OpenTelemetry's own environment variables.

use reqwest::Url;
use serin_crds::contract::policy::TracesConfig;

use crate::address::{Rule, refused_literal};

/// Where traces go, and of which requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The full address, `/v1/traces` included.
    pub(super) endpoint: Url,
    /// Of a hundred requests whose caller made no decision, how many are traced.
    pub(super) sample_percent: u32,
    /// What describes this process.
    pub(super) resource: Vec<(String, String)>,
    /// Addresses that may be dialled where a resource names the endpoint; whoever sets the environment
    /// may name any.
    pub(super) rule: Option<Rule>,
}

/// What this process is, for those who look at its traces.
#[derive(Clone, Debug)]
pub struct Process {
    /// `namespace/name` of the service, or the files of local mode.
    pub service: String,
    /// Its revision.
    pub revision: String,
    /// It runs on its user's own machine.
    pub local_mode: bool,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The address is none.
    #[error(
        "{from} is '{value}': it must be an address such as http://otel-collector:4318, {reason}"
    )]
    Endpoint {
        /// The field or variable.
        from: &'static str,
        /// What it says.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another protocol is asked for.
    #[error("{0} is '{1}': traces are sent as http/protobuf, to a collector's port 4318")]
    Protocol(&'static str, String),
    /// TLS cannot be set up.
    #[error("traces cannot be sent over TLS: {0}")]
    Tls(String),
}

const FIELD: &str = "spec.telemetry.traces.endpoint";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];

impl Settings {
    /// What `config` says; where it says nothing, what the variables say that `env` gives:
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (taken as it stands) before
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` (`/v1/traces` is appended). `OTEL_SERVICE_NAME` and
    /// `OTEL_RESOURCE_ATTRIBUTES` describe the process in either case.
    ///
    /// # Errors
    /// An address that is none, or another protocol than HTTP with protobuf.
    pub fn find(
        config: Option<&TracesConfig>,
        process: &Process,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, SettingsError> {
        // An empty variable is as if it were not set (OpenTelemetry's specification).
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let rule = config.map(|_| Rule::for_traces());
        let (endpoint, sample_percent) = match config {
            Some(config) => (
                base(FIELD, &config.endpoint)?,
                u32::try_from(config.sample_percent).unwrap_or(0),
            ),
            None => {
                let endpoint = match (env(TRACES_ENDPOINT), env(ENDPOINT)) {
                    (Some(whole), _) => address(TRACES_ENDPOINT, &whole)?,
                    (None, Some(part)) => base(ENDPOINT, &part)?,
                    (None, None) => return Ok(None),
                };
                for name in PROTOCOLS {
                    match env(name) {
                        Some(other) if other != "http/protobuf" => {
                            return Err(SettingsError::Protocol(name, other));
                        }
                        _ => {}
                    }
                }
                (endpoint, 100)
            }
        };
        if let Some(refused) = rule
            .as_ref()
            .and_then(|rule| refused_literal(&endpoint, rule))
        {
            return Err(SettingsError::Endpoint {
                from: FIELD,
                value: endpoint.to_string(),
                reason: format!("and {refused}"),
            });
        }
        Ok(Some(Self {
            rule,
            endpoint,
            sample_percent,
            resource: resource(process, env),
        }))
    }
}

fn address(from: &'static str, value: &str) -> Result<Url, SettingsError> {
    let wrong = |reason: String| SettingsError::Endpoint {
        from,
        value: value.to_owned(),
        reason,
    };
    let url = Url::parse(value).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("beginning with http:// or https://".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SettingsError::Endpoint {
            from,
            value: "...".to_owned(),
            reason: "without a user or password".to_owned(),
        });
    }
    Ok(url)
}

/// A collector's base address with the path that OTLP gives to traces.
fn base(from: &'static str, value: &str) -> Result<Url, SettingsError> {
    address(from, &format!("{}/v1/traces", value.trim_end_matches('/')))
}

fn resource(process: &Process, env: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut set =
        |key: &str, value: String| match attributes.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => attributes.push((key.to_owned(), value)),
        };
    match process.service.split_once('/') {
        Some((namespace, name)) if !process.local_mode => {
            set("service.name", name.to_owned());
            set("k8s.namespace.name", namespace.to_owned());
        }
        _ => set("service.name", "serin".to_owned()),
    }
    set("serin.revision", process.revision.clone());
    if let Some(host) = env("HOSTNAME") {
        if !process.local_mode {
            set("k8s.pod.name", host.clone());
        }
        set("service.instance.id", host);
    }
    set("telemetry.sdk.name", "serin".to_owned());
    set("telemetry.sdk.language", "rust".to_owned());
    set(
        "telemetry.sdk.version",
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    let given = env("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    for (key, value) in given.split(',').filter_map(|pair| pair.split_once('=')) {
        set(key.trim(), decoded(value.trim()));
    }
    if let Some(name) = env("OTEL_SERVICE_NAME") {
        set("service.name", name);
    }
    attributes
}

/// Values of `OTEL_RESOURCE_ATTRIBUTES` are percent-encoded; one that is none is taken as it is.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let Some(byte) = digits else {
            return value.to_owned();
        };
        bytes.push(byte);
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Process {
        Process {
            service: "demo/iris".to_owned(),
            revision: "iris-1".to_owned(),
            local_mode: false,
        }
    }

    fn find(
        config: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Option<Settings>, SettingsError> {
        let config = config.map(|endpoint| TracesConfig {
            endpoint: endpoint.to_owned(),
            sample_percent: 10,
        });
        Settings::find(config.as_ref(), &pod(), |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn endpoint(config: Option<&str>, variables: &[(&str, &str)]) -> String {
        let settings = find(config, variables).unwrap().unwrap();
        settings.endpoint.to_string()
    }

    #[test]
    fn the_resource_stands_before_the_variables_and_the_narrower_variable_before_the_wider() {
        let both = [
            (TRACES_ENDPOINT, "http://narrow:1/own/path"),
            (ENDPOINT, "http://wide:2/"),
        ];
        assert_eq!(
            endpoint(Some("http://c:4318"), &both),
            "http://c:4318/v1/traces"
        );
        assert_eq!(endpoint(None, &both), "http://narrow:1/own/path");
        assert_eq!(endpoint(None, &both[1..]), "http://wide:2/v1/traces");
        assert_eq!(find(None, &[(ENDPOINT, "")]).unwrap(), None);
    }

    #[test]
    fn a_resource_sends_no_traces_to_a_metadata_service() {
        for refused in [
            "http://169.254.169.254",
            "http://[::ffff:a9fe:a9fe]:80",
            "http://0xa9fea9fe",
        ] {
            let message = find(Some(refused), &[]).unwrap_err().to_string();
            assert!(message.contains("link-local"), "{message}");
        }
        assert!(find(Some("http://10.0.0.1:4318"), &[]).is_ok());
        let by_environment = find(None, &[(ENDPOINT, "http://169.254.1.2:4318")]);
        assert!(
            by_environment.is_ok(),
            "whoever sets up the cluster may name any"
        );
    }

    #[test]
    fn an_address_that_is_none_and_another_protocol_are_named() {
        for (config, variables, part) in [
            (Some("collector:4318"), &[][..], FIELD),
            (None, &[(ENDPOINT, "no address")][..], ENDPOINT),
            (
                None,
                &[(ENDPOINT, "http://c:4317"), (PROTOCOLS[1], "grpc")][..],
                "http/protobuf",
            ),
        ] {
            let message = find(config, variables).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let secret = find(Some("http://me:pw@c"), &[]).unwrap_err().to_string();
        assert!(!secret.contains("pw"), "{secret}");
    }

    #[test]
    fn the_variables_describe_the_process_before_what_it_knows_of_itself() {
        let of = |variables: &[(&str, &str)], key: &str| {
            let settings = find(Some("http://c"), variables).unwrap().unwrap();
            let found = settings.resource.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        assert_eq!(of(&[], "service.name"), "iris");
        assert_eq!(of(&[], "k8s.namespace.name"), "demo");
        let variables = [
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=a, team=r%20d,odd=5%",
            ),
            ("OTEL_SERVICE_NAME", "b"),
        ];
        assert_eq!(of(&variables[..1], "service.name"), "a");
        assert_eq!(of(&variables, "service.name"), "b");
        assert_eq!(of(&variables, "team"), "r d");
        assert_eq!(of(&variables, "odd"), "5%");
    }
}
