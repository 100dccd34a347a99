//! Backups, and what leaves with an archive and comes back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::fs;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use ringfence_model::{Name, Timestamp};
use ringfence_store::{
    Access, Advance, Arrivals, AuditEntry, Ledger, Options, Record, Retention, SourceKey,
    SourceKind, Sqlite, Store, StoreError,
};
use support::answers::{all, answers};
use support::random::Deed;
use support::{at, counted, name, random, tcp, workload};

fn export(store: &Sqlite, cluster: &Name) -> Vec<Record> {
    let mut records = Vec::new();
    let end = store.export(cluster, &mut |record| {
        records.push(record);
        ControlFlow::Continue(())
    });
    assert!(end.unwrap().is_continue());
    records
}

fn import(store: &Sqlite, cluster: &Name, records: Vec<Record>) {
    let mut import = store.import(cluster).unwrap();
    for record in records {
        import.add(record).unwrap();
    }
    import.finish().unwrap();
}

/// The audit entries about clusters or what is in them.
fn audit(store: &Sqlite) -> Vec<AuditEntry> {
    let clusters = store.clusters().unwrap();
    let is_of_cluster = |entry: &AuditEntry| {
        let cluster = entry.object.split('/').next().unwrap();
        clusters.iter().any(|name| name.as_str() == cluster)
    };
    let mut trail = store.audit_trail(Timestamp::MAX, 1000).unwrap();
    trail.retain(is_of_cluster);
    trail.sort_by(|a, b| (a.at, &a.object, &a.detail).cmp(&(b.at, &b.object, &b.detail)));
    trail
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_imported_store_answers_like_the_exported_one(
        deeds in vec(random::deed(), 0..30),
        more in vec(random::deed(), 0..5),
        keeps in (0..100_u32, 0..10_u32, 0..400_u32),
        queries in vec(random::query(), 8),
        windows in vec(random::window(), 4),
        rotation in 0..50_usize,
    ) {
        let (from, to) = (Sqlite::in_memory().unwrap(), Sqlite::in_memory().unwrap());
        for deed in &deeds {
            deed.apply(&from);
        }
        let retention = Retention {
            minutes_for: Duration::from_hours(keeps.0.into()),
            hours_for: Duration::from_hours(24 * u64::from(keeps.1)),
            age: Duration::from_hours(24 * u64::from(keeps.2)),
            size: None,
        };
        while !from.maintain(at("2026-03-04T12:34:56Z"), &retention).unwrap().is_done {}
        for cluster in from.clusters().unwrap() {
            let mut records = export(&from, &cluster);
            // Archives may have another order.
            let middle = rotation.min(records.len());
            records.rotate_left(middle);
            import(&to, &cluster, records);
        }
        for (found, expected) in
            answers(&to, &queries, &windows).iter().zip(answers(&from, &queries, &windows))
        {
            prop_assert_eq!(found, &expected);
        }
        prop_assert_eq!(audit(&to), audit(&from));
        // Both go on alike.
        for deed in more.iter().filter(|deed| !matches!(deed, Deed::Record(_))) {
            prop_assert_eq!(deed.apply(&to), deed.apply(&from));
        }
        prop_assert_eq!(answers(&to, &[], &windows), answers(&from, &[], &windows));
    }
}

fn one_edge(count: u64) -> Arrivals {
    let key = tcp(workload("shop/web"), workload("shop/cart"), 80);
    let edges = vec![counted(at("2026-03-02T10:00:00Z"), key, count)];
    Arrivals { edges, ..Arrivals::default() }
}

#[test]
fn an_import_is_seen_when_it_is_finished() {
    let (from, to) = (Sqlite::in_memory().unwrap(), Sqlite::in_memory().unwrap());
    from.record(&one_edge(3)).unwrap();
    let (prod, copy) = (name("prod"), name("copy"));
    let records = export(&from, &prod);
    // Given up halfway, after some of it was stored.
    let mut unfinished = to.import(&copy).unwrap();
    for record in records.iter().cycle().take(20_001) {
        unfinished.add(record.clone()).unwrap();
    }
    drop(unfinished);
    assert_eq!(to.clusters().unwrap(), []);
    assert_eq!(to.edges(&all(copy.clone())).unwrap(), []);
    import(&to, &copy, records.clone());
    assert_eq!(to.clusters().unwrap(), std::slice::from_ref(&copy));
    assert_eq!(to.edges(&all(copy.clone())).unwrap(), from.edges(&all(prod)).unwrap());
    let again = to.import(&copy).err();
    assert!(matches!(again, Some(StoreError::Exists { .. })), "{again:?}");
}

#[test]
fn an_export_ends_when_told_to() {
    let store = Sqlite::in_memory().unwrap();
    store.record(&one_edge(1)).unwrap();
    store
        .record(&Arrivals {
            edges: vec![counted(
                at("2026-03-02T11:00:00Z"),
                tcp(workload("a/a"), workload("b/b"), 1),
                1,
            )],
            ..Arrivals::default()
        })
        .unwrap();
    let mut seen = 0;
    let end = store.export(&name("prod"), &mut |_| {
        seen += 1;
        ControlFlow::Break(())
    });
    assert!(end.unwrap().is_break());
    assert_eq!(seen, 1);
}

#[test]
fn a_backup_is_of_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&directory.path().join("db"), &Options::default()).unwrap();
    let source = SourceKey { cluster: name("prod"), kind: SourceKind::Agent, name: "a".into() };
    let is_done = AtomicBool::new(false);
    let copies: Vec<_> = (0..5).map(|n| directory.path().join(format!("copy-{n}"))).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            for sequence in 1.. {
                let ledger = Ledger { received: 2, stored: 2, ..Ledger::default() };
                let advance = Advance {
                    source: source.clone(),
                    incarnation: 1,
                    sequence,
                    at: Timestamp::default(),
                    ledger,
                };
                let arrivals = Arrivals { advances: vec![advance], ..one_edge(2) };
                store.record(&arrivals).unwrap();
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for copy in &copies {
            store.backup(copy).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        // From another process, of which a reader here is as good as one.
        let path = store.path();
        let reader = Sqlite::open(path, &Options { access: Access::Read, ..Options::default() });
        reader.unwrap().backup(&directory.path().join("copy-by-reader")).unwrap();
        is_done.store(true, Ordering::Relaxed);
    });
    let mut before = 0;
    for copy in copies.iter().chain([&directory.path().join("copy-by-reader")]) {
        let copy = Sqlite::open(copy, &Options::default()).unwrap();
        let stored = copy.source(&source).unwrap().map_or(0, |state| state.ledger.stored);
        let edges = copy.edges(&all(name("prod"))).unwrap();
        assert_eq!(edges.first().map_or(0, |edge| edge.counts.alone.opened), stored);
        assert!(stored >= before);
        before = stored;
    }
    assert!(before > 0);
}

#[test]
fn a_backup_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::in_memory().unwrap();
    store.record(&one_edge(3)).unwrap();
    let path = directory.path().join("copy");
    fs::write(&path, "precious").unwrap();
    let error = store.backup(&path).unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let missing = store.backup(&directory.path().join("none/copy")).unwrap_err();
    assert!(matches!(missing, StoreError::File { .. }), "{missing:?}");
    fs::remove_file(&path).unwrap();
    store.backup(&path).unwrap();
    assert_eq!(
        Sqlite::open(&path, &Options::default()).unwrap().edges(&all(name("prod"))).unwrap(),
        store.edges(&all(name("prod"))).unwrap()
    );
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("unfinished")), "{names:?}");
}
