//! The Service: the stable address of all revisions.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serin_crds::ports;

use crate::child::Child;
use crate::child_kind::ChildKind;
use crate::desired::labels;
use crate::desired::metadata::metadata;
use crate::validated::ValidatedService;

/// The Service that selects the pods of `revision`.
pub fn service(service: &ValidatedService, revision: &str) -> Child {
    let object = Service {
        metadata: metadata(service, &service.name, None),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(labels::selector(&service.name, revision)),
            ports: Some(vec![
                port("http", ports::SERVICE_HTTP, ports::HTTP, None),
                port("grpc", ports::GRPC, ports::GRPC, Some("kubernetes.io/h2c")),
            ]),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Child::new(ChildKind::Service, &service.name, &object)
}

fn port(name: &str, port: u16, target: u16, protocol: Option<&str>) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        target_port: Some(IntOrString::Int(i32::from(target))),
        protocol: Some("TCP".into()),
        app_protocol: protocol.map(str::to_owned),
        ..ServicePort::default()
    }
}
