//! Cluster ranges in the arguments of control-plane processes.

use std::sync::Arc;

use ringfence_model::Diagnostic;
use ringfence_model::object::Pod;

use crate::address_space::{ClusterRange, RangeSource, RangeUse, invalid_argument, parse_range};

/// Processes trusted in the namespaces of the system itself. Elsewhere they may belong to a virtual cluster with
/// ranges of its own.
const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-proxy"];

const FLAGS: [(&str, RangeUse); 2] =
    [("--cluster-cidr", RangeUse::Pods), ("--service-cluster-ip-range", RangeUse::Services)];

/// Whether the namespace belongs to Kubernetes or its distribution.
pub(crate) fn is_system_namespace(namespace: &str) -> bool {
    namespace.starts_with("kube-") || namespace.starts_with("openshift-")
}

/// The ranges that pods' command lines name. `further` processes are trusted in every namespace.
pub(crate) fn ranges(
    pods: &[Pod],
    further: &[Arc<str>],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<ClusterRange> {
    let mut found = Vec::new();
    for pod in pods {
        let system = is_system_namespace(pod.reference.namespace.as_str());
        let trusted = |process: &str| {
            further.iter().any(|name| &**name == process)
                || system && CONTROL_PLANE.contains(&process)
        };
        for command in &pod.spec.commands {
            // Shell command lines are one argument with spaces.
            let words: Vec<&str> = command.iter().flat_map(|arg| arg.split_whitespace()).collect();
            let programs = words.iter().filter(|word| !word.starts_with('-'));
            let Some(process) = programs.map(|word| base_name(word)).find(|name| trusted(name))
            else {
                continue;
            };
            for (flag, used_for) in FLAGS {
                for text in values(&words, flag) {
                    match parse_range(text) {
                        Ok(cidr) => found.push(ClusterRange {
                            used_for,
                            cidr,
                            source: RangeSource::Process {
                                pod: pod.reference.clone(),
                                process: process.into(),
                            },
                        }),
                        Err(error) => {
                            diagnostics.push(invalid_argument(&pod.reference, &pod.origin, &error));
                        }
                    }
                }
            }
        }
    }
    found
}

fn base_name(word: &str) -> &str {
    word.rsplit_once('/').map_or(word, |(_, name)| name)
}

/// The comma-separated values of a flag, written `--flag=a,b` or `--flag a,b`; one dash does as well.
pub(crate) fn values<'a>(words: &'a [&'a str], flag: &'a str) -> impl Iterator<Item = &'a str> {
    let name = flag.trim_start_matches('-');
    words
        .iter()
        .enumerate()
        .filter_map(move |(n, word)| {
            let (given, value) = match word.split_once('=') {
                Some((given, value)) => (given, Some(value)),
                None => (*word, words.get(n + 1).copied()),
            };
            let is_flag = given.starts_with('-') && given.trim_start_matches('-') == name;
            if is_flag { value } else { None }
        })
        .flat_map(|value| value.trim_matches(['"', '\'']).split(','))
        .map(str::trim)
        .filter(|value| !value.is_empty())
}
