use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, SanType};
use ringfence_model::Timestamp;
use ringfence_store::{Sqlite, Store};
use rustls::pki_types::CertificateDer;

use super::{Authority, Enrolment, Issued, Order, Refusal, RequestFault, Terms};
use crate::auth::Secret;
use crate::ingest::AgentIdentity;
use crate::tls::ClientCertificate;

const HOUR: i64 = 3600;

/// Seconds after the tests begin.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + seconds)
}

fn agent(name: &str) -> AgentIdentity {
    name.parse().unwrap()
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn request(key: &KeyPair, uri: &str) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.serialize_request(key).unwrap().der().to_vec()
}

fn request_of(key: &KeyPair, agent: &str) -> Vec<u8> {
    request(key, &format!("spiffe://ringfence/agent/{agent}"))
}

struct Office {
    directory: tempfile::TempDir,
    store: Arc<Sqlite>,
    enrolment: Enrolment,
}

impl Office {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::in_memory().unwrap());
        let enrolment = open(directory.path(), &store);
        Self { directory, store, enrolment }
    }

    /// The server starts again.
    fn restart(self) -> Self {
        let Self { directory, store, enrolment } = self;
        drop(enrolment);
        let enrolment = open(directory.path(), &store);
        Self { directory, store, enrolment }
    }

    fn token(&self, cluster: &str, node: Option<&str>, uses: u32) -> Secret {
        let order = Order {
            cluster: cluster.parse().unwrap(),
            node: node.map(|node| node.parse().unwrap()),
            uses,
            expires: at(HOUR),
        };
        self.enrolment.make_token("alice", order, at(0)).unwrap()
    }

    fn enrol(&self, token: &Secret, name: &str, now: i64) -> Result<Issued, Refusal> {
        let request = request_of(&key(), name);
        self.enrolment.enrol(token.reveal(), &agent(name), &request, at(now))
    }

    fn counts(&self, name: &str, issued: &Issued) -> bool {
        self.enrolment.counts(&shown(issued), &agent(name))
    }
}

fn open(directory: &std::path::Path, store: &Arc<Sqlite>) -> Enrolment {
    let authority = Authority::own(&directory.join("agents-ca.key")).unwrap();
    let terms = Terms { lifetime: Duration::from_hours(24), grace: Duration::from_hours(24) };
    Enrolment::open(Arc::clone(store) as Arc<dyn Store>, authority, terms).unwrap()
}

fn shown(issued: &Issued) -> ClientCertificate {
    ClientCertificate::read(&issued.certificate).unwrap()
}

/// The refusal in its first words.
fn refused(answer: Result<Issued, Refusal>) -> String {
    let told = answer.map(|_| ()).unwrap_err().to_string();
    told.split(" (").next().unwrap_or_default().to_owned()
}

#[test]
fn a_token_brings_in_one_agent() {
    let office = Office::new();
    let token = office.token("prod", None, 1);
    let issued = office.enrol(&token, "prod/node-1", 60).unwrap();
    let shown = shown(&issued);
    assert_eq!(shown.uris, ["spiffe://ringfence/agent/prod/node-1"]);
    assert_eq!(shown.ends, at(60 + 24 * HOUR));
    assert!(office.counts("prod/node-1", &issued));
    assert!(!office.counts("prod/node-2", &issued), "it is for one agent");
    assert_eq!(refused(office.enrol(&token, "prod/node-2", 61)), "the token has been used up");
}

#[test]
fn a_token_for_many_counts_them() {
    let office = Office::new();
    let token = office.token("prod", None, 3);
    for node in ["prod/a", "prod/b", "prod/c"] {
        office.enrol(&token, node, 60).unwrap();
    }
    assert_eq!(refused(office.enrol(&token, "prod/d", 60)), "the token has been used up");
    let names: Vec<_> =
        office.enrolment.agents().into_iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["prod/a", "prod/b", "prod/c"]);
}

