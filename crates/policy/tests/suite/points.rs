//! Where each point of the semantics is tested: in rows of the truth table where it concerns the engine, in tests of
//! other crates where it concerns reading, resolution, flows or generation.

use std::collections::BTreeSet;
use std::path::Path;

/// A point of the semantics.
struct Point {
    number: u8,
    about: &'static str,
    /// Whether rows of the truth table name it.
    rows: bool,
    /// Tests beside these, by file below `crates` and name.
    tests: &'static [(&'static str, &'static str)],
}

/// What nobody here claims anything about, and why.
const NOT_CLAIMED: [(u8, &str); 2] = [
    (32, "connections that are open when policies change: verdicts are about new ones"),
    (
        33,
        "whether a plugin enforces policies at all: objects do not say it; other dialects are named",
    ),
];

const fn row(number: u8, about: &'static str) -> Point {
    Point { number, about, rows: true, tests: &[] }
}

const fn both(
    number: u8,
    about: &'static str,
    tests: &'static [(&'static str, &'static str)],
) -> Point {
    Point { number, about, rows: true, tests }
}

const fn elsewhere(
    number: u8,
    about: &'static str,
    tests: &'static [(&'static str, &'static str)],
) -> Point {
    Point { number, about, rows: false, tests }
}

const TRUTH: &str = "policy/tests/suite/truth.rs";
const CONFORMANCE: &str = "policy/tests/suite/conformance.rs";
const PLACEMENT: &str = "policy/tests/suite/placement.rs";
const LINT: &str = "policy/tests/suite/lint.rs";
const OBJECTS: &str = "kube/tests/objects.rs";
const CLUSTER_POLICIES: &str = "kube/tests/cluster_policies.rs";
const MANIFEST: &str = "kube/tests/manifest.rs";
const RESOLVE: &str = "inventory/src/resolve_tests.rs";
const SERVICES: &str = "inventory/src/services_tests.rs";
const DNS: &str = "inventory/src/dns_tests.rs";
const SITUATIONS: &str = "flows/tests/situations.rs";
const REVIEW: &str = "cli/tests/suite/review.rs";
const SCENARIOS: &str = "cli/tests/suite/scenarios.rs";
const PROOF: &str = "cli/tests/suite/proof.rs";

