//! `ringfence explain`: the rules that decide, what came near, and what would help.

use crate::harness::{Run, ringfence, town};

fn explain(args: &[&str]) -> Run {
    let input = ["explain", "--cluster", "cluster.yaml", "--policies", "policies.yaml"];
    ringfence(&town(), &[&input[..], args].concat())
}

#[test]
fn an_allowed_connection_names_its_rules() {
    let run = explain(&["front/Deployment/proxy", "front/Deployment/web", "80"]).expect(0);
    insta::assert_snapshot!("explain-allowed", run.all());
}

#[test]
fn a_denied_connection_names_what_came_near_and_what_would_help() {
    let cases = [
        ("pod-label", ["front/Deployment/batch", "front/Deployment/web", "8080"]),
        ("namespace-label", ["other/Deployment/legacy", "back/StatefulSet/db", "5432"]),
        ("except", ["10.5.5.5", "front/Deployment/web", "8080"]),
        ("no-rules", ["front/Deployment/proxy", "other/Deployment/legacy", "80"]),
        ("both-ends", ["back/StatefulSet/db", "front/Deployment/web", "UDP/53"]),
    ];
    for (name, args) in cases {
        insta::assert_snapshot!(format!("explain-{name}"), explain(&args).expect(1).all());
    }
}

#[test]
fn for_machines() {
    let args = ["front/Deployment/batch", "front/Deployment/web", "8080", "-o", "json"];
    insta::assert_snapshot!("explain-json", explain(&args).expect(1).all());
}

#[test]
fn what_is_not_there_is_told() {
    for (name, args) in [
        ("unknown-pod", ["front/wbe", "front/Deployment/web", "80"]),
        ("unknown-workload", ["front/Deployment/wbe", "front/Deployment/web", "80"]),
        ("bad-port", ["front/Deployment/batch", "front/Deployment/web", "http"]),
    ] {
        insta::assert_snapshot!(format!("explain-{name}"), explain(&args).expect(2).all());
    }
}
