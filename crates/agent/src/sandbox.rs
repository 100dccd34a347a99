//! What the status of a pod sandbox says of its network. Touches nothing.
//!
//! The Container Runtime Interface has the addresses; the namespace is in what runtimes say when asked to be verbose, as
//! JSON of their own making. containerd and CRI-O both give the OCI runtime specification there.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ringfence_proto::cri::{NamespaceMode, PodSandboxStatusResponse};
use serde::Deserialize;
use thiserror::Error;

/// Under this name both runtimes give their JSON.
const INFO: &str = "info";

/// CRI-O notes the addresses of a pod in annotations that begin like this.
const CRIO_ADDRESS: &str = "io.kubernetes.cri-o.IP.";

/// The network of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// It is the node's own.
    pub is_of_node: bool,
    /// Where the namespace is bound to in the file system of the node.
    pub path: Option<PathBuf>,
    /// A process in the namespace, by its id in the initial pid namespace.
    pub process: Option<u32>,
    /// The addresses of the pod, also after it ended, as far as the runtime remembers them.
    pub addresses: Vec<IpAddr>,
}

/// An answer that cannot be read.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// There is no status in it.
    #[error("the runtime tells of no status")]
    Missing,
    /// What it says beside the status is not the JSON that is expected.
    #[error("what the runtime says of a sandbox cannot be read")]
    Info(#[from] serde_json::Error),
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Info {
    pid: Option<u32>,
    runtime_spec: Option<Spec>,
    cni_result: Option<CniResult>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    annotations: Option<HashMap<String, String>>,
    linux: Option<Linux>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Linux {
    namespaces: Option<Vec<Namespace>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Namespace {
    r#type: String,
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct CniResult {
    interfaces: Option<HashMap<String, Option<Interface>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Interface {
    #[serde(rename = "IPConfigs")]
    configs: Option<Vec<Configured>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Configured {
    #[serde(rename = "IP")]
    ip: Option<IpAddr>,
}

impl Network {
    /// Reads the verbose status of a sandbox.
    pub fn read(answer: &PodSandboxStatusResponse) -> Result<Self, SandboxError> {
        let status = answer.status.as_ref().ok_or(SandboxError::Missing)?;
        let options = status.linux.as_ref().and_then(|linux| linux.namespaces.as_ref()?.options);
        let is_of_node = options.is_some_and(|options| options.network() == NamespaceMode::Node);
        let info = answer.info.get(INFO).map(|text| serde_json::from_str(text)).transpose()?;
        let Info { pid, runtime_spec, cni_result } = info.unwrap_or_default();
        let Spec { annotations, linux } = runtime_spec.unwrap_or_default();

        let told = status.network.iter().flat_map(|network| {
            let more = network.additional_ips.iter().map(|more| &more.ip);
            [&network.ip].into_iter().chain(more)
        });
        let annotated = annotations.iter().flatten();
        let annotated = annotated.filter(|(key, _)| key.starts_with(CRIO_ADDRESS));
        let texts = told.chain(annotated.map(|(_, address)| address));
        let interfaces = cni_result.unwrap_or_default().interfaces.into_iter().flatten();
        let configured = interfaces
            .filter_map(|(_, interface)| interface?.configs)
            .flatten()
            .filter_map(|configured| configured.ip);
        let mut addresses: Vec<IpAddr> = texts
            .filter_map(|text| text.parse().ok())
            .chain(configured)
            .map(|ip: IpAddr| ip.to_canonical())
            .filter(|ip| !ip.is_loopback())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();

        let namespaces = linux.unwrap_or_default().namespaces.into_iter().flatten();
        let network = namespaces.into_iter().find(|namespace| namespace.r#type == "network");
        let path = network.map(|network| network.path).filter(|path| !path.is_empty());
        Ok(Self {
            is_of_node,
            path: path.map(PathBuf::from),
            process: pid.filter(|process| *process > 0),
            addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use ringfence_proto::cri::{
        LinuxPodSandboxStatus, Namespace as Namespaces, NamespaceOption, PodIp,
        PodSandboxNetworkStatus, PodSandboxStatus,
    };

    use super::*;

    fn answer(status: PodSandboxStatus, info: &str) -> PodSandboxStatusResponse {
        let info = HashMap::from([(INFO.to_owned(), info.to_owned())]);
        PodSandboxStatusResponse { status: Some(status), info }
    }

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn containerd_and_cri_o_tell_of_namespaces() {
        let network = PodSandboxNetworkStatus {
            ip: "10.1.0.5".to_owned(),
            additional_ips: vec![PodIp { ip: "fd00::5".to_owned() }],
        };
        let running = PodSandboxStatus { network: Some(network), ..PodSandboxStatus::default() };
        let ended = PodSandboxStatus::default();
        let containerd = r#"{"pid":42,"processStatus":"running","runtimeSpec":{"ociVersion":"1.1.0","annotations":
            {"io.kubernetes.cri.sandbox-name":"web"},"linux":{"namespaces":[{"type":"pid"},{"type":"network",
            "path":"/var/run/netns/cni-1"}]}},"cniResult":{"Interfaces":{"eth0":{"IPConfigs":[{"IP":"10.1.0.5",
            "Gateway":"10.1.0.1"}],"Mac":"0a"},"lo":{"IPConfigs":[{"IP":"127.0.0.1"},{"IP":"::1"}]},"x":null}}}"#;
        let crio = r#"{"image":"pause","pid":43,"runtimeSpec":{"annotations":{"io.kubernetes.cri-o.IP.0":"10.1.0.6",
            "io.kubernetes.cri-o.IP.1":"fd00::6"},"linux":{"namespaces":[{"type":"network","path":"/run/netns/2"}]}}}"#;
        let path = |text: &str| Some(PathBuf::from(text));
        let cases = [
            (running.clone(), containerd, 42, path("/var/run/netns/cni-1"), "10.1.0.5 fd00::5"),
            (ended.clone(), containerd, 42, path("/var/run/netns/cni-1"), "10.1.0.5"),
            (ended, crio, 43, path("/run/netns/2"), "10.1.0.6 fd00::6"),
            (running, "{}", 0, None, "10.1.0.5 fd00::5"),
        ];
        for (status, info, process, path, addresses) in cases {
            let process = Some(process).filter(|process| *process > 0);
            let expected = Network { is_of_node: false, path, process, addresses: ips(addresses) };
            assert_eq!(Network::read(&answer(status, info)).unwrap(), expected, "{info}");
        }
    }

    #[test]
    fn the_network_of_the_node_is_known() {
        let options = NamespaceOption { network: NamespaceMode::Node.into() };
        let namespaces = Some(Namespaces { options: Some(options) });
        let linux = Some(LinuxPodSandboxStatus { namespaces });
        let status = PodSandboxStatus { linux, ..PodSandboxStatus::default() };
        assert!(Network::read(&answer(status, "{}")).unwrap().is_of_node);
    }

    #[test]
    fn what_cannot_be_read_is_a_fault() {
        assert!(Network::read(&PodSandboxStatusResponse::default()).is_err());
        for info in ["", "7", "{\"pid\":-1}", "{\"pid\":1", "{\"runtimeSpec\":{\"linux\":7}}"] {
            let answer = answer(PodSandboxStatus::default(), info);
            assert!(Network::read(&answer).is_err(), "{info}");
        }
    }
}
