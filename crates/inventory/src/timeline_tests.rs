use std::collections::HashMap;

use proptest::prelude::*;
use ringfence_model::{Span, Timestamp};

use super::*;

fn claims() -> impl Strategy<Value = Vec<Claim<usize>>> {
    let from =
        prop_oneof![1 => Just(Timestamp::MIN), 6 => (0i64..30).prop_map(Timestamp::from_nanos)];
    let end = prop_oneof![
        3 => Just(End::Open),
        1 => Just(End::Unknown),
        4 => (0i64..40).prop_map(|at| End::At(Timestamp::from_nanos(at))),
    ];
    prop::collection::vec((from, end), 0..9).prop_map(|claims| {
        let claims = claims.into_iter().enumerate();
        claims.map(|(holder, (from, end))| Claim { from, end, holder }).collect()
    })
}

/// Of the claims that cover the moment the one that started last, by looking at all of them.
fn slow(claims: &[Claim<usize>], at: Timestamp) -> Option<usize> {
    let covers = |claim: &&Claim<usize>| {
        claim.from <= at
            && match claim.end {
                End::Open | End::Unknown => true,
                End::At(end) => at < end,
            }
    };
    let last = claims.iter().filter(covers).max_by_key(|claim| (claim.from, claim.holder))?;
    (last.end != End::Unknown).then_some(last.holder)
}

proptest! {
    #[test]
    fn timelines_agree_with_a_scan_of_all_claims(claims in claims()) {
        let ip = "10.0.0.1".parse().unwrap();
        let book = AddressBook::new(HashMap::from([(ip, claims.clone())]));
        prop_assert_eq!(book.now(ip), slow(&claims, Timestamp::MAX));
        let moments = || (-1i64..45).map(Timestamp::from_nanos);
        for at in moments() {
            let (holder, span) = book.at(ip, at);
            prop_assert_eq!(holder, slow(&claims, at), "at {:?}", at);
            prop_assert!(span.contains(at));
            for other in moments() {
                let same = book.at(ip, other).1 == span;
                prop_assert_eq!(same, span.contains(other), "{:?} and {:?}", at, other);
                prop_assert!(!same || slow(&claims, other) == holder);
            }
        }
    }
}

#[test]
fn an_address_without_claims_is_nobodys_for_ever() {
    let book: AddressBook<usize> = AddressBook::new(HashMap::new());
    let ip = "10.0.0.1".parse().unwrap();
    assert_eq!(book.at(ip, Timestamp::default()), (None, Span::ALL));
    assert_eq!(book.now(ip), None);
}
