//! What is served, where, and how to try it.

use std::net::SocketAddr;

use serin_dataplane::pipeline::ModelState;

use super::plan::Plan;
use super::request::{Request, curl};

/// The text that `serin run` prints once models answer. `requests` has one for each model of
/// the plan, where there is one to show.
pub fn announcement(
    address: SocketAddr,
    plan: &Plan,
    states: &[ModelState],
    requests: &[Option<Request>],
) -> String {
    let base = base_url(address);
    let mut text = String::new();
    for ((model, origin), request) in plan.config.models.iter().zip(&plan.models).zip(requests) {
        let failed = states
            .iter()
            .find(|state| state.name == model.name && !state.ready());
        if let Some(failed) = failed {
            text.push_str(&format!(
                "\n{} from {} is not served: {}\n",
                model.name,
                origin.file,
                failed.reason.as_deref().unwrap_or("it is not loaded")
            ));
            continue;
        }
        text.push_str(&format!(
            "\n{} version {} answers at {base}/v2/models/{}\n  from {}, revision {}\n",
            model.name, model.version, model.name, origin.file, origin.revision.name
        ));
        match request {
            Some(request) => text.push_str(&format!("  try it: {}\n", curl(&base, request))),
            None => text.push_str(&format!(
                "  what it takes: curl -s {base}/v2/models/{}\n",
                model.name
            )),
        }
    }
    text.push_str(&format!("\nlook and try in a browser: {base}/docs\n"));
    text.push_str("Ctrl-C ends it, after the requests that are under way.\n");
    text
}

/// Where this machine reaches `address`: an address that stands for all of them, `::` for those of
/// IPv4 too, is reached by the loopback one that every machine has.
fn base_url(address: SocketAddr) -> String {
    let mut reached = address;
    if address.ip().is_unspecified() {
        reached.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{reached}")
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use super::super::request::Body;
    use serin_core::types::Availability;

    use super::*;
    use serin_crds::manifest::parse;

    #[test]
    fn each_model_is_told_with_its_address_and_a_request() {
        let text = "apiVersion: serin.dev/v1alpha1\nkind: InferenceService\nmetadata: {name: iris}\nspec: {model: {version: '2', source: {uri: 'https://models.example.com/a.onnx'}}}\n";
        let scratch = tempfile::tempdir().unwrap();
        let plan = plan::plan(&parse("iris.yaml", text).unwrap(), scratch.path()).unwrap();
        let revision = plan.config.revision.clone();
        let address = "0.0.0.0:8080".parse().unwrap();
        let body = Body::File("examples/iris/requests/setosa.json".into());
        let request = Request::infer("iris", body);
        assert_eq!(
            announcement(address, &plan, &[], &[Some(request)]),
            format!(
                "\niris version 2 answers at http://127.0.0.1:8080/v2/models/iris\n  from iris.yaml, revision {revision}\n  try it: curl -s http://127.0.0.1:8080/v2/models/iris/infer -d @examples/iris/requests/setosa.json\n\nlook and try in a browser: http://127.0.0.1:8080/docs\nCtrl-C ends it, after the requests that are under way.\n"
            )
        );
        assert!(
            announcement(address, &plan, &[], &[None])
                .contains("what it takes: curl -s http://127.0.0.1:8080/v2/models/iris\n")
        );
    }

    #[test]
    fn a_model_that_did_not_load_says_why() {
        let text = "apiVersion: serin.dev/v1alpha1\nkind: InferenceService\nmetadata: {name: iris}\nspec: {model: {version: '2', source: {uri: 'https://models.example.com/a.onnx'}}}\n";
        let scratch = tempfile::tempdir().unwrap();
        let plan = plan::plan(&parse("iris.yaml", text).unwrap(), scratch.path()).unwrap();
        let state = ModelState {
            name: "iris".into(),
            version: "2".into(),
            availability: Availability::Failed,
            reason: Some("it is not ONNX".into()),
        };
        let told = announcement("127.0.0.1:80".parse().unwrap(), &plan, &[state], &[None]);
        assert!(
            told.starts_with("\niris from iris.yaml is not served: it is not ONNX\n\nlook and try"),
            "{told}"
        );
    }

    #[test]
    fn an_ipv6_address_is_bracketed() {
        assert_eq!(base_url("[::1]:80".parse().unwrap()), "http://[::1]:80");
    }

    #[test]
    fn every_address_is_told_as_this_machines_own() {
        for every in ["[::]:80", "0.0.0.0:80"] {
            assert_eq!(base_url(every.parse().unwrap()), "http://127.0.0.1:80");
        }
    }
}
