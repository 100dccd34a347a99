use std::sync::Arc;
use std::sync::mpsc;

use ringfence_model::Timestamp;
use ringfence_store::ObjectKey;

use super::*;

fn change(name: &str, at: i64) -> ObjectChange {
    let key =
        ObjectKey { kind: "Pod".into(), namespace: None, name: name.into(), uid: name.into() };
    ObjectChange { key, at: Timestamp::from_secs(at), json: Some("{}".into()) }
}

fn cluster() -> Name {
    Name::new("c").unwrap()
}

fn full() -> StoreError {
    StoreError::InUse { path: "db".into() }
}

#[test]
fn everything_noted_is_stored_in_order() {
    let history = Arc::new(History::default());
    let writer = std::thread::spawn({
        let history = Arc::clone(&history);
        move || {
            let mut stored = Vec::new();
            history.write(&cluster(), |changes| {
                assert!(changes.len() <= BATCH);
                stored.extend_from_slice(changes);
                Ok(())
            });
            stored
        }
    });
    let changes: Vec<_> = (0..7_000).map(|n| change(&n.to_string(), n)).collect();
    for part in changes.chunks(900) {
        history.note(part.iter().cloned());
    }
    history.close();
    assert_eq!(writer.join().unwrap(), changes);
}

#[test]
fn a_store_that_fails_is_told_and_tried_again() {
    let history = Arc::new(History::default());
    let (sender, stored) = mpsc::channel();
    let writer = std::thread::spawn({
        let history = Arc::clone(&history);
        move || {
            let mut failures = 2;
            history.write(&cluster(), |changes| {
                if failures > 0 {
                    failures -= 1;
                    return Err(full());
                }
                let _ = sender.send((changes.to_vec(), history.diagnostics()));
                Ok(())
            });
        }
    });
    history.note([change("a", 1), change("b", 2)]);
    let (changes, while_failing) = stored.recv().unwrap();
    assert_eq!(changes, [change("a", 1), change("b", 2)]);
    assert_eq!(while_failing[0].code, "history-not-stored");
    history.close();
    writer.join().unwrap();
    assert!(history.diagnostics().is_empty());
}

#[test]
fn a_store_that_fails_at_the_end_does_not_hold_it_up() {
    let history = History::default();
    history.note([change("a", 1)]);
    history.close();
    history.write(&cluster(), |_| Err(full()));
    assert_eq!(history.diagnostics()[0].code, "history-not-stored");
}

#[test]
fn what_waits_is_bounded() {
    let history = History::default();
    // Of few objects many changes: the last of each stays.
    for n in 0..=i64::try_from(MOST_WAITING).unwrap() {
        history.note([change(&(n % 10).to_string(), n)]);
    }
    let waiting = std::mem::take(&mut history.queue().waiting);
    assert_eq!(waiting.len(), 10);
    assert!(waiting.is_sorted_by_key(|change| change.at));
    assert!(history.diagnostics().is_empty());
    // Of too many objects the oldest go, and that is told.
    for n in 0..=i64::try_from(MOST_WAITING).unwrap() {
        history.note([change(&n.to_string(), n)]);
    }
    assert_eq!(history.queue().waiting.len(), MOST_WAITING / 2);
    assert_eq!(history.diagnostics()[0].code, "history-lost");
}
