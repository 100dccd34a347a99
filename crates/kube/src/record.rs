//! Objects on their way into a store: as JSON, reduced to what [`Reader`](crate::read::Reader) reads of it.

mod host;
mod keep;

use std::sync::Arc;

use ringfence_model::Name;

use crate::fault::Fault;
use crate::node::{Node, Scalar, Value, resolve};
use crate::object::Kind;

use keep::Keep;

pub use host::host;

/// An object as JSON, and the names that tell it from others.
///
/// The JSON reads as the whole object does: what is left out is what nothing here reads, which is most of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The kind, as Kubernetes spells it.
    pub kind: &'static str,
    /// Its namespace, if the kind lives in one.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
    /// `metadata.uid`; empty when no API server has seen the object.
    pub uid: Arc<str>,
    /// The object.
    pub json: Arc<str>,
}

/// Reduces an object to what is read of it. The kinds of list items go without `apiVersion` and `kind`, so these
/// come from the caller.
pub(crate) fn record(kind: Kind, api_version: &str, tree: &Node<'_>) -> Result<Record, Fault> {
    let text = |field: &str| tree.get("metadata")?.get(field)?.as_text();
    let name_of = |field: &str, text: &str| {
        let name = Name::new(text).map_err(|e| Fault::new(0, e.to_string()));
        name.map_err(|fault| fault.inside(&format!("metadata.{field}"), tree.line))
    };
    let name = text("name").ok_or_else(|| Fault::new(tree.line, "metadata.name is missing"))?;
    let namespace = match kind {
        Kind::Namespace | Kind::Node | Kind::ClusterPolicy(_) | Kind::Host => None,
        _ => Some(text("namespace").filter(|text| !text.is_empty()).unwrap_or("default")),
    };
    let mut json = String::from("{\"apiVersion\":");
    quote(api_version, &mut json);
    json.push_str(",\"kind\":");
    quote(kind.as_str(), &mut json);
    if let (Value::Map(entries), Keep::Fields(fields)) = (&tree.value, keep::of(kind)) {
        write_fields(entries, fields, false, &mut json);
    }
    json.push('}');
    Ok(Record {
        kind: kind.as_str(),
        namespace: namespace.map(|text| name_of("namespace", text)).transpose()?,
        name: name_of("name", name)?,
        uid: text("uid").unwrap_or_default().into(),
        json: json.into(),
    })
}

fn write(node: &Node<'_>, keep: &Keep, out: &mut String) {
    match (&node.value, keep) {
        (Value::Map(entries), Keep::Fields(fields)) => {
            out.push('{');
            write_fields(entries, fields, true, out);
            out.push('}');
        }
        (Value::Map(entries), Keep::All) => {
            out.push('{');
            let read = entries.iter().filter(|(_, node)| node.value != Value::Unread);
            for (n, (key, node)) in read.enumerate() {
                write_key(&key.text, n == 0, out);
                write(node, keep, out);
            }
            out.push('}');
        }
        (Value::Seq(items), _) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, keep, out);
            }
            out.push(']');
        }
        (Value::Text(text), _) => quote(text, out),
        (Value::Plain(text), _) => match resolve(text) {
            Scalar::Null => out.push_str("null"),
            Scalar::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Scalar::Int(value) => out.push_str(&value.to_string()),
            Scalar::Float(value) if value.is_finite() => out.push_str(&value.to_string()),
            // JSON has no such number; as a string it is refused like the number.
            Scalar::Float(_) => quote(text, out),
            Scalar::Text(text) => quote(text, out),
        },
        (Value::Unread, _) => out.push_str("null"),
    }
}

/// The fields that are kept, in the order of the object.
fn write_fields(
    entries: &[(crate::node::Key<'_>, Node<'_>)],
    fields: &[(&str, Keep)],
    mut first: bool,
    out: &mut String,
) {
    for (key, node) in entries {
        let field = fields.iter().find(|(name, _)| *name == key.text);
        if let Some((_, keep)) = field.filter(|_| node.value != Value::Unread) {
            write_key(&key.text, first, out);
            first = false;
            write(node, keep, out);
        }
    }
}

fn write_key(key: &str, first: bool, out: &mut String) {
    if !first {
        out.push(',');
    }
    quote(key, out);
    out.push(':');
}

/// A JSON string (RFC 8259).
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ..' ' => {
                // Two hexadecimal digits.
                let digit = |n: u32| char::from_digit(n, 16).unwrap_or('0');
                out.push_str("\\u00");
                out.extend([digit(u32::from(c) >> 4), digit(u32::from(c) & 15)]);
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}
