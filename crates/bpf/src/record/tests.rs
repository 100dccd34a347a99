use std::collections::BTreeMap;
use std::mem::offset_of;

use super::*;

const HEADER: &str = include_str!("../../c/records.h");

/// Name, offset and size of each field, and the size of the whole.
type Layout = (Vec<(String, usize, usize)>, usize);

/// The structures of the header, laid out by the rules of C: each field at a multiple of its type's size.
fn structures() -> BTreeMap<String, Layout> {
    let mut found = BTreeMap::new();
    let mut open = None;
    for line in HEADER.lines() {
        let code = line.split("/*").next().unwrap_or_default().trim();
        if let Some(name) = code.strip_prefix("struct ").and_then(|rest| rest.strip_suffix(" {")) {
            open = Some((name.to_owned(), Vec::new(), 0_usize, 1_usize));
        } else if code == "};" {
            let (name, fields, end, align) = open.take().unwrap();
            found.insert(name, (fields, end.next_multiple_of(align)));
        } else if let (Some((_, fields, end, align)), Some((kind, rest))) =
            (open.as_mut(), code.split_once(' '))
        {
            let size = match kind {
                "__u8" => 1,
                "__u16" => 2,
                "__u32" => 4,
                "__u64" => 8,
                other => panic!("type {other} in records.h"),
            };
            let declared = rest.strip_suffix(';').unwrap();
            let (name, count) = match declared.split_once('[') {
                Some((name, count)) => (name, count.trim_end_matches(']').parse().unwrap()),
                None => (declared, 1),
            };
            *end = end.next_multiple_of(size);
            fields.push((name.to_owned(), *end, size * count));
            *end += size * count;
            *align = size.max(*align);
        }
    }
    found
}

macro_rules! layout {
    ($type:ty { $($field:ident: $size:expr),* $(,)? }) => {
        (
            vec![$((stringify!($field).to_owned(), offset_of!($type, $field), $size)),*],
            size_of::<$type>(),
        )
    };
}

#[test]
fn layout_is_that_of_the_header() {
    let expected: BTreeMap<String, Layout> = BTreeMap::from([
        (
            "flow_key".to_owned(),
            layout!(RawKey {
                netns: 8,
                cgroup: 8,
                local: 16,
                remote: 16,
                dialled: 16,
                dialled_port: 2,
                port: 2,
                protocol: 1,
                direction: 1,
                pad: 2,
            }),
        ),
        (
            "counts".to_owned(),
            layout!(RawCounts {
                opened: 8,
                closed: 8,
                answered: 8,
                refused: 8,
                unanswered: 8,
                abandoned: 8,
                reset: 8,
                sent_bytes: 8,
                received_bytes: 8,
                sent_packets: 8,
                received_packets: 8,
            }),
        ),
        ("namespace".to_owned(), layout!(RawNamespace { cgroup: 8, inode: 4, process: 4 })),
        (
            "control".to_owned(),
            layout!(RawControl { epoch: 8, incarnation: 8, ephemeral_first: 4, ephemeral_last: 4 }),
        ),
    ]);
    assert_eq!(structures(), expected);
}

#[test]
fn numbers_are_those_of_the_header() {
    let defined: BTreeMap<&str, usize> = HEADER
        .lines()
        .filter_map(|line| line.strip_prefix("#define "))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?.parse().ok()?))
        })
        .collect();
    let expected = BTreeMap::from([
        ("DIRECTION_OUT", usize::from(DIRECTION_OUT)),
        ("DIRECTION_IN", usize::from(DIRECTION_IN)),
        ("LOSS_CONNECTION_UNKNOWN", LOSS_CONNECTION_UNKNOWN),
        ("LOSS_DATAGRAM_UNKNOWN", LOSS_DATAGRAM_UNKNOWN),
        ("LOSS_NO_MEMORY", LOSS_NO_MEMORY),
        ("LOSS_UNPARSED", LOSS_UNPARSED),
        ("LOSS_CONVERSATION_ROOM", LOSS_CONVERSATION_ROOM),
        ("LOSS_KINDS", LOSS_KINDS),
    ]);
    assert_eq!(defined, expected);
}
