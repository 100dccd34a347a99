//! Full disks, damaged files, two processes, and files of others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use ringfence_model::{Span, Timestamp};
use ringfence_store::{
    Access, Arrivals, AuditEntry, NewReview, ObjectChange, ObjectKey, Options, Retention,
    ReviewKey, Sqlite, Store, StoreError,
};
use rusqlite::Connection;
use support::answers::{all, answers};
use support::{at, counted, name, tcp, workload};

fn open(path: &Path) -> Result<Sqlite, StoreError> {
    Sqlite::open(path, &Options::default())
}

/// An hour of 200 edges, so many hours after the beginning.
fn hour(n: i64) -> Arrivals {
    let at = Timestamp::from_nanos(at("2026-03-02T00:00:00Z").nanos() + n * 3_600_000_000_000);
    let key = |port| tcp(workload("shop/web"), workload("shop/cart"), port);
    let edges = (1..=200).map(|port| counted(at, key(port), 1)).collect();
    Arrivals { edges, ..Arrivals::default() }
}

fn total(store: &Sqlite) -> u64 {
    store.edges(&all(name("prod"))).unwrap().iter().map(|edge| edge.counts.alone.opened).sum()
}

#[test]
fn a_full_disk_loses_nothing_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store =
        Sqlite::open(&path, &Options { limit: Some(1_000_000), ..Options::default() }).unwrap();
    let mut stored = 0;
    let error = (0..1_000).find_map(|n| match store.record(&hour(n)) {
        Ok(()) => {
            stored += 200;
            None
        }
        Err(error) => Some(error),
    });
    assert!(matches!(error, Some(StoreError::DiskFull(_))), "{error:?}");
    assert_eq!(total(&store), stored);
    let hours = i64::try_from(stored / 200).unwrap();
    assert!(matches!(store.record(&hour(hours)), Err(StoreError::DiskFull(_))));
    assert_eq!(total(&store), stored);
    // Room is made, and the same store goes on, with no number left over from what was rolled back.
    let retention = Retention { minutes_for: Duration::ZERO, ..Retention::default() };
    while !store.maintain(at("2026-03-20T00:00:00Z"), &retention).unwrap().is_done {}
    store.record(&hour(hours)).unwrap();
    stored += 200;
    assert_eq!(total(&store), stored);
    drop(store);
    assert_eq!(total(&open(&path).unwrap()), stored);
}

/// A small store with something in every table.
fn fill(path: &Path) {
    let store = open(path).unwrap();
    (0..6).for_each(|n| store.record(&hour(n)).unwrap());
    let change = |n: i64| ObjectChange {
        key: ObjectKey {
            kind: "Pod".into(),
            namespace: Some(name("shop")),
            name: format!("web-{n}").into(),
            uid: "".into(),
        },
        at: Timestamp::from_secs(n),
        json: Some(format!(r#"{{"n":{n}}}"#).into()),
    };
    store.record_objects(&name("prod"), &(0..60).map(change).collect::<Vec<_>>()).unwrap();
    let review = |base: u64| NewReview {
        key: ReviewKey { cluster: name("prod"), namespace: Some(name("shop")) },
        base,
        at: Timestamp::default(),
        who: "ann".into(),
        note: "why".into(),
        yaml: (0..3_000).map(|n| (n * n * base).to_string()).collect::<Vec<_>>().join("\n"),
    };
    (0..5).for_each(|base| drop(store.put_review(&review(base)).unwrap()));
}

/// Everything that can be asked, or the error.
fn ask(path: &Path) -> Result<Vec<String>, StoreError> {
    let store = open(path)?;
    let windows =
        [Span::ALL, Span { from: at("2026-03-02T00:00:00Z"), until: at("2026-03-02T10:30:00Z") }];
    let queries = windows.map(|window| {
        let mut query = all(name("prod"));
        query.window = window;
        query
    });
    for query in &queries {
        store.edges(query)?;
    }
    store.objects(&name("prod"), Span::ALL)?;
    store.reviews(&name("prod"))?;
    store.review_versions(&ReviewKey { cluster: name("prod"), namespace: Some(name("shop")) })?;
    store.audit_trail(Timestamp::MAX, 100)?;
    store.sources()?;
    store.clusters()?;
    Ok(answers(&store, &queries, &windows))
}

/// Whichever page is overwritten: the answers are the same, or the file is said to be damaged.
#[test]
fn damage_is_told_and_never_believed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    fill(&path);
    let sound = fs::read(&path).unwrap();
    let expected = ask(&path).unwrap();
    let pages = sound.len() / 4096;
    let mut told = 0;
    for page in (0..pages).step_by(2) {
        for garbage in [0_u8, 0xa5] {
            let mut damaged = sound.clone();
            // The header of the file is a case of its own.
            let from = if page == 0 { 100 } else { page * 4096 };
            damaged[from..(page + 1) * 4096].fill(garbage);
            fs::write(&path, &damaged).unwrap();
            match ask(&path) {
                Ok(found) => assert!(found == expected, "page {page} of {pages}"),
                Err(StoreError::Damaged { path: of, fault }) => {
                    assert_eq!(of, path);
                    assert!(!fault.is_empty());
                    told += 1;
                }
                Err(error) => panic!("page {page}: {error:?}"),
            }
        }
    }
    assert!(told > pages / 2, "{told} of {pages}");
    for broken in [&sound[..sound.len() / 2], &b"this is no database"[..], &[0xff; 8192][..]] {
        fs::write(&path, broken).unwrap();
        let error = ask(&path).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("hint: restore a backup"), "{error}");
    }
}

