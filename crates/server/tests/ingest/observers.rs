use std::sync::Arc;

use prost::Message as _;
use ringfence_model::{ObserverKind, Observers, Span, Timestamp};
use ringfence_proto::agent::{Batch, Body, Loss, LossReason, Observer};
use ringfence_server::ingest::Options;
use ringfence_store::{SourceKey, SourceKind, Sqlite};

use crate::agent::{Agent, Record, body, hello};
use crate::server::{edges, now, prod, start};

/// Ten seconds of an agent, by what it observes.
fn batch(sequence: u64, base: u64, observer: Observer, records: &[Record]) -> Batch {
    let losses = vec![Loss { reason: LossReason::EventsLost.into(), count: 2 }];
    let body = Body {
        observer: observer.into(),
        observed: 10_000_000,
        blind: vec!["refused UDP".to_owned()],
        ..body(base, records, losses)
    };
    let records = u32::try_from(records.len()).unwrap();
    Batch { sequence, records, body: body.encode_to_vec().into() }
}

async fn deliver(agent: &mut Agent, batch: Batch) {
    let sequence = batch.sequence;
    agent.send(batch).await.unwrap();
    agent.acknowledged(sequence).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_says_which_agents_saw_it_and_which_could_have() {
    let server = start(Arc::new(Sqlite::in_memory().unwrap()), Options::default()).await;
    let base = now() - 20_000_000_000;
    let mut first = Agent::connect(server.address, hello("n1", 7)).await.unwrap();
    let records = [Record::client("10.0.1.1", "10.0.2.1", 8080, 3)];
    deliver(&mut first, batch(1, base, Observer::Conntrack, &records)).await;
    let own = ObserverKind::AgentConntrack;
    let alone = Observers::reported_by(own).at_client(own);
    assert_eq!(edges(&*server.app.store)[0].counts.observers, alone);

    // From now on there is an agent at the other end too, which has seen nothing yet.
    let mut second = Agent::connect(server.address, hello("n2", 7)).await.unwrap();
    deliver(&mut second, batch(1, base, Observer::Ebpf, &[])).await;
    deliver(&mut first, batch(2, base + 10_000_000_000, Observer::Conntrack, &records)).await;
    let both = alone.at_server(ObserverKind::AgentEbpf);
    assert_eq!(edges(&*server.app.store)[0].counts.observers, both);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_an_agent_observed_and_what_it_lost_is_kept() {
    let server = start(Arc::new(Sqlite::in_memory().unwrap()), Options::default()).await;
    let base = now() - 30_000_000_000;
    let mut agent = Agent::connect(server.address, hello("n1", 7)).await.unwrap();
    // That there was nothing to see is known too.
    for sequence in 1..=2 {
        let base = base + (sequence - 1) * 10_000_000_000;
        deliver(&mut agent, batch(sequence, base, Observer::Ebpf, &[])).await;
    }
    // Sent again, as after a broken stream.
    drop(agent);
    let mut agent = Agent::connect(server.address, hello("n1", 7)).await.unwrap();
    agent.send(batch(2, base + 10_000_000_000, Observer::Ebpf, &[])).await.unwrap();
    // A clock that is a year ahead.
    let ahead = base + 365 * 86_400_000_000_000;
    deliver(&mut agent, batch(3, ahead, Observer::Ebpf, &[])).await;

    let store = &server.app.store;
    let at = |nanos: u64| Timestamp::from_nanos(i64::try_from(nanos).unwrap());
    let presences = store.presences(&prod(), Span::ALL).unwrap();
    let [presence] = &presences[..] else { panic!("{presences:?}") };
    let source = SourceKey { cluster: prod(), kind: SourceKind::Agent, name: "n1".into() };
    assert_eq!((&presence.source, presence.observer), (&source, ObserverKind::AgentEbpf));
    assert_eq!(presence.span, Span { from: at(base), until: at(base + 20_000_000_000) });
    assert_eq!(presence.blind, ["refused UDP"]);
    let losses = store.losses(&prod(), Span::ALL).unwrap();
    assert_eq!(losses.iter().map(|loss| loss.count).sum::<u64>(), 6, "{losses:?}");
    server.stop().await;
}
