//! JSON values as YAML, in the layout that `kubectl get -o yaml` prints.

use std::fmt::Write as _;

use serde_json::Value;

/// A document; keys are sorted, as the API machinery does.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            // Sorted here, for the order of the map depends on a Cargo feature.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (index, (key, value)) in entries.into_iter().enumerate() {
                // The first key of a list item follows its dash.
                if index > 0 || out.is_empty() || out.ends_with('\n') {
                    pad(indent, out);
                }
                out.push_str(&scalar(key));
                out.push(':');
                // Lists stand at the indent of their key, maps two further.
                let inner = if value.is_array() { indent } else { indent + 2 };
                nested(value, inner, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                pad(indent, out);
                out.push('-');
                if is_empty(item) || !item.is_object() {
                    nested(item, indent + 2, out);
                } else {
                    out.push(' ');
                    block(item, indent + 2, out);
                }
            }
        }
        _ => {
            let _ = writeln!(out, "{}", leaf(value));
        }
    }
}

fn nested(value: &Value, indent: usize, out: &mut String) {
    if is_empty(value) || !(value.is_object() || value.is_array()) {
        let _ = writeln!(out, " {}", leaf(value));
    } else {
        out.push('\n');
        block(value, indent, out);
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        Value::String(text) => scalar(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A string, quoted unless no reader of YAML 1.1 or 1.2 can take it for something else.
fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./:=, ".contains(c);
    let starts_plainly =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') || text.starts_with("--");
    let reserved = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"]
        .contains(&text.to_ascii_lowercase().as_str());
    let plain = starts_plainly
        && !reserved
        && text.chars().all(word)
        && !text.contains(": ")
        && !text.ends_with([':', ' ']);
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prints_the_layout_of_kubectl() {
        let value = json!({
            "kind": "List",
            "items": [
                { "spec": { "args": ["--a=b:1", "-", "1e3", "no"], "empty": {}, "none": [] }, "replicas": 1, "b": true },
                { "podSelector": {} },
                {},
                "plain text",
            ],
            "schedule": "30 1 * * *",
        });
        assert_eq!(
            document(&value),
            concat!(
                "items:\n",
                "- b: true\n",
                "  replicas: 1\n",
                "  spec:\n",
                "    args:\n",
                "    - --a=b:1\n",
                "    - \"-\"\n",
                "    - \"1e3\"\n",
                "    - \"no\"\n",
                "    empty: {}\n",
                "    none: []\n",
                "- podSelector: {}\n",
                "- {}\n",
                "- plain text\n",
                "kind: List\n",
                "schedule: \"30 1 * * *\"\n",
            )
        );
    }
}
