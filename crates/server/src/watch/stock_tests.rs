use ringfence_kube::record::Record;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn record(kind: &'static str, name: &str, uid: &str, rest: &str) -> Record {
    let version = if kind == "ReplicaSet" { "apps/v1" } else { "v1" };
    let json = format!(
        "{{\"apiVersion\":\"{version}\",\"kind\":\"{kind}\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"a\",\
         \"uid\":\"{uid}\"{rest}}}"
    );
    Record {
        kind,
        namespace: Some(Name::new("a").unwrap()),
        name: Name::new(name).unwrap(),
        uid: uid.into(),
        json: json.into(),
    }
}

fn pod(name: &str, uid: &str, ip: &str, container_statuses: &str) -> Record {
    let rest = format!(
        ",\"ownerReferences\":[{{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"r\",\
         \"controller\":true}}]}},\"status\":{{\"phase\":\"Running\",\"podIP\":\"{ip}\",\
         \"startTime\":\"2026-03-02T01:00:00Z\",\"containerStatuses\":[{container_statuses}]}}"
    );
    record("Pod", name, uid, &rest)
}

fn stock() -> Stock {
    Stock::new(&Name::new("c").unwrap())
}

/// `kind name uid: +` or `-` for each change.
fn shown(changes: impl IntoIterator<Item = ObjectChange>) -> Vec<String> {
    let show = |change: ObjectChange| {
        let ObjectKey { kind, name, uid, .. } = change.key;
        format!("{kind} {name} {uid}: {}", if change.json.is_some() { '+' } else { '-' })
    };
    changes.into_iter().map(show).collect()
}

#[test]
fn only_what_is_read_is_a_change() {
    let mut stock = stock();
    assert_eq!(shown(stock.there(pod("p", "1", "10.0.0.1", ""), at(1))), ["Pod p 1: +"]);
    assert!(stock.there(pod("p", "1", "10.0.0.1", ""), at(2)).is_empty());
    // Read of terminated pods only.
    let crashed = r#"{"state":{"terminated":{"finishedAt":"2026-03-02T01:00:09Z"}}}"#;
    assert!(stock.there(pod("p", "1", "10.0.0.1", crashed), at(3)).is_empty());
    assert_eq!(shown(stock.there(pod("p", "1", "10.0.0.2", ""), at(4))), ["Pod p 1: +"]);
}

#[test]
fn a_name_used_again_is_another_object() {
    let mut stock = stock();
    stock.there(pod("p", "1", "10.0.0.1", ""), at(1));
    let changes = stock.there(pod("p", "2", "10.0.0.2", ""), at(5));
    assert_eq!(shown(changes), ["Pod p 1: -", "Pod p 2: +"]);
    // A late word about the first says nothing about the second.
    assert_eq!(stock.gone(pod("p", "1", "10.0.0.1", ""), at(6)), None);
    let (objects, _) = stock.objects();
    let ended: Vec<_> = objects.pods.iter().map(|pod| (pod.phase, pod.ended)).collect();
    assert_eq!(ended, [(Phase::Running, None), (Phase::Succeeded, Some(at(5)))]);
    assert_eq!(shown(stock.gone(pod("p", "2", "10.0.0.2", ""), at(7))), ["Pod p 2: -"]);
}

#[test]
fn a_listing_finds_what_is_gone() {
    let mut stock = stock();
    for name in ["p", "q", "r"] {
        stock.there(pod(name, name, "10.0.0.1", ""), at(1));
    }
    stock.there(record("Namespace", "p", "n", "}"), at(1));
    stock.listing("Pod");
    stock.there(pod("q", "q", "10.0.0.1", ""), at(2));
    // Broken off and begun anew.
    stock.listing("Pod");
    stock.there(pod("r", "r", "10.0.0.1", ""), at(3));
    assert_eq!(shown(stock.listed("Pod", at(4))), ["Pod p p: -", "Pod q q: -"]);
    let (objects, _) = stock.objects();
    assert_eq!(objects.namespaces.len(), 1, "other kinds stay");
}

#[test]
fn pods_keep_the_owner_of_an_owner_that_is_gone() {
    let set = |owner: &str| {
        let rest = format!(
            ",\"ownerReferences\":[{{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"{owner}\",\
             \"controller\":true}}]}},\"spec\":{{\"selector\":{{}},\"template\":{{}}}}"
        );
        record("ReplicaSet", "r", "s", &rest)
    };
    let owner_of = |stock: &Stock| {
        let (objects, _) = stock.objects();
        let owners = objects.pods.iter().filter_map(|pod| pod.owner.clone());
        owners.map(|owner| format!("{} {}", owner.kind, owner.name)).collect::<Vec<_>>()
    };
    let mut stock = stock();
    stock.there(set("d"), at(1));
    stock.there(pod("p", "1", "10.0.0.1", ""), at(1));
    assert_eq!(owner_of(&stock), ["ReplicaSet r"]);
    stock.gone(set("d"), at(2));
    assert_eq!(owner_of(&stock), ["Deployment d"]);
    stock.gone(pod("p", "1", "10.0.0.1", ""), at(3));
    assert_eq!(owner_of(&stock), ["Deployment d"]);
    // The owners are forgotten first only where nobody needs them any longer.
    assert!(stock.expire(Instant::now() + KEEP_GONE));
    assert!(stock.objects().0.pods.is_empty());
    assert!(stock.expire(Instant::now() + KEEP_OWNERS));
    assert!(!stock.expire(Instant::now() + KEEP_OWNERS));
}

#[test]
fn findings_are_bounded() {
    let mut stock = stock();
    for n in 0..300 {
        let mut bad = pod(&format!("p{n}"), "1", "10.0.0.999", "");
        bad.uid = n.to_string().into();
        assert_eq!(stock.there(bad, at(1)).len(), 1, "it is stored as it came");
    }
    let (objects, findings) = stock.objects();
    assert!(objects.pods.is_empty());
    assert_eq!(findings.len(), MOST_FINDINGS + 1);
    assert_eq!(findings[MOST_FINDINGS].message, "100 more findings about objects are not shown");
}

/// The store keeps order by the order of arrival: a clock that jumps back neither loses nor revives anything.
#[test]
fn a_clock_that_jumps_back_changes_nothing() {
    use ringfence_model::Span;
    use ringfence_store::{Sqlite, Store as _};
    let cluster = Name::new("c").unwrap();
    let store = Sqlite::in_memory().unwrap();
    let mut stock = stock();
    let mut now = 1_000_000;
    for n in 0..6 {
        // An hour back every other time.
        now += if n % 2 == 0 { -3600 } else { 60 };
        let p = pod("p", "1", &format!("10.0.0.{n}"), "");
        store.record_objects(&cluster, &stock.there(p, at(now))).unwrap();
    }
    let q = pod("q", "2", "10.0.1.1", "");
    store.record_objects(&cluster, &stock.there(q.clone(), at(now + 60))).unwrap();
    let gone: Vec<_> = stock.gone(q, at(now - 3600)).into_iter().collect();
    store.record_objects(&cluster, &gone).unwrap();
    let mut again = self::stock();
    again.restore(store.objects(&cluster, Span::ALL).unwrap(), Timestamp::MAX);
    let live = |stock: &Stock| {
        let pods = stock.objects().0.pods.into_iter().filter(|pod| !pod.phase.is_terminated());
        pods.map(|pod| (pod.reference, pod.ips)).collect::<Vec<_>>()
    };
    assert_eq!(live(&again), live(&stock));
    assert_eq!(live(&again).len(), 1);
}
