//! Ports and protocols as the API spells them.

use std::fmt;

use ringfence_model::{NetError, Port, PortMatch, PortRange, PortTarget, Protocol};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::de::Lined;
use crate::fault::Fault;
use crate::strings::Strings;

/// `intstr.IntOrString`: unquoted digits are a number, everything else a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntOrString<'n> {
    Int(i64),
    Text(&'n str),
}

impl<'de: 'n, 'n> Deserialize<'de> for IntOrString<'n> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntOrStringVisitor;
        impl<'de> Visitor<'de> for IntOrStringVisitor {
            type Value = IntOrString<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a name")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(IntOrString::Int(value))
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(IntOrString::Text(text))
            }
        }
        deserializer.deserialize_any(IntOrStringVisitor)
    }
}

/// A port number.
pub(crate) fn port(number: Lined<i64>) -> Result<Port, Fault> {
    u16::try_from(number.value)
        .ok()
        .and_then(Port::new)
        .ok_or_else(|| Fault::new(number.line, NetError::Port(number.value).to_string()))
}

/// A protocol; TCP when the file names none.
pub(crate) fn protocol(text: Option<Lined<&str>>) -> Result<Protocol, Fault> {
    match text {
        None | Some(Lined { value: "", .. }) => Ok(Protocol::Tcp),
        Some(Lined { line, value }) => value
            .parse()
            .map_err(|e: NetError| Fault::new(line, e.to_string()).inside("protocol", line)),
    }
}

/// The name of a container port (`IsValidPortName`): at most 15 lower-case letters, digits and single '-', at least
/// one letter among them.
pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    let bytes = name.as_bytes();
    let good = bytes.len() <= 15
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes.iter().any(u8::is_ascii_lowercase)
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        return Ok(());
    }
    let fault = Fault::new(0, format!("{name:?} is not a port name"));
    Err(if name.parse::<u16>().is_ok() {
        fault.hint(format!("write {name} without quotes for the port number"))
    } else {
        fault.hint("a port name has at most 15 lower-case letters, digits and '-', with a letter among them")
    })
}

/// `NetworkPolicyPort`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PolicyPort<'n> {
    #[serde(borrow, default)]
    pub(crate) protocol: Option<Lined<&'n str>>,
    #[serde(borrow, default)]
    pub(crate) port: Option<Lined<IntOrString<'n>>>,
    #[serde(default)]
    pub(crate) end_port: Option<Lined<i64>>,
}

impl PolicyPort<'_> {
    /// Checks the port as `ValidateNetworkPolicyPort` does.
    pub(crate) fn read(self, strings: &mut Strings) -> Result<PortMatch, Fault> {
        let Self { protocol: wire, port: wanted, end_port } = self;
        let protocol = protocol(wire)?;
        let target = match (wanted.map(|w| (w.line, w.value)), end_port) {
            (None, None) => PortTarget::Any,
            (Some((line, IntOrString::Int(value))), end) => {
                let first = port(Lined { line, value }).map_err(|f| f.inside("port", line))?;
                let last = match end {
                    Some(end) => port(end).map_err(|f| f.inside("endPort", end.line))?,
                    None => first,
                };
                let range = PortRange::new(first, last);
                PortTarget::Numbers(
                    range.map_err(|e| Fault::new(end.map_or(line, |e| e.line), e.to_string()))?,
                )
            }
            (Some((line, IntOrString::Text(name))), None) => {
                check_name(name).map_err(|f| f.inside("port", line))?;
                PortTarget::Named(strings.share(name))
            }
            (_, Some(end)) => {
                let message = "endPort needs port as a number";
                return Err(Fault::new(end.line, message));
            }
        };
        Ok(PortMatch { protocol, target })
    }
}
