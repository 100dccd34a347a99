use std::sync::Arc;

use super::*;
use crate::owner::Pod;

fn flow(direction: Direction) -> Flow {
    Flow {
        key: FlowKey {
            netns: 7,
            cgroup: 1,
            local: "10.1.0.5".parse().unwrap(),
            remote: "10.1.0.9".parse().unwrap(),
            dialled: None,
            port: 8080,
            transport: Transport::Tcp,
            direction,
        },
        counts: ringfence_bpf::Counts {
            opened: 3,
            refused: 2,
            sent_bytes: 100,
            received_bytes: 1000,
            sent_packets: 10,
            received_packets: 20,
            ..ringfence_bpf::Counts::default()
        },
    }
}

fn interval() -> Interval {
    Interval {
        start: "2026-03-02T01:00:00Z".parse().unwrap(),
        end: "2026-03-02T01:00:10Z".parse().unwrap(),
    }
}

fn pod() -> Owner {
    let name = Some(("shop".to_owned(), "web-1".to_owned()));
    Owner::Pod(Arc::new(Pod { uid: "0".to_owned(), name }))
}

#[test]
fn a_client_speaks_of_itself() {
    let mut flow = flow(Direction::Out);
    flow.key.dialled = Some(Dialled { ip: "10.96.0.1".parse().unwrap(), port: 80 });
    let record = Observation::of(&flow, Some(&pod())).unwrap().record("node-1", interval());
    insta::assert_snapshot!(serde_json::to_string(&record).unwrap(), @r#"{"version":1,"start":"2026-03-02T01:00:00Z","end":"2026-03-02T01:00:10Z","observer":{"node":"node-1","side":"client"},"protocol":"TCP","source":{"ip":"10.1.0.5","pod":{"namespace":"shop","name":"web-1"}},"destination":{"ip":"10.1.0.9","port":8080},"dialled":{"ip":"10.96.0.1","port":80},"connections":{"opened":5,"refused":2,"denied":0},"sent":{"bytes":500,"packets":10},"received":{"bytes":1800,"packets":20}}"#);
}

#[test]
fn a_server_speaks_of_itself() {
    let observation = Observation::of(&flow(Direction::In), Some(&Owner::Machine)).unwrap();
    let record = observation.record("node-1", interval());
    insta::assert_snapshot!(serde_json::to_string(&record).unwrap(), @r#"{"version":1,"start":"2026-03-02T01:00:00Z","end":"2026-03-02T01:00:10Z","observer":{"node":"node-1","side":"server"},"protocol":"TCP","source":{"ip":"10.1.0.9"},"destination":{"ip":"10.1.0.5","port":8080,"node":"node-1"},"connections":{"opened":5,"refused":2,"denied":0},"sent":{"bytes":1800,"packets":20},"received":{"bytes":500,"packets":10}}"#);
}

#[test]
fn what_tells_of_no_other_is_left_out() {
    let mut to_itself = flow(Direction::Out);
    to_itself.key.remote = to_itself.key.local;
    let mut loopback = flow(Direction::Out);
    loopback.key.remote = "::1".parse().unwrap();
    let mut unanswered = flow(Direction::Out);
    unanswered.counts = ringfence_bpf::Counts {
        unanswered: 3,
        abandoned: 4,
        sent_packets: 9,
        ..ringfence_bpf::Counts::default()
    };
    for flow in [to_itself, loopback, unanswered] {
        assert_eq!(Observation::of(&flow, None), None, "{flow:?}");
    }
}

#[test]
fn echoes_are_observed_but_have_no_line() {
    let mut flow = flow(Direction::Out);
    flow.key.transport = Transport::Icmp;
    flow.key.port = 0;
    let observation = Observation::of(&flow, None).unwrap();
    assert_eq!((observation.opened, observation.record("node-1", interval())), (3, None));
}

#[test]
fn processes_of_one_address_are_one_observation() {
    let of = |cgroup: u64, port: u16| {
        let mut flow = flow(Direction::Out);
        (flow.key.cgroup, flow.key.port) = (cgroup, port);
        Observation::of(&flow, None).unwrap()
    };
    let merged = Observation::merged(vec![of(1, 81), of(1, 80), of(2, 81)]);
    let counts: Vec<_> =
        merged.iter().map(|o| (o.port, o.opened, o.refused, o.sent.packets)).collect();
    assert_eq!(counts, [(80, 5, 2, 10), (81, 10, 4, 20)]);
}

#[test]
fn the_stream_survives_a_clock_that_jumps() {
    let length = Duration::from_secs(10);
    let hour = Duration::from_hours(1);
    let right: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
    // What people set the clock to while the interval lasted does not change how long it was.
    for end in [right, right + hour, right - hour] {
        let interval = Interval::of(length, end);
        assert_eq!((interval.end, interval.start), (end, end - length));
    }
    assert_eq!(Interval::of(hour, Timestamp::MIN).start, Timestamp::MIN);
}
