//! What a rule would need to match a connection, for those who say it in other words.

use ringfence_model::{Port, Requirement, Values};
use ringfence_policy::Fault;
use serde::Serialize;

use crate::said::{Say, values};

/// A condition of a rule that a connection did not fulfil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LackCode {
    /// podSelector needs `needed`; `pod` has `key` with `value`, or without it not.
    PodLabel,
    /// namespaceSelector needs `needed`; `namespace` has `key` with `value`, or without it not.
    NamespaceLabel,
    /// podSelector without namespaceSelector means namespace `needed`, not that of `pod`.
    OtherNamespace,
    /// Selectors match pods, and `address` is none.
    NotAPod,
    /// Selectors ignore host-network pods such as `pod`.
    HostNetworkPod,
    /// The address is outside ipBlock `cidr`.
    OutsideBlock,
    /// ipBlock `cidr` excepts `except`.
    Excepted,
    /// ipBlock `cidr` holds the address but does not match it under this profile.
    IgnoredByBlocks,
    /// The rule needs protocol `needed`, the connection is `found`.
    Protocol,
    /// The rule needs ports `needed`, the connection is to `found`.
    Port,
    /// The rule needs the port named `needed`, which is `numbers` at the destination, or without them not declared; the
    /// connection is to `found`.
    PortName,
}

impl Say for Fault {
    type Code = LackCode;

    fn code(&self) -> LackCode {
        match self {
            Self::PodLabel { .. } => LackCode::PodLabel,
            Self::NamespaceLabel { .. } => LackCode::NamespaceLabel,
            Self::OtherNamespace { .. } => LackCode::OtherNamespace,
            Self::NotAPod(_) => LackCode::NotAPod,
            Self::HostNetworkPod(_) => LackCode::HostNetworkPod,
            Self::OutsideBlock(_) => LackCode::OutsideBlock,
            Self::Excepted { .. } => LackCode::Excepted,
            Self::IgnoredByBlocks(_) => LackCode::IgnoredByBlocks,
            Self::Protocol { .. } => LackCode::Protocol,
            Self::Port { .. } => LackCode::Port,
            Self::PortName { .. } => LackCode::PortName,
        }
    }

    fn values(&self) -> Values {
        match self {
            Self::PodLabel { requirement, pod, value } => {
                with_label(values([("pod", pod)]), requirement, value.as_deref())
            }
            Self::NamespaceLabel { requirement, namespace, value } => {
                with_label(values([("namespace", namespace)]), requirement, value.as_deref())
            }
            Self::OtherNamespace { needed, pod } => values([("needed", needed), ("pod", pod)]),
            Self::NotAPod(ip) => values([("address", ip)]),
            Self::HostNetworkPod(pod) => values([("pod", pod)]),
            Self::OutsideBlock(cidr) | Self::IgnoredByBlocks(cidr) => values([("cidr", cidr)]),
            Self::Excepted { cidr, except } => values([("cidr", cidr), ("except", except)]),
            Self::Protocol { needed, found } => values([("needed", needed), ("found", found)]),
            Self::Port { needed, found } => values([("needed", needed), ("found", found)]),
            Self::PortName { name, numbers, found } => {
                let mut values = values([("needed", name), ("found", found)]);
                if !numbers.is_empty() {
                    let numbers: Vec<String> = numbers.iter().map(Port::to_string).collect();
                    values.insert("numbers", numbers.join(","));
                }
                values
            }
        }
    }
}

fn with_label(mut values: Values, requirement: &Requirement, value: Option<&str>) -> Values {
    values.insert("needed", requirement.to_string());
    values.insert("key", requirement.key.to_string());
    if let Some(value) = value {
        values.insert("value", value.to_owned());
    }
    values
}
