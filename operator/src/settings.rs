//! The operator's flags; each may also be given as an environment variable.

use clap::{ArgAction, Parser, ValueEnum};

use crate::desired::revision_snapshot::OperatorDefaults;

/// Serves machine-learning models on Kubernetes: turns InferenceService objects into pods.
#[derive(Parser, Clone, Debug)]
#[command(name = "serin-operator", version)]
pub struct Settings {
    /// Image of the pods that serve models. A new value reaches a model with its next change:
    /// running models are not restarted.
    #[arg(long, env = "SERIN_DATAPLANE_IMAGE")]
    pub dataplane_image: String,

    /// When nodes pull that image: Always, IfNotPresent or Never. Default: the cluster's rule.
    #[arg(long, env = "SERIN_DATAPLANE_IMAGE_PULL_POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub dataplane_image_pull_policy: Option<String>,

    /// Name of a Secret, in the namespace of each model, to pull that image with. Repeatable.
    #[arg(
        long = "image-pull-secret",
        env = "SERIN_IMAGE_PULL_SECRET",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub image_pull_secrets: Vec<String>,

    /// Private network (CIDR) that models may be fetched from over https. Repeatable. Public
    /// addresses always may be; loopback and link-local ones never.
    #[arg(long = "allow-source-network", env = "SERIN_ALLOW_SOURCE_NETWORK", value_name = "CIDR", value_delimiter = ',', value_parser = cidr)]
    pub allowed_networks: Vec<String>,

    /// Namespace to serve models in. Repeatable. Default: all of them.
    #[arg(
        long = "watch-namespace",
        env = "SERIN_WATCH_NAMESPACE",
        value_name = "NAMESPACE",
        value_delimiter = ','
    )]
    pub watch_namespaces: Vec<String>,

    /// Namespace of the operator itself: holds the lease of the leader.
    #[arg(long, env = "SERIN_NAMESPACE", default_value = "serin-system")]
    pub namespace: String,

    /// Only one of several operators acts, the holder of a lease. Turn off only where there is
    /// never a second one.
    #[arg(long, env = "SERIN_LEADER_ELECT", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub leader_elect: bool,

    /// Name of this process in the lease and in events. Default: the host's name.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,

    /// Address for /metrics, /livez and /readyz. `::` stands for all, of IPv4 and, where the host
    /// has it, IPv6.
    #[arg(long, env = "SERIN_METRICS_ADDR", default_value = "::")]
    pub metrics_addr: std::net::IpAddr,

    /// Port for /metrics, /livez and /readyz.
    #[arg(long, env = "SERIN_METRICS_PORT", default_value_t = 8080)]
    pub metrics_port: u16,

    /// Form of the log, on standard output. SERIN_LOG sets its level: `info`, `debug`, or per
    /// module as in `info,serin_operator=debug`.
    #[arg(long, env = "SERIN_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl Settings {
    /// The part that makes pods.
    pub fn defaults(&self) -> OperatorDefaults {
        OperatorDefaults {
            image: self.dataplane_image.clone(),
            image_pull_policy: self.dataplane_image_pull_policy.clone(),
            image_pull_secrets: self.image_pull_secrets.clone(),
            allowed_networks: self.allowed_networks.clone(),
        }
    }
}

fn cidr(text: &str) -> Result<String, String> {
    text.parse::<ipnet::IpNet>()
        .map(|_| text.to_owned())
        .map_err(|_| format!("{text:?} is no network; write for example 10.0.0.0/8 or fd00::/8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &[&str]) -> Result<Settings, clap::Error> {
        let fixed = ["serin-operator", "--dataplane-image=d:1"];
        Settings::try_parse_from(fixed.iter().chain(flags))
    }

    #[test]
    fn the_leader_is_elected_unless_that_is_turned_off() {
        assert!(parsed(&[]).unwrap().leader_elect);
        assert!(parsed(&["--leader-elect"]).unwrap().leader_elect);
        assert!(!parsed(&["--leader-elect=false"]).unwrap().leader_elect);
    }

    #[test]
    fn the_flags_that_make_pods_are_kept_together() {
        let settings = parsed(&[
            "--allow-source-network=10.0.0.0/8",
            "--image-pull-secret=a",
            "--image-pull-secret=b",
        ])
        .unwrap();
        let defaults = settings.defaults();
        assert_eq!(defaults.image, "d:1");
        assert_eq!(defaults.allowed_networks, ["10.0.0.0/8"]);
        assert_eq!(defaults.image_pull_secrets, ["a", "b"]);
    }

    #[test]
    fn a_wrong_network_is_refused_with_an_example() {
        for wrong in ["10.0.0.0", "10.0.0.0/33", "x/8", "fd00::/129"] {
            let error = parsed(&["--allow-source-network", wrong])
                .unwrap_err()
                .to_string();
            assert!(error.contains("10.0.0.0/8"), "{error}");
        }
    }
}
