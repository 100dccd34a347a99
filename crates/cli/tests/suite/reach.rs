//! `ringfence reach`: who can reach whom.

use crate::harness::{Run, repository, ringfence, town};

fn reach(args: &[&str]) -> Run {
    let input = ["reach", "--cluster", "cluster.yaml", "--policies", "policies.yaml"];
    ringfence(&town(), &[&input[..], args].concat())
}

#[test]
fn each_format() {
    for format in ["table", "json", "csv", "dot"] {
        let run = reach(&["-o", format]).expect(0);
        insta::assert_snapshot!(format!("reach-{format}"), run.all());
    }
}

#[test]
fn the_json_is_json_and_links_name_ends() {
    let answer = reach(&["-o", "json"]).expect(0).json();
    let ends: Vec<&serde_json::Value> =
        answer["ends"].as_array().unwrap().iter().map(|end| &end["id"]).collect();
    let links = answer["links"].as_array().unwrap();
    assert!(
        links.iter().all(|l| ends.contains(&&l["source"]) && ends.contains(&&l["destination"]))
    );
    // Nothing passes, and the answer is still whole.
    let none = reach(&["-n", "other", "--to", "-o", "json"]).expect(0).json();
    assert_eq!(none["links"].as_array().unwrap().len(), 0);
}

#[test]
fn a_focus_takes_its_part_of_all_pairs() {
    let all = reach(&["-o", "csv"]).expect(0).stdout;
    let part = |args: &[&str]| -> Vec<String> {
        let run = reach(&[args, &["-o", "csv"]].concat()).expect(0);
        run.stdout.lines().skip(1).map(str::to_owned).collect()
    };
    let expected = |keep: fn(&str, &str) -> bool| -> Vec<String> {
        let ends = |line: &str| {
            let (source, rest) = line.split_once(',').unwrap();
            let (destination, _) = rest.split_once(',').unwrap();
            keep(source, destination)
        };
        all.lines().skip(1).filter(|line| ends(line)).map(str::to_owned).collect()
    };
    assert_eq!(
        part(&["-n", "back"]),
        expected(|a, b| a.starts_with("back/") || b.starts_with("back/"))
    );
    assert_eq!(part(&["-n", "back", "--from"]), expected(|a, _| a.starts_with("back/")));
    assert_eq!(part(&["-n", "back", "--to"]), expected(|_, b| b.starts_with("back/")));
    let db = ["-n", "back", "--workload", "sts/db", "--to"];
    assert_eq!(part(&db), expected(|_, b| b == "back/StatefulSet/db"));
}

#[test]
fn plugins_differ_on_ip_blocks_and_pods() {
    let run = reach(&["--profile", "cilium", "-n", "back"]).expect(0);
    insta::assert_snapshot!("reach-cilium", run.stdout);
}

#[test]
fn the_shop() {
    let args = ["reach", "--cluster", "examples/shop/cluster", "-n", "shop"];
    insta::assert_snapshot!("reach-shop", ringfence(&repository(), &args).expect(0).all());
}

#[test]
fn what_is_not_there_is_told() {
    insta::assert_snapshot!(
        "reach-unknown-workload",
        reach(&["-n", "front", "--workload", "Deployment/wbe"]).expect(2).all()
    );
    insta::assert_snapshot!("reach-unknown-namespace", reach(&["-n", "fornt"]).expect(2).all());
    insta::assert_snapshot!("reach-from-and-to", reach(&["--from", "--to"]).expect(2).all());
    let run = ringfence(&town(), &["reach", "--cluster", "nowhere.yaml"]).expect(2);
    insta::assert_snapshot!("reach-no-cluster", run.all());
}

#[test]
fn what_is_open_to_pods_that_do_not_exist_yet() {
    for format in ["table", "json", "csv"] {
        let run = reach(&["--exposure", "-o", format]).expect(0);
        insta::assert_snapshot!(format!("reach-exposure-{format}"), run.all());
    }
    let run = reach(&["--exposure", "-o", "dot"]).expect(2);
    insta::assert_snapshot!("reach-exposure-dot", run.all());
    let inward = reach(&["--exposure", "--to", "-o", "csv"]).expect(0).stdout;
    assert!(inward.contains(",ingress,") && !inward.contains(",egress,"), "{inward}");
}
