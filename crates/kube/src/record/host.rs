//! Hosts, which no API server has: their objects are written here.

use std::fmt::Write as _;

use ringfence_model::object::Host;

use super::{Record, quote};

/// A host as an object. The same host gives the same text.
pub fn host(host: &Host) -> Record {
    let Host { name, labels, addresses, system, origin: _ } = host;
    let mut json = String::from(
        "{\"apiVersion\":\"ringfence.dev/v1alpha1\",\"kind\":\"Host\",\"metadata\":{\"name\":",
    );
    quote(name.as_str(), &mut json);
    json.push_str(",\"labels\":{");
    for (n, (key, value)) in labels.iter().enumerate() {
        json.push_str(if n > 0 { "," } else { "" });
        quote(key, &mut json);
        json.push(':');
        quote(value, &mut json);
    }
    json.push_str("}},\"spec\":{\"addresses\":[");
    for (n, address) in addresses.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(json, "{}\"{address}\"", if n > 0 { "," } else { "" });
    }
    json.push(']');
    if let Some(system) = system {
        json.push_str(",\"system\":");
        quote(system, &mut json);
    }
    json.push_str("}}");
    Record { kind: "Host", namespace: None, name: name.clone(), uid: "".into(), json: json.into() }
}
