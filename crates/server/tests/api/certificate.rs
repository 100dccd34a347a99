//! `docs/schemas/certificate.v1.json` describes the certificates that come out.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::server::Server;

/// The schema of certificates as a document of its own, out of the description of the API.
fn schema() -> Value {
    let api = serde_json::to_value(ringfence_server::api::document()).unwrap();
    let all = &api["components"]["schemas"];
    let mut wanted = vec!["Certificate".to_owned()];
    let mut found = Map::new();
    while let Some(name) = wanted.pop() {
        if !found.contains_key(&name) {
            let mut schema = all[&name].clone();
            point_inside(&mut schema, &mut wanted);
            found.insert(name, schema);
        }
    }
    let mut schema = found.remove("Certificate").unwrap();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Certificate");
    schema["$defs"] = Value::Object(found);
    schema
}

/// Makes references to components of the API references to `$defs`, and notes them.
fn point_inside(schema: &mut Value, wanted: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => {
                        let component = target.rsplit('/').next().unwrap_or_default().to_owned();
                        *target = format!("#/$defs/{component}");
                        wanted.push(component);
                    }
                    member => point_inside(member, wanted),
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                point_inside(element, wanted);
            }
        }
        _ => {}
    }
}

/// What is wrong with a value by a schema. Knows the words that the schema has, and no others.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (word, said) in schema.as_object().unwrap() {
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" => {}
            "$ref" => {
                let target = &root["$defs"][said.as_str().unwrap().rsplit('/').next().unwrap()];
                assert!(target.is_object(), "{said} leads nowhere");
                found.extend(faults(root, target, value, at));
            }
            "type" => {
                let types: Vec<&str> = match said {
                    Value::Array(types) => types.iter().map(|t| t.as_str().unwrap()).collect(),
                    one => vec![one.as_str().unwrap()],
                };
                if !types.iter().any(|name| is_a(value, name)) {
                    found.push(format!("{at}: {value} is not {said}"));
                }
            }
            "enum" => {
                if !said.as_array().unwrap().contains(value) {
                    found.push(format!("{at}: {value} is none of {said}"));
                }
            }
            "minimum" => {
                if value.as_f64().is_some_and(|n| n < said.as_f64().unwrap()) {
                    found.push(format!("{at}: {value} is less than {said}"));
                }
            }
            "oneOf" => {
                let fits = |schema: &&Value| faults(root, schema, value, at).is_empty();
                if said.as_array().unwrap().iter().filter(fits).count() != 1 {
                    found.push(format!("{at}: {value} is not just one of {said}"));
                }
            }
            "items" => {
                for (n, element) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(root, said, element, &format!("{at}/{n}")));
                }
            }
            "required" => {
                for name in said.as_array().unwrap() {
                    if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                        found.push(format!("{at}: {name} is missing"));
                    }
                }
            }
            "properties" => {
                // Members that the schema does not name would be a fault of its own.
                let named: BTreeSet<&String> = said.as_object().unwrap().keys().collect();
                for (name, member) in value.as_object().into_iter().flatten() {
                    if named.contains(name) {
                        found.extend(faults(root, &said[name], member, &format!("{at}/{name}")));
                    } else {
                        found.push(format!("{at}: {name} is not described"));
                    }
                }
            }
            "additionalProperties" | "propertyNames" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if word == "propertyNames" {
                        found.extend(faults(root, said, &json!(name), at));
                    } else {
                        found.extend(faults(root, said, member, &format!("{at}/{name}")));
                    }
                }
            }
            other => panic!("this test does not know the word {other}"),
        }
    }
    found
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("this test does not know the type {other}"),
    }
}

#[test]
fn the_committed_schema_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas/certificate.v1.json");
    let mut text = serde_json::to_string_pretty(&schema()).unwrap();
    text.push('\n');
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/schemas/certificate.v1.json is out of date: run this test with UPDATE_OPENAPI=1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_example_is_as_its_schema_says() {
    let schema = schema();
    let server = Server::start().await;
    let answer = server.get("/clusters/shop/policies?namespace=shop").await.ok();
    let certificate = &answer["certificate"];
    assert_eq!(faults(&schema, &schema, certificate, ""), Vec::<String>::new());
    // What is left out or misspelt is found.
    let mut broken = certificate.clone();
    broken["outcome"] = json!("PERHAPS");
    broken["kept"][0]["reason"]["code"] = json!("because");
    broken.as_object_mut().unwrap().remove("scope");
    assert_eq!(faults(&schema, &schema, &broken, "").len(), 3);
}
