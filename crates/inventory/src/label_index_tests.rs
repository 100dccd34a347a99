use proptest::prelude::*;
use ringfence_model::{Labels, Name, Operator, Requirement, Selector};

use super::*;

fn some_labels() -> impl Strategy<Value = Labels> {
    prop::collection::vec(("[ab]", "[xy]"), 0..3).prop_map(Labels::from_iter)
}

fn selector() -> impl Strategy<Value = Selector> {
    let values = || prop::collection::btree_set("[xyz]".prop_map(Into::into), 0..3);
    let operator = prop_oneof![
        values().prop_map(Operator::In),
        values().prop_map(Operator::NotIn),
        Just(Operator::Exists),
        Just(Operator::DoesNotExist),
    ];
    let requirement =
        ("[abc]", operator).prop_map(|(key, operator)| Requirement { key: key.into(), operator });
    prop::collection::vec(requirement, 0..3).prop_map(Selector::from_iter)
}

proptest! {
    #[test]
    fn agrees_with_a_scan(
        items in prop::collection::vec(("[mn]", some_labels()), 0..8),
        namespace in "[mno]",
        selector in selector(),
    ) {
        let name = |text: &str| Name::new(text).unwrap();
        let items: Vec<(Name, Labels)> = items.iter().map(|(n, l)| (name(n), l.clone())).collect();
        let index = LabelIndex::new(items.iter().map(|(n, l)| (n, l)));
        let matches = |(n, (place, labels)): (usize, &(Name, Labels))| {
            (place.as_str() == namespace && selector.matches(labels)).then_some(n)
        };
        let slow: Vec<usize> = items.iter().enumerate().filter_map(matches).collect();
        prop_assert_eq!(index.matching(&name(&namespace), &selector), slow);
    }
}
