//! What goes into a store reads as what came.

use std::path::{Path, PathBuf};

use ringfence_kube::read::{Input, Reader};
use ringfence_model::Origin;
use ringfence_model::object::Objects;

fn manifests(below: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(below)? {
        let path = entry?.path();
        if path.is_dir() {
            manifests(&path, found)?;
        } else if ["yaml", "yml", "json"].iter().any(|e| path.extension().is_some_and(|x| x == *e))
        {
            found.push(path);
        }
    }
    Ok(())
}

/// The objects without the places they were read from.
fn placeless(mut objects: Objects) -> Objects {
    let Objects {
        namespaces,
        nodes,
        pods,
        controllers,
        services,
        endpoints,
        policies,
        cluster_policies,
        hosts,
    } = &mut objects;
    for object in namespaces {
        object.origin = Origin::default();
    }
    for object in nodes {
        object.origin = Origin::default();
    }
    for object in pods {
        object.origin = Origin::default();
    }
    for object in controllers {
        object.origin = Origin::default();
    }
    for object in services {
        object.origin = Origin::default();
    }
    for object in endpoints {
        object.origin = Origin::default();
    }
    for policy in policies {
        policy.origin = Origin::default();
        let rules = [&mut policy.ingress, &mut policy.egress].into_iter().flatten().flatten();
        rules.for_each(|rule| rule.origin = Origin::default());
    }
    for policy in cluster_policies {
        policy.origin = Origin::default();
        let rules = policy.ingress.iter_mut().chain(&mut policy.egress);
        rules.for_each(|rule| rule.origin = Origin::default());
    }
    for host in hosts {
        host.origin = Origin::default();
    }
    objects
}

/// Reads a file whole and by its records, and compares. Returns how many objects there were, and how many bytes the
/// file and the records have.
fn check(file: &Path) -> std::io::Result<(usize, usize, usize)> {
    let mut reader = Reader::recording();
    reader.path(file);
    let (Input { objects: whole, .. }, records) = reader.finish_recording();
    let mut reduced = Objects::default();
    let mut reader = Reader::new();
    let mut size = 0;
    for record in &records {
        size += record.json.len();
        let (object, diagnostics) = reader.object("record", &record.json);
        let errors = diagnostics.iter().any(|d| d.severity == ringfence_model::Severity::Error);
        assert!(!errors, "{}: {diagnostics:?} of {}", file.display(), record.json);
        reduced.extend(object);
        // A record of a record is the same record.
        let mut again = Reader::recording();
        again.bytes("record", record.json.as_bytes());
        assert_eq!(again.finish_recording().1, std::slice::from_ref(record));
    }
    let (whole, reduced) = (placeless(whole), placeless(reduced));
    assert_eq!(whole.namespaces, reduced.namespaces, "{}", file.display());
    assert_eq!(whole.nodes, reduced.nodes, "{}", file.display());
    assert_eq!(whole.pods, reduced.pods, "{}", file.display());
    assert_eq!(whole.controllers, reduced.controllers, "{}", file.display());
    assert_eq!(whole.services, reduced.services, "{}", file.display());
    assert_eq!(whole.endpoints, reduced.endpoints, "{}", file.display());
    assert_eq!(whole.policies, reduced.policies, "{}", file.display());
    assert_eq!(whole.cluster_policies, reduced.cluster_policies, "{}", file.display());
    assert_eq!(whole.hosts, reduced.hosts, "{}", file.display());
    Ok((records.len(), std::fs::read(file)?.len(), size))
}

#[test]
fn every_example_reads_the_same_from_records() {
    let mut files = Vec::new();
    for below in ["../../examples", "tests", "../cli/tests", "../policy/tests"] {
        manifests(&Path::new(env!("CARGO_MANIFEST_DIR")).join(below), &mut files).unwrap();
    }
    let objects: usize = files.iter().map(|file| check(file).unwrap().0).sum();
    assert!(objects > 100, "only {objects} objects were found");
}

#[test]
fn recorded_clusters_read_the_same_from_records() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    if !data.exists() {
        println!("skipped: {} is missing", data.display());
        return;
    }
    let mut files = Vec::new();
    manifests(&data, &mut files).unwrap();
    let (mut objects, mut before, mut after) = (0, 0, 0);
    for file in files {
        let (count, size, reduced) = check(&file).unwrap();
        objects += count;
        before += size;
        after += reduced;
    }
    println!("{objects} objects, {before} bytes of files, {after} bytes of records");
}

/// A case for every field that is read, in shapes that the files may lack.
#[test]
fn rare_fields_are_kept() {
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"n","uid":"u1",
        "resourceVersion":"7","generateName":"p-","labels":{"a\"b":"c\\d\u0001","status":"x","kind":null},
        "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"u2","controller":true}],
        "creationTimestamp":"2026-03-02T01:00:00Z","managedFields":[{}]},
        "spec":{"nodeName":"node-1","hostNetwork":false,"volumes":[{}],"initContainers":[{"name":"i",
        "ports":[{"name":"dns","protocol":"UDP","containerPort":53,"hostPort":5}]}],
        "containers":[{"name":"c","image":"x","command":["/c"],"args":["--a=1"],
        "livenessProbe":{"httpGet":{"port":"web","path":"/"}},"readinessProbe":{"tcpSocket":{"port":81}},
        "startupProbe":{"grpc":{"port":82}},"ports":[{"name":"web","containerPort":80}]}]},
        "status":{"phase":"Succeeded","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}],
        "startTime":"2026-03-02T01:00:01Z","containerStatuses":[{"name":"c","restartCount":3,
        "state":{"terminated":{"exitCode":0,"finishedAt":"2026-03-02T01:00:09Z"}}}]}}"#;
    let mut reader = Reader::recording();
    reader.bytes("pod", pod.as_bytes());
    let (input, records) = reader.finish_recording();
    assert_eq!(input.diagnostics, []);
    let json = &*records[0].json;
    assert!(!json.contains("resourceVersion") && !json.contains("volumes"), "{json}");
    assert_eq!((records[0].kind, &*records[0].uid), ("Pod", "u1"));
    let (object, diagnostics) = Reader::new().object("pod", json);
    assert_eq!(diagnostics, []);
    let mut again = Objects::default();
    again.extend(object);
    assert_eq!(placeless(again).pods, placeless(input.objects).pods);
}
