use std::path::Path;

use super::{Access, Config, Flags};

fn parse(text: &str) -> Result<Config, String> {
    let flags = Flags { listen: None, store: None };
    Config::parse(text, Path::new("/etc/ringfence/ringfence.yaml"), &flags)
        .map_err(|error| error.to_string())
}

fn faults(text: &str) -> String {
    parse(text).expect_err("a faulty configuration")
}

const WHOLE: &str = "\
listen: 0.0.0.0:8470
publicUrl: https://ringfence.example.org
store: /var/lib/ringfence/ringfence.db
tls:
  certificate: tls/tls.crt
  key: tls/tls.key
  clientCa: tls/agents.crt
authentication:
  tokens: tokens.yaml
  sessionMinutes: 60
  oidc:
    issuer: https://login.example.org/realms/main
    clientId: ringfence
    clientSecretFile: oidc.secret
    scopes: [email, groups]
    roleClaim: groups
    roles:
      viewer: [everybody]
      admin: [platform]
clusters:
  - name: prod
    context: prod-admin
  - name: here
    inCluster: true
flows:
  directories:
    - cluster: prod
      path: /var/lib/ringfence/flows
  relays:
    - cluster: prod
      address: https://hubble-relay.kube-system:443
      ca: relay-ca.crt
      certificate: relay.crt
      key: relay.key
agents:
  ca:
    certificate: agents-ca.crt
    key: agents-ca.key
  certificateHours: 12
limits:
  requestsPerSecond: 10
retention:
  days: 30
";

#[test]
fn the_whole_file() {
    let config = parse(WHOLE).expect("a good configuration");
    assert_eq!(
        config.tls.as_ref().map(|tls| tls.key.as_path()),
        Some(Path::new("/etc/ringfence/tls/tls.key"))
    );
    assert_eq!(config.clusters[1].access, Access::InCluster);
    assert_eq!(config.limits.rate, 10);
    let ca = config.agents.ca.map(|ca| ca.key);
    assert_eq!(ca.as_deref(), Some(Path::new("/etc/ringfence/agents-ca.key")));
    assert_eq!(config.agents.terms.lifetime.as_secs(), 12 * 3600);
    assert_eq!(config.agents.terms.grace.as_secs(), 7 * 24 * 3600);
    assert_eq!(config.session.as_secs(), 3600);
    assert!(config.tokens.is_some() && config.oidc.is_some());
}

#[test]
fn nothing_is_a_configuration() {
    for text in ["", "# only a comment\n", "{}"] {
        let config = parse(text).expect("the defaults");
        assert_eq!(config.listen, super::DEFAULT_LISTEN);
        assert!(!config.authenticates());
    }
}

#[test]
fn flags_override() {
    let flags = Flags { listen: "127.0.0.1:1".parse().ok(), store: Some("a.db".into()) };
    let config = Config::parse(WHOLE, Path::new("x.yaml"), &flags).expect("a good configuration");
    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.store, Path::new("a.db"));
}

#[test]
fn outside_needs_tls_and_authentication() {
    insta::assert_snapshot!(faults("\nlisten: 0.0.0.0:8470\n"));
    let flags = Flags { listen: "[::]:8470".parse().ok(), store: None };
    let error = Config::parse("", Path::new(""), &flags).expect_err("open to everybody");
    insta::assert_snapshot!(error.to_string());
    let with_tls = "listen: 10.0.0.1:8470\ntls: {certificate: a, key: b}\n";
    insta::assert_snapshot!(faults(with_tls));
    insta::assert_snapshot!(faults("listen: 10.0.0.1:8470\nauthentication: {tokens: t}\n"));
    let both =
        "listen: 10.0.0.1:8470\ntls: {certificate: a, key: b}\nauthentication: {tokens: t}\n";
    parse(both).expect("TLS and authentication");
    for loopback in ["127.0.0.1:1", "127.8.9.1:1", "'[::1]:1'"] {
        parse(&format!("listen: {loopback}")).expect("loopback needs neither");
    }
}

#[test]
fn all_faults_at_once() {
    insta::assert_snapshot!(faults(
        "\
listen: localhost
publicUrl: http://ringfence.example.org/ui
authentication:
  sessionMinutes: 0
  oidc:
    issuer: http://login.example.org
    clientId: ringfence
    roleClaim: groups
    roles:
      root: [platform]
clusters:
  - name: Prod!
  - name: a
    inCluster: true
    context: b
  - name: a
flows:
  relays:
    - cluster: a
      address: hubble:80
    - cluster: a
      address: http://hubble:80
      certificate: c
agents:
  certificateHours: 0
limits:
  connections: 0
retention:
  days: 0
"
    ));
}

#[test]
fn a_relay_may_have_another_name() {
    let relay = |text: &str| format!("flows:\n  relays:\n  - {{cluster: a, {text}}}\n");
    let named = parse(&relay("address: https://10.0.0.1:443, serverName: relay.example.org"));
    let named = named.expect("it is a name").relays.remove(0);
    assert_eq!(named.server_name.as_deref(), Some("relay.example.org"));
    let fault = faults(&relay("address: https://10.0.0.1:443, serverName: 'a b'"));
    assert!(fault.contains(r#"flows.relays.serverName: "a b" is not a DNS name"#), "{fault}");
    let fault = faults(&relay("address: http://10.0.0.1:80, serverName: relay.example.org"));
    assert!(fault.contains("certificates are for https:// addresses"), "{fault}");
}

#[test]
fn what_the_reader_refuses() {
    insta::assert_snapshot!(faults("listen: 127.0.0.1:1\nlisen: x\n"));
    insta::assert_snapshot!(faults("tls:\n  certificate: a\n"));
    insta::assert_snapshot!(faults("limits:\n  burst: many\n"));
    insta::assert_snapshot!(faults("clusters: [\n"));
}
