//! Machines outside Kubernetes, described by files and by their agents.

use ringfence_kube::read::Reader;
use ringfence_kube::record::host as record;
use ringfence_model::object::Host;
use ringfence_model::{Labels, Origin};

fn read(text: &str) -> (Vec<Host>, Vec<String>) {
    let mut reader = Reader::new();
    reader.bytes("host.yaml", text.as_bytes());
    let input = reader.finish();
    (input.objects.hosts, input.diagnostics.iter().map(ToString::to_string).collect())
}

#[test]
fn a_host_is_written_by_hand() {
    let (hosts, findings) = read(
        "apiVersion: ringfence.dev/v1alpha1
kind: Host
metadata:
  name: db-1
  labels: {tier: db}
spec:
  addresses: [192.0.2.10, '2001:db8::10', '::ffff:192.0.2.11']
",
    );
    assert_eq!(findings, <[&str; 0]>::default());
    let expected = Host {
        name: "db-1".parse().unwrap(),
        labels: Labels::from_iter([("tier", "db")]),
        addresses: ["192.0.2.10", "2001:db8::10", "192.0.2.11"]
            .map(|ip| ip.parse().unwrap())
            .to_vec(),
        system: None,
        origin: Origin::new("host.yaml", 1),
    };
    assert_eq!(hosts, [expected]);
}

#[test]
fn addresses_that_name_nobody_are_faults() {
    for (bad, why) in [
        ("127.0.0.1", "127.0.0.1 is no address under which others know a host"),
        ("169.254.0.1", "is no address under which others know a host"),
        ("fe80::1", "is no address under which others know a host"),
        ("0.0.0.0", "is no address under which others know a host"),
        ("10.0.0.0/8", "is not an IP address"),
    ] {
        let (hosts, findings) = read(&format!(
            "apiVersion: ringfence.dev/v1alpha1\nkind: Host\nmetadata: {{name: h}}\nspec: {{addresses: ['{bad}']}}"
        ));
        assert_eq!(hosts, []);
        assert!(findings[0].contains(why), "{findings:?}");
    }
    let (_, findings) = read(
        "apiVersion: ringfence.dev/v1alpha1\nkind: Host\nmetadata: {name: h}\nspec: {address: x}",
    );
    assert!(findings[0].contains("address"), "{findings:?}");
}

#[test]
fn what_an_agent_says_reads_as_it_was_said() {
    let host = Host {
        name: "web-1".parse().unwrap(),
        labels: Labels::from_iter([("owner", "a \"b\" \\ c\n"), ("site", "x")]),
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        system: Some("Debian GNU/Linux 12 (bookworm)".into()),
        origin: Origin::default(),
    };
    let bare = Host { labels: Labels::empty(), addresses: vec![], system: None, ..host.clone() };
    for host in [host, bare] {
        let mut reader = Reader::recording();
        reader.bytes("agent", record(&host).json.as_bytes());
        let (input, records) = reader.finish_recording();
        assert_eq!(input.diagnostics, []);
        let said = Host { origin: Origin::new("agent", 1), ..host.clone() };
        assert_eq!(input.objects.hosts, [said]);
        assert_eq!(records, [record(&host)]);
    }
}