#[test]
fn a_token_counts_for_its_time_cluster_and_node() {
    let office = Office::new();
    let (any, one) = (office.token("prod", None, 9), office.token("prod", Some("node-1"), 1));
    for (token, name, now, told) in [
        (&any, "test/node-1", 60, "the token is for prod"),
        (&one, "prod/node-2", 60, "the token is for node node-1 of prod"),
        (&one, "prod/node-1", HOUR, "the token expired at 2026-09-21T15:13:20Z"),
        (&any, "prod/node-1", 48 * HOUR, "the token expired at 2026-09-21T15:13:20Z"),
    ] {
        assert_eq!(refused(office.enrol(token, name, now)), told, "{name} at {now}");
    }
    assert_eq!(
        refused(office.enrol(&Secret::token().unwrap(), "prod/node-1", 60)),
        "the token is not known here"
    );
    office.enrol(&one, "prod/node-1", HOUR - 1).unwrap();
    // Two days on, the one that brings somebody in sweeps out those that are long over.
    let order =
        Order { cluster: "prod".parse().unwrap(), node: None, uses: 1, expires: at(99 * HOUR) };
    let fresh = office.enrolment.make_token("alice", order, at(48 * HOUR)).unwrap();
    office.enrol(&fresh, "prod/node-3", 48 * HOUR).unwrap();
    assert_eq!(
        refused(office.enrol(&any, "prod/node-1", 48 * HOUR)),
        "the token is not known here"
    );
}

