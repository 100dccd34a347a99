//! The address space of a cluster, as its configuration says.

use ringfence_kube::review;
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{Diagnostic, Name};
use ringfence_store::{ReviewKey, Store};

/// What the configuration of a cluster says about its address space.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) cidrs: ClusterCidrs,
    /// Why it could not be read. Then it says nothing.
    pub(super) findings: Vec<Diagnostic>,
}

/// Reads the configuration. Blocks.
pub(super) fn configuration(store: &dyn Store, cluster: &Name) -> Configuration {
    let key = ReviewKey { cluster: cluster.clone(), namespace: None };
    let version = match store.review(&key, None) {
        Ok(Some(version)) => version,
        Ok(None) => return Configuration::default(),
        Err(error) => {
            let message = format!("the configuration of the cluster cannot be read: {error}");
            let findings = vec![Diagnostic::error("configuration-unread", message)];
            return Configuration { findings, ..Configuration::default() };
        }
    };
    match review::bytes("configuration", version.yaml.as_bytes()) {
        Ok(review) => Configuration { cidrs: review.cluster, findings: Vec::new() },
        Err(findings) => Configuration { findings, ..Configuration::default() },
    }
}