const POINTS: [Point; 37] = [
    row(1, "both ends must agree"),
    row(2, "isolation by direction; policies add up"),
    both(3, "policyTypes left out", &[(OBJECTS, "policies_are_defaulted_as_the_server_does")]),
    both(4, "no rules deny all, an empty rule allows all", &[(OBJECTS, "empty_lists_are_any")]),
    both(
        5,
        "empty peers and ports are any",
        &[(MANIFEST, "rules_that_match_nothing_never_become_rules_that_match_all")],
    ),
    both(6, "AND in a peer, OR between peers", &[(LINT, "findings_about_selectors_and_peers")]),
    elsewhere(
        7,
        "selectors are made of lasting labels and never empty; who else matches is told",
        &[
            (REVIEW, "labels_are_chosen_by_the_review"),
            (
                REVIEW,
                "a_workload_whose_labels_are_all_excluded_gets_no_policy_rather_than_an_empty_selector",
            ),
            (PROOF, "a_workload_that_shares_labels_is_named_as_collateral"),
        ],
    ),
    row(8, "operators on missing keys"),
    both(
        9,
        "namespaces by their name",
        &[
            (OBJECTS, "namespaces_carry_their_name"),
            (SCENARIOS, "a_namespace_without_usable_labels_is_named_and_its_edges_forbidden"),
        ],
    ),
    both(10, "protocols and ports left out", &[(OBJECTS, "ports_of_policies")]),
    row(11, "endPort"),
    row(12, "named ports are the destination's"),
    both(13, "ports after translation", &[(SERVICES, "ports_lead_to_backends")]),
    both(
        14,
        "egress before or after translation",
        &[(REVIEW, "a_profile_whose_egress_is_judged_before_translation_is_warned_about")],
    ),
    elsewhere(
        15,
        "Services of every kind",
        &[
            (SERVICES, "ports_lead_to_backends"),
            (SERVICES, "services_that_select_nothing_are_told"),
            (OBJECTS, "services_are_defaulted"),
        ],
    ),
    row(16, "ipBlock against pods and nodes"),
    row(17, "except"),
    row(18, "two address families"),
    both(19, "host-network pods", &[(TRUTH, "addresses_belong_to_live_pods")]),
    row(20, "the own node"),
    both(
        21,
        "under which address a node is seen",
        &[(
            "inventory/src/residents_tests.rs",
            "nodes_have_the_addresses_of_their_host_network_pods",
        )],
    ),
    both(22, "a pod and itself", &[(CONFORMANCE, "the_own_node_and_the_pod_itself")]),
    row(23, "clients behind a node's address"),
    row(24, "node ports"),
    row(25, "the API server"),
    both(
        26,
        "name resolution",
        &[
            (DNS, "dns_services_by_namespace_name_and_selector"),
            (DNS, "node_local_dns_by_name_and_arguments"),
            (SCENARIOS, "egress_to_another_namespace_reaches_it_and_dns_only"),
        ],
    ),
    elsewhere(
        27,
        "domain names",
        &[
            (CONFORMANCE, "domain_names_are_not_resolved_and_accept_nothing"),
            (CLUSTER_POLICIES, "a_bad_policy_is_refused_as_a_whole_with_every_fault"),
        ],
    ),
    elsewhere(
        28,
        "ended pods have lost their addresses",
        &[(TRUTH, "addresses_belong_to_live_pods"), (RESOLVE, "addresses_resolve_by_the_moment")],
    ),
    elsewhere(
        29,
        "pods without an address, and gone ones",
        &[
            (PLACEMENT, "what_is_allowed_passes_whatever_the_address_is"),
            (RESOLVE, "observers_know_pods_better_than_addresses_do"),
        ],
    ),
    elsewhere(
        30,
        "owner chains",
        &[
            ("inventory/src/workload_tests.rs", "pods_roll_up_to_the_top"),
            ("inventory/src/owners_tests.rs", "names_of_gone_pods_point_to_their_controllers"),
            (OBJECTS, "static_pods_have_no_owner"),
        ],
    ),
    elsewhere(31, "containers of every kind", &[(OBJECTS, "pods_say_what_they_do_on_the_network")]),
    elsewhere(32, "open connections", &[]),
    elsewhere(
        33,
        "policies that nobody enforces",
        &[(OBJECTS, "policies_of_other_dialects_are_said_to_be_left_out")],
    ),
    elsewhere(
        34,
        "who opened a connection; two reports are one; denied is no need",
        &[(SITUATIONS, "hubble_situations"), (SITUATIONS, "record_situations")],
    ),
    elsewhere(35, "allowed, denied, unanswered", &[(SITUATIONS, "hubble_situations")]),
    elsewhere(
        36,
        "tiers and priorities",
        &[
            (CONFORMANCE, "tiers_work_together"),
            (CONFORMANCE, "lower_priorities_come_first"),
            (CONFORMANCE, "rules_count_in_their_order"),
            (CLUSTER_POLICIES, "the_limits_of_the_api_hold"),
        ],
    ),
    elsewhere(
        37,
        "peers of cluster-wide policies",
        &[
            (CONFORMANCE, "peers_and_ports_of_egress"),
            (CLUSTER_POLICIES, "peers_of_unknown_kind_fail_closed_and_are_said"),
            (CLUSTER_POLICIES, "the_older_kinds_read_as_the_new_one"),
        ],
    ),
];

#[test]
fn every_point_has_its_rows_or_tests() {
    let numbers: Vec<u8> = POINTS.iter().map(|point| point.number).collect();
    assert_eq!(numbers, (1..=37).collect::<Vec<u8>>());
    for Point { number, about, rows, tests } in &POINTS {
        let reason = NOT_CLAIMED.iter().any(|(n, _)| n == number);
        assert!(*rows || !tests.is_empty() || reason, "{number} ({about}) is tested nowhere");
    }
}

#[test]
fn the_truth_table_has_rows_of_its_points() {
    let expected: BTreeSet<String> =
        POINTS.iter().filter(|p| p.rows).map(|p| format!("{:02}", p.number)).collect();
    let rows = include_str!("truth.rs").split("point: \"").skip(1);
    let found: BTreeSet<String> = rows.map(|row| row.chars().take(2).collect()).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_tests_named_exist() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for Point { number, tests, .. } in &POINTS {
        for (file, test) in *tests {
            let text = std::fs::read_to_string(crates.join(file)).unwrap();
            let place = text.find(&format!("fn {test}("));
            let attribute =
                place.and_then(|place| text[..place].rfind("#[test]").map(|at| &text[at..place]));
            let is_test = attribute.is_some_and(|between| !between.contains('{'));
            assert!(is_test, "{number}: {file} has no test {test}");
        }
    }
}