#[test]
fn a_forged_request_gets_nothing() {
    let office = Office::new();
    let token = office.token("prod", None, 1);
    let name = agent("prod/node-1");
    let ask = |request: &[u8]| match office.enrolment.enrol(token.reveal(), &name, request, at(60))
    {
        Err(Refusal::Request(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let own = key();
    let good = request_of(&own, "prod/node-1");
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(ask(&changed), RequestFault::Signature);
    // Somebody else's key under one's own signature.
    let place = good.windows(65).position(|part| part == own.public_key_raw()).unwrap();
    let mut stolen = good.clone();
    stolen[place..place + 65].copy_from_slice(key().public_key_raw());
    assert_eq!(ask(&stolen), RequestFault::Signature);
    let wanted = || RequestFault::Names("spiffe://ringfence/agent/prod/node-1".to_owned());
    assert_eq!(ask(&request_of(&own, "prod/node-2")), wanted());
    assert_eq!(ask(&request(&own, "https://prod/node-1")), wanted());
    assert_eq!(ask(CertificateParams::default().serialize_request(&own).unwrap().der()), wanted());
    for junk in [&b""[..], b"0", &[0x30; 64], &good[..good.len() / 2], &[0; 9000]] {
        assert!(matches!(ask(junk), RequestFault::Unreadable(_)), "{junk:?}");
    }
    // None of it has used the token.
    office.enrolment.enrol(token.reveal(), &name, &good, at(61)).unwrap();
}

#[test]
fn a_lost_answer_is_given_again() {
    let office = Office::new();
    let token = office.token("prod", None, 1);
    let (name, own) = (agent("prod/node-1"), key());
    let ask = |office: &Office, key: &KeyPair, now| {
        let request = request_of(key, "prod/node-1");
        office.enrolment.enrol(token.reveal(), &name, &request, at(now))
    };
    let lost = ask(&office, &own, 60).unwrap();
    let office = office.restart();
    let second = ask(&office, &own, 90).unwrap();
    assert!(office.counts("prod/node-1", &second));
    assert!(!office.counts("prod/node-1", &lost), "nobody has it");
    assert_eq!(refused(ask(&office, &key(), 91)), "the token has been used up", "another key");
    office.enrolment.remove("alice", &name, at(92)).unwrap();
    assert_eq!(refused(ask(&office, &own, 93)), "the token has been used up", "removed since");
}

#[test]
fn who_was_removed_comes_back_with_a_later_token_only() {
    let office = Office::new();
    let before = office.token("prod", None, 9);
    let first = office.enrol(&before, "prod/node-1", 60).unwrap();
    assert!(office.enrolment.remove("alice", &agent("prod/node-1"), at(61)).unwrap());
    assert!(!office.counts("prod/node-1", &first));
    assert!(office.enrolment.agents().is_empty());
    let office = office.restart();
    let told = "prod/node-1 was removed after the token was made";
    assert_eq!(refused(office.enrol(&before, "prod/node-1", 62)), told);
    let order = Order { cluster: "prod".parse().unwrap(), node: None, uses: 1, expires: at(HOUR) };
    let after = office.enrolment.make_token("alice", order, at(63)).unwrap();
    let second = office.enrol(&after, "prod/node-1", 64).unwrap();
    assert!(!office.counts("prod/node-1", &first) && office.counts("prod/node-1", &second));
}

#[test]
fn of_two_with_the_same_token_one_gets_in() {
    let office = Office::new();
    let token = office.token("prod", None, 1);
    let names: Vec<String> = (0..8).map(|n| format!("prod/node-{n}")).collect();
    let got_in = std::thread::scope(|scope| {
        let (office, token) = (&office, &token);
        let ask = |name| scope.spawn(move || office.enrol(token, name, 60).is_ok());
        let asked: Vec<_> = names.iter().map(|name| ask(name)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).filter(|&ok| ok).count()
    });
    assert_eq!(got_in, 1);
    assert_eq!(office.enrolment.agents().len(), 1);
}

#[test]
fn a_token_for_any_node_replaces_nobody() {
    let office = Office::new();
    let any = office.token("prod", None, 9);
    let first = office.enrol(&any, "prod/node-1", 60).unwrap();
    assert_eq!(refused(office.enrol(&any, "prod/node-1", 61)), "prod/node-1 is enrolled already");
    assert!(office.counts("prod/node-1", &first));
    let own = office.token("prod", Some("node-1"), 1);
    let second = office.enrol(&own, "prod/node-1", 62).unwrap();
    assert!(!office.counts("prod/node-1", &first) && office.counts("prod/node-1", &second));
}

#[test]
fn a_certificate_is_renewed_by_the_one_before() {
    let office = Office::new();
    let token = office.token("prod", None, 1);
    let name = agent("prod/node-1");
    let first = office.enrol(&token, "prod/node-1", 0).unwrap();
    let renew = |office: &Office, before: &Issued, now| {
        let request = request_of(&key(), "prod/node-1");
        office.enrolment.renew(&shown(before), &name, &request, at(now))
    };
    let second = renew(&office, &first, 16 * HOUR).unwrap();
    assert_eq!(shown(&second).ends, at(40 * HOUR));
    assert!(office.counts("prod/node-1", &first), "its stream goes on until it ends");
    let office = office.restart();
    assert!(office.counts("prod/node-1", &first) && office.counts("prod/node-1", &second));
    let third = renew(&office, &second, 32 * HOUR).unwrap();
    assert!(!office.counts("prod/node-1", &first), "it has ended");
    assert!(renew(&office, &first, 33 * HOUR).is_err());
    office.enrolment.remove("alice", &name, at(34 * HOUR)).unwrap();
    let told =
        "the certificate does not count here: the agent was removed, or enrolled anew elsewhere";
    assert_eq!(refused(renew(&office, &third, 35 * HOUR)), told);
    assert!(!office.counts("prod/node-1", &third));
}

#[test]
fn a_certificate_that_has_ended_is_renewed_with_its_key_for_a_day() {
    let office = Office::new();
    let token = office.token("prod", None, 1);
    let (name, own) = (agent("prod/node-1"), key());
    let request = request_of(&own, "prod/node-1");
    let first = office.enrolment.enrol(token.reveal(), &name, &request, at(0)).unwrap();
    let ask = |certificate: &CertificateDer<'_>, key: &KeyPair, now| {
        let request = request_of(key, "prod/node-1");
        office.enrolment.renew_ended(certificate, &request, at(now))
    };
    let ended = &first.certificate;
    assert!(matches!(ask(ended, &key(), 25 * HOUR), Err(Refusal::Request(RequestFault::OtherKey))));
    assert!(matches!(ask(ended, &own, 48 * HOUR + 1), Err(Refusal::EndedCertificate(_))));
    let second = ask(ended, &own, 48 * HOUR).unwrap();
    assert!(office.counts("prod/node-1", &second));
    // The answer was lost, and the agent asks again.
    let third = ask(ended, &own, 48 * HOUR).unwrap();
    ask(&third.certificate, &own, 72 * HOUR + 1).unwrap();
    // One that another authority has signed stands in no registry.
    let foreign = CertificateParams::default().self_signed(&own).unwrap();
    assert!(matches!(ask(foreign.der(), &own, 60), Err(Refusal::UnknownCertificate)));
    assert!(matches!(ask(&b"junk"[..].into(), &own, 60), Err(Refusal::UnknownCertificate)));
}

#[test]
fn clocks_may_differ_by_some_minutes() {
    let office = Office::new();
    let token = office.token("prod", None, 1);
    let issued = office.enrol(&token, "prod/node-1", 0).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&issued.certificate).unwrap();
    let validity = certificate.validity();
    assert_eq!(Timestamp::from_secs(validity.not_before.timestamp()), at(-300));
    assert_eq!(Timestamp::from_secs(validity.not_after.timestamp()), at(24 * HOUR));
    assert_eq!(issued.lifetime, Duration::from_hours(24), "told without either clock");
}

#[test]
fn a_certificate_is_good_for_nothing_else() {
    let office = Office::new();
    let token = office.token("prod", None, 1);
    let issued = office.enrol(&token, "prod/node-1", 0).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&issued.certificate).unwrap();
    assert!(!certificate.is_ca());
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let (_, authority) =
        x509_parser::parse_x509_certificate(office.enrolment.authority().certificate()).unwrap();
    certificate.verify_signature(Some(authority.public_key())).unwrap();
}

