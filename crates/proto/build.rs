//! Makes Rust of the `.proto` files, without needing `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = [
        "ringfence/agent/v1/agent.proto",
        "ringfence/enrol/v1/enrol.proto",
        "hubble/flow.proto",
        "hubble/observer.proto",
        "cri/runtime.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".ringfence.agent.v1.Batch.body")
        .btree_map(".ringfence.agent.v1.Host.tags")
        .compile_fds(descriptors)?;
    Ok(())
}