#[test]
fn one_process_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub/db");
    let store = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    // Others read meanwhile, and only read.
    let reader =
        Sqlite::open(&path, &Options { access: Access::Read, ..Options::default() }).unwrap();
    store.record(&hour(0)).unwrap();
    assert_eq!(total(&reader), 200);
    assert!(reader.record(&hour(1)).is_err());
    assert_eq!(total(&store), 200);
    drop(store);
    assert_eq!(total(&open(&path).unwrap()), 200);
}

#[test]
fn only_the_owner_reads_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub/db");
    let store = open(&path).unwrap();
    store.record(&hour(0)).unwrap();
    store.backup(&directory.path().join("sub/copy")).unwrap();
    for entry in fs::read_dir(directory.path().join("sub")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
    }
    let mode = fs::metadata(directory.path().join("sub")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[test]
fn files_of_newer_versions_and_other_programs_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let newer = directory.path().join("newer");
    drop(open(&newer).unwrap());
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = open(&newer).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 2, .. }), "{error:?}");

    let other = directory.path().join("other");
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    let before = fs::read(&other).unwrap();
    let error = open(&other).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert_eq!(fs::read(&other).unwrap(), before);

    let error = open(directory.path()).unwrap_err();
    assert!(!error.to_string().is_empty(), "a directory is no file: {error:?}");
}

#[test]
fn counts_stay_at_the_end_of_numbers() {
    let store = Sqlite::in_memory().unwrap();
    let key = tcp(workload("shop/web"), workload("shop/cart"), 80);
    for count in [u64::MAX, i64::MAX as u64, 5] {
        let edges = vec![counted(Timestamp::default(), key.clone(), count)];
        store.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
        assert_eq!(total(&store), i64::MAX as u64);
    }
}

#[test]
fn a_change_and_its_audit_entry_are_stored_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store =
        Sqlite::open(&path, &Options { limit: Some(400_000), ..Options::default() }).unwrap();
    let entry = |n: u32| AuditEntry {
        at: Timestamp::from_secs(n.into()),
        who: "ann".into(),
        action: "config.change".into(),
        object: "prod".into(),
        detail: "x".repeat(20_000),
    };
    let failed = (1..1_000)
        .find(|&n| store.put_setting("cluster/prod/n", Some(&n.to_string()), &entry(n)).is_err())
        .unwrap();
    assert_eq!(store.setting("cluster/prod/n").unwrap(), Some((failed - 1).to_string()));
    assert_eq!(
        store.audit_trail(Timestamp::MAX, 1).unwrap()[0].at,
        Timestamp::from_secs((failed - 1).into())
    );
}

#[test]
fn a_review_and_the_settings_that_change_with_it_are_stored_together() {
    let store = Sqlite::in_memory().unwrap();
    let review = |base: u64| NewReview {
        key: ReviewKey { cluster: "prod".parse().unwrap(), namespace: None },
        base,
        at: Timestamp::default(),
        who: "ann".into(),
        note: "both".into(),
        yaml: String::new(),
    };
    let profile = "cluster/prod/profile";
    let stored = store.put_review_and_settings(&review(0), &[(profile, Some("cilium"))]).unwrap();
    assert_eq!(stored.version, 1);
    assert_eq!(store.setting(profile).unwrap().as_deref(), Some("cilium"));
    let late = store.put_review_and_settings(&review(0), &[(profile, None)]);
    assert!(matches!(late, Err(StoreError::Conflict { base: 0, current: 1 })), "{late:?}");
    assert_eq!(store.setting(profile).unwrap().as_deref(), Some("cilium"));
    assert_eq!(store.audit_trail(Timestamp::MAX, 9).unwrap().len(), 1);
}