#[test]
fn everything_is_in_the_audit_trail_and_no_secret_is() {
    let office = Office::new();
    let token = office.token("prod", None, 1);
    let name = agent("prod/node-1");
    let issued = office.enrol(&token, "prod/node-1", 1).unwrap();
    office.enrol(&token, "prod/node-2", 2).unwrap_err();
    let request = request_of(&key(), "prod/node-1");
    office.enrolment.renew(&shown(&issued), &name, &request, at(3)).unwrap();
    assert!(office.enrolment.remove("bob", &name, at(4)).unwrap());
    assert!(!office.enrolment.remove("bob", &name, at(5)).unwrap());
    let mut trail = office.store.audit_trail(Timestamp::MAX, 10).unwrap();
    trail.reverse();
    let told: Vec<_> =
        trail.iter().map(|e| format!("{} {} {}", e.who, e.action, e.object)).collect();
    assert_eq!(
        told,
        [
            "alice agent.token prod",
            "prod/node-1 agent.enrol prod/node-1",
            "prod/node-2 agent.refuse prod/node-2",
            "prod/node-1 agent.renew prod/node-1",
            "bob agent.remove prod/node-1",
        ]
    );
    assert!(
        trail[0].detail.ends_with("for any node of prod, 0 of 1 uses, until 2026-09-21T15:13:20Z")
    );
    let kept = format!("{trail:?} {:?}", office.store.settings("").unwrap());
    assert!(!kept.contains(token.reveal().trim_start_matches("rf_")), "{kept}");
}

#[cfg(unix)]
#[test]
fn the_key_that_signs_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let office = Office::new();
    let path = office.directory.path().join("agents-ca.key");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let before = office.enrolment.authority().certificate().clone();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let told = Authority::own(&path).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("(mode 640)"), "{told}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let again = Authority::own(&path).unwrap();
    let subject = |der: &CertificateDer<'_>| {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).unwrap();
        (parsed.subject().as_raw().to_vec(), parsed.public_key().raw.to_vec())
    };
    assert_eq!(subject(again.certificate()), subject(&before));
    std::fs::write(&path, "junk").unwrap();
    assert!(Authority::own(&path).is_err());
}
