//! Turns the gRPC description into Rust, without an installed protocol compiler.

use std::path::PathBuf;

use prost_types::{DescriptorProto, FileDescriptorSet};

/// A message of requests for inference is given to the service as it came: prost would build all of
/// it at once, on the network's thread, however much more memory that takes than its bytes.
const INFER: &str = ".inference.ModelInferRequest";
const RAW: &str = "RawInferRequest";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut descriptors = protox::compile(["open_inference.proto"], ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("open_inference.bin");
    std::fs::write(out, prost::Message::encode_to_vec(&descriptors))?;
    leave_raw(&mut descriptors);
    tonic_prost_build::configure()
        .build_client(false)
        .server_mod_attribute("inference", "#[cfg(feature = \"service\")]")
        .extern_path(
            format!(".inference.{RAW}"),
            "crate::oip_grpc::raw::RawInferRequest",
        )
        .build_transport(false)
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}

/// What callers are told of the service, by reflection, stays as it is.
fn leave_raw(descriptors: &mut FileDescriptorSet) {
    for file in &mut descriptors.file {
        file.message_type.push(DescriptorProto {
            name: Some(RAW.to_owned()),
            ..DescriptorProto::default()
        });
        let methods = file
            .service
            .iter_mut()
            .flat_map(|service| &mut service.method);
        for method in methods.filter(|method| method.input_type() == INFER) {
            method.input_type = Some(format!(".inference.{RAW}"));
        }
    }
}
