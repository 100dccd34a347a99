use super::*;

fn key() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(7_u64.to_ne_bytes());
    bytes.extend(1_u64.to_ne_bytes());
    bytes.extend("::ffff:10.0.0.1".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend("::ffff:10.96.0.1".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend(443_u16.to_ne_bytes());
    bytes.extend(8443_u16.to_ne_bytes());
    bytes.extend([6, DIRECTION_OUT, 0, 0]);
    bytes
}

#[test]
fn key_is_read() {
    let expected = FlowKey {
        netns: 7,
        cgroup: 1,
        local: "10.0.0.1".parse().unwrap(),
        remote: "2001:db8::2".parse().unwrap(),
        dialled: Some(Dialled { ip: "10.96.0.1".parse().unwrap(), port: 443 }),
        port: 8443,
        transport: Transport::Tcp,
        direction: Direction::Out,
    };
    assert_eq!(FlowKey::decode(&key()), Ok(expected));
}

#[test]
fn nothing_dialled_is_none() {
    let mut bytes = key();
    bytes[64..66].fill(0);
    assert_eq!(FlowKey::decode(&bytes).unwrap().dialled, None);
}

#[test]
fn foreign_bytes_are_refused() {
    let (mut protocol, mut direction) = (key(), key());
    protocol[68] = 47;
    direction[69] = 3;
    assert_eq!(FlowKey::decode(&protocol), Err(DecodeError::Protocol(47)));
    assert_eq!(FlowKey::decode(&direction), Err(DecodeError::Direction(3)));
    assert_eq!(FlowKey::decode(&key()[1..]), Err(DecodeError::Length { expected: 72, found: 71 }));
    assert_eq!(Counts::decode(&[0; 8]), Err(DecodeError::Length { expected: 88, found: 8 }));
}

#[test]
fn counts_are_read_in_order_and_added() {
    let bytes: Vec<u8> = (1..=11_u64).flat_map(u64::to_ne_bytes).collect();
    let mut counts = Counts::decode(&bytes).unwrap();
    counts += counts;
    let expected = Counts {
        opened: 2,
        closed: 4,
        answered: 6,
        refused: 8,
        unanswered: 10,
        abandoned: 12,
        reset: 14,
        sent_bytes: 16,
        received_bytes: 18,
        sent_packets: 20,
        received_packets: 22,
    };
    assert_eq!(counts, expected);
}
