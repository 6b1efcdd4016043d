//! Turns the data plane's gRPC description into a client.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = "../dataplane/wire/proto";
    println!("cargo:rerun-if-changed={folder}");
    let descriptors = protox::compile(["open_inference.proto"], [folder])?;
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
