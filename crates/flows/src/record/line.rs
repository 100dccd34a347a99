//! Records read from lines.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ringfence_model::flow::{Connections, End, Flow, Seen, Side};
use ringfence_model::resolve::Hint;
use ringfence_model::{Labels, Name, PodRef, Protocol, WorkloadRef};

use super::{Counts, RecordPod, RecordWorkload, VERSION};
use crate::address;
use crate::ends::{Descriptions, Nodes};
use crate::fault::Fault;
use crate::json::{Cursor, unsigned};
use crate::moment::Moments;
use crate::reader::Item;
use exact::Exact;

mod exact;

/// Turns lines into flows.
pub(crate) struct Records {
    pods: Descriptions<Arc<Hint>>,
    nodes: Nodes,
    moments: Moments,
}

/// One end as text.
#[derive(Default)]
struct RawEnd<'a> {
    ip: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
    pod: Option<&'a [u8]>,
    /// What `pod` says, when it was recognised.
    hint: Option<Arc<Hint>>,
    node: Option<&'a [u8]>,
}

/// A record as text.
#[derive(Default)]
struct Raw<'a> {
    version: Option<&'a [u8]>,
    start: Option<&'a [u8]>,
    end: Option<&'a [u8]>,
    node: Option<&'a [u8]>,
    side: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    source: RawEnd<'a>,
    destination: RawEnd<'a>,
    dialled: Option<RawEnd<'a>>,
    counts: Option<Counts>,
    traffic: bool,
}

impl Records {
    pub(crate) fn new() -> Self {
        Self { pods: Descriptions::new(), nodes: Nodes::new(), moments: Moments::new() }
    }

    /// Whether the top-level key shows that a line is a record.
    pub(crate) fn is_key(key: &[u8]) -> bool {
        matches!(key, b"version" | b"observer" | b"connections")
    }

    /// What one line says.
    pub(crate) fn decode(&mut self, line: &[u8]) -> Result<Item, Fault> {
        let raw = match Exact(line).record(&mut self.pods) {
            Some(raw) => raw,
            None => Raw::read(line, &mut self.pods)?,
        };
        self.flow(raw).map(Item::Flow)
    }

    fn flow(&mut self, raw: Raw<'_>) -> Result<Flow, Fault> {
        let version = number("version", raw.version.ok_or(Fault::Missing("version"))?)?;
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        let mut time = |field, text: Option<&[u8]>| {
            let text = text.ok_or(Fault::Missing(field))?;
            self.moments.parse(text).ok_or_else(|| Fault::value(field, text))
        };
        let (start, end) = (time("start", raw.start)?, time("end", raw.end)?);
        if end < start {
            return Err(Fault::value("end", raw.end.unwrap_or_default()));
        }
        let side = match raw.side.ok_or(Fault::Missing("observer.side"))? {
            b"client" => Side::Client,
            b"server" => Side::Server,
            other => return Err(Fault::value("observer.side", other)),
        };
        let protocol = match raw.protocol.ok_or(Fault::Missing("protocol"))? {
            b"TCP" => Protocol::Tcp,
            b"UDP" => Protocol::Udp,
            b"SCTP" => Protocol::Sctp,
            other => return Err(Fault::value("protocol", other)),
        };
        let Counts { opened, refused, denied } = raw.counts.ok_or(Fault::Missing("connections"))?;
        let node = raw.node.ok_or(Fault::Missing("observer.node"))?;
        let observer = self.nodes.get(node)?.ok_or(Fault::Missing("observer.node"))?;
        let dialled = match &raw.dialled {
            Some(dialled) => Some((dialled.ip("dialled.ip")?, dialled.port("dialled.port")?)),
            None => None,
        };
        let client_port = match raw.source.port {
            Some(_) => Some(raw.source.port("source.port")?),
            None => None,
        };
        let port = raw.destination.port("destination.port")?;
        let source = self.end("source", "source.ip", raw.source)?;
        let destination = self.end("destination", "destination.ip", raw.destination)?;
        let seen = Seen::Connections(Connections {
            protocol,
            client_port,
            port,
            dialled,
            side,
            opened,
            refused,
            denied,
            traffic: raw.traffic,
        });
        Ok(Flow { start, end, source, destination, observer: Some(observer.name.clone()), seen })
    }

    fn end(
        &mut self,
        field: &'static str,
        ip: &'static str,
        raw: RawEnd<'_>,
    ) -> Result<End, Fault> {
        let address = raw.ip.unwrap_or_default();
        let ip = raw.ip(ip)?;
        let hint = match (raw.hint, raw.pod, raw.node) {
            (Some(hint), _, _) => Some(hint),
            (None, Some(pod), _) => {
                Some(self.pods.get(address, pod, |text| pod_hint(field, text))?)
            }
            (None, None, Some(node)) => self.nodes.get(node)?.map(|node| Arc::clone(&node.hint)),
            (None, None, None) => None,
        };
        Ok(End { ip, hint })
    }
}

impl<'a> Raw<'a> {
    fn read(line: &'a [u8], pods: &mut Descriptions<Arc<Hint>>) -> Result<Self, Fault> {
        let mut raw = Self::default();
        let mut cursor = Cursor::new(line);
        cursor.object(|key, at| raw.member(key, at, pods))?;
        cursor.finish()?;
        Ok(raw)
    }

    fn member(
        &mut self,
        key: &'a [u8],
        at: &mut Cursor<'a>,
        pods: &mut Descriptions<Arc<Hint>>,
    ) -> Result<(), Fault> {
        match key {
            b"version" => self.version = Some(at.value()?),
            b"start" => self.start = at.string()?,
            b"end" => self.end = at.string()?,
            b"observer" => {
                return at.object(|key, at| {
                    match key {
                        b"node" => self.node = at.string()?,
                        b"side" => self.side = at.string()?,
                        _ => drop(at.value()?),
                    }
                    Ok(())
                });
            }
            b"protocol" => self.protocol = at.string()?,
            b"source" => self.source = RawEnd::read(at, pods)?,
            b"destination" => self.destination = RawEnd::read(at, pods)?,
            b"dialled" if at.at_object()? => self.dialled = Some(RawEnd::read(at, pods)?),
            b"connections" => {
                let mut counts = Counts::default();
                at.object(|key, at| {
                    let value = at.value()?;
                    match key {
                        b"opened" => counts.opened = number("connections.opened", value)?,
                        b"refused" => counts.refused = number("connections.refused", value)?,
                        b"denied" => counts.denied = number("connections.denied", value)?,
                        _ => {}
                    }
                    Ok::<_, Fault>(())
                })?;
                self.counts = Some(counts);
            }
            b"sent" | b"received" if at.at_object()? => {
                return at.object(|key, at| {
                    let value = at.value()?;
                    match key {
                        b"bytes" => self.traffic |= number("bytes", value)? > 0,
                        b"packets" => self.traffic |= number("packets", value)? > 0,
                        _ => {}
                    }
                    Ok(())
                });
            }
            _ => drop(at.value()?),
        }
        Ok(())
    }
}

impl<'a> RawEnd<'a> {
    fn read(at: &mut Cursor<'a>, pods: &mut Descriptions<Arc<Hint>>) -> Result<Self, Fault> {
        let mut raw = Self::default();
        at.object(|key, at| {
            match key {
                b"ip" => raw.ip = at.string()?,
                b"port" => raw.port = present(at.value()?),
                b"pod" => match raw.ip.and_then(|ip| pods.recognise(ip, at.rest())) {
                    Some((length, hint)) => {
                        at.advance(length);
                        raw.hint = Some(hint);
                    }
                    None => raw.pod = present(at.value()?),
                },
                b"node" => raw.node = at.string()?,
                _ => drop(at.value()?),
            }
            Ok(())
        })
        .map(|()| raw)
    }

    fn ip(&self, field: &'static str) -> Result<IpAddr, Fault> {
        let text = self.ip.ok_or(Fault::Missing(field))?;
        address::parse(text).ok_or_else(|| Fault::value(field, text))
    }

    fn port(&self, field: &'static str) -> Result<NonZeroU16, Fault> {
        let text = self.port.ok_or(Fault::Missing(field))?;
        u16::try_from(number(field, text)?)
            .ok()
            .and_then(NonZeroU16::new)
            .ok_or_else(|| Fault::value(field, text))
    }
}

fn present(value: &[u8]) -> Option<&[u8]> {
    (value != b"null").then_some(value)
}

fn number(field: &'static str, text: &[u8]) -> Result<u64, Fault> {
    unsigned(text).ok_or_else(|| Fault::value(field, text))
}

fn pod_hint(field: &'static str, text: &[u8]) -> Result<Arc<Hint>, Fault> {
    let fault = || Fault::value(field, text);
    let wire: RecordPod = serde_json::from_slice(text).map_err(|_| fault())?;
    let RecordPod { namespace, name, workload, labels } = wire;
    let namespace = Name::new(namespace).map_err(|_| fault())?;
    let workload = match workload {
        Some(RecordWorkload { kind, name }) => Some(WorkloadRef {
            namespace: namespace.clone(),
            kind: kind.as_str().into(),
            name: Name::new(name).map_err(|_| fault())?,
        }),
        None => None,
    };
    let labels: Option<Labels> = labels.map(|labels| labels.into_iter().collect());
    let pod = PodRef { namespace, name: Name::new(name).map_err(|_| fault())? };
    Ok(Arc::new(Hint::Pod { pod, workload, labels }))
}

#[cfg(test)]
mod tests {
    use super::super::{
        Observer, Record, RecordDestination, RecordProtocol, RecordSide, RecordSource,
        SocketAddress, Volume,
    };
    use super::*;
    use proptest::prelude::*;
    use ringfence_model::Timestamp;

    fn ip() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from)
        ]
    }

    fn pod() -> impl Strategy<Value = Option<RecordPod>> {
        let labels = prop::collection::btree_map("[a-z\"\\\\/]{1,5}", "\\PC{0,5}", 0..3);
        let pod = ("[a-z]{1,5}", "[a-z]{1,5}", any::<bool>(), prop::option::of(labels)).prop_map(
            |(namespace, name, owned, labels)| RecordPod {
                namespace,
                workload: owned
                    .then(|| RecordWorkload { kind: "Deployment".into(), name: name.clone() }),
                name,
                labels,
            },
        );
        prop::option::of(pod)
    }

    fn record() -> impl Strategy<Value = Record> {
        let moments = (0..4_000_000_000i64, 0..1_000_000_000i64).prop_map(|(start, length)| {
            let text =
                |nanos| jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap().to_string();
            (text(start * 1_000_000_001), text(start * 1_000_000_001 + length))
        });
        let port = any::<NonZeroU16>;
        let source = (ip(), prop::option::of(port()), pod(), prop::option::of("[a-z]{1,5}"))
            .prop_map(|(ip, port, pod, node)| RecordSource { ip, port, pod, node });
        let destination = (ip(), port(), pod(), prop::option::of("[a-z]{1,5}"))
            .prop_map(|(ip, port, pod, node)| RecordDestination { ip, port, pod, node });
        let dialled =
            prop::option::of((ip(), port()).prop_map(|(ip, port)| SocketAddress { ip, port }));
        let counts = any::<[u64; 3]>().prop_map(|[opened, refused, denied]| Counts {
            opened,
            refused,
            denied,
        });
        let volume = || {
            prop::option::of(
                (0..3u64, 0..3u64).prop_map(|(bytes, packets)| Volume { bytes, packets }),
            )
        };
        let protocol = prop::sample::select(vec![
            RecordProtocol::Tcp,
            RecordProtocol::Udp,
            RecordProtocol::Sctp,
        ]);
        let observer = ("[a-z]{1,5}", any::<bool>()).prop_map(|(node, client)| Observer {
            node,
            side: if client { RecordSide::Client } else { RecordSide::Server },
        });
        (moments, observer, protocol, source, destination, dialled, counts, volume(), volume())
            .prop_map(
                |(
                    (start, end),
                    observer,
                    protocol,
                    source,
                    destination,
                    dialled,
                    connections,
                    sent,
                    received,
                )| {
                    Record {
                        version: VERSION,
                        start,
                        end,
                        observer,
                        protocol,
                        source,
                        destination,
                        dialled,
                        connections,
                        sent,
                        received,
                    }
                },
            )
    }

    /// The flow of a record, by way of its fields.
    fn flow(record: &Record) -> Flow {
        let time = |text: &str| {
            let moment: jiff::Timestamp = text.parse().unwrap();
            Timestamp::from_nanos(i64::try_from(moment.as_nanosecond()).unwrap())
        };
        let name = |text: &str| Name::new(text).unwrap();
        let end = |ip: IpAddr, pod: &Option<RecordPod>, node: &Option<String>| {
            let hint = match (pod, node) {
                (Some(pod), _) => Some(Hint::Pod {
                    pod: PodRef { namespace: name(&pod.namespace), name: name(&pod.name) },
                    workload: pod.workload.as_ref().map(|w| WorkloadRef {
                        namespace: name(&pod.namespace),
                        kind: w.kind.as_str().into(),
                        name: name(&w.name),
                    }),
                    labels: pod.labels.clone().map(|labels| labels.into_iter().collect()),
                }),
                (None, Some(node)) => Some(Hint::Node(Some(name(node)))),
                (None, None) => None,
            };
            End { ip, hint: hint.map(Arc::new) }
        };
        let moved = |volume: Option<Volume>| volume.is_some_and(|v| v.bytes + v.packets > 0);
        Flow {
            start: time(&record.start),
            end: time(&record.end),
            source: end(record.source.ip, &record.source.pod, &record.source.node),
            destination: end(
                record.destination.ip,
                &record.destination.pod,
                &record.destination.node,
            ),
            observer: Some(name(&record.observer.node)),
            seen: Seen::Connections(Connections {
                protocol: match record.protocol {
                    RecordProtocol::Tcp => Protocol::Tcp,
                    RecordProtocol::Udp => Protocol::Udp,
                    RecordProtocol::Sctp => Protocol::Sctp,
                },
                client_port: record.source.port,
                port: record.destination.port,
                dialled: record.dialled.map(|d| (d.ip, d.port)),
                side: match record.observer.side {
                    RecordSide::Client => Side::Client,
                    RecordSide::Server => Side::Server,
                },
                opened: record.connections.opened,
                refused: record.connections.refused,
                denied: record.connections.denied,
                traffic: moved(record.sent) || moved(record.received),
            }),
        }
    }

    proptest! {
        #[test]
        fn a_line_says_what_the_record_says(records in prop::collection::vec(record(), 1..6)) {
            let mut reader = Records::new();
            // Every record twice: the second time its pods are recognised.
            for record in records.iter().chain(&records) {
                let line = serde_json::to_string(record).unwrap();
                let sorted: serde_json::Value = serde_json::from_str(&line).unwrap();
                for line in [line, sorted.to_string(), format!("{sorted:#}").replace('\n', " ")] {
                    let Ok(Item::Flow(read)) = reader.decode(line.as_bytes()) else { panic!("{line}") };
                    prop_assert_eq!(read, flow(record), "{}", line);
                    prop_assert_eq!(&serde_json::from_str::<Record>(&line).unwrap(), record);
                }
                let exact = serde_json::to_string(record).unwrap();
                prop_assert!(reader.decode(exact.as_bytes()).is_ok());
                prop_assert!(Exact(exact.as_bytes()).record(&mut reader.pods).is_some(), "{}", exact);
            }
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let good = r#"{"version":1,"start":"2026-03-02T01:00:10Z","end":"2026-03-02T01:00:20Z","observer":{"node":"n","side":"client"},"protocol":"TCP","source":{"ip":"10.0.0.1"},"destination":{"ip":"10.0.0.2","port":80},"connections":{"opened":1}}"#;
        assert!(Records::new().decode(good.as_bytes()).is_ok());
        for (from, to, expected) in [
            (r#""version":1"#, r#""version":2"#, "version 2 of the format is not known"),
            (r#""version":1,"#, "", "version is missing"),
            (
                "01:00:20Z",
                "00:00:20Z",
                "end is \"2026-03-02T00:00:20Z\", which is not what it should be",
            ),
            (r#""TCP""#, r#""ICMP""#, "protocol is \"ICMP\", which is not what it should be"),
            (
                r#""port":80"#,
                r#""port":0"#,
                "destination.port is \"0\", which is not what it should be",
            ),
            (r#","port":80"#, "", "destination.port is missing"),
            (
                r#""client""#,
                r#""both""#,
                "observer.side is \"both\", which is not what it should be",
            ),
            (
                r#""opened":1"#,
                r#""opened":-1"#,
                "connections.opened is \"-1\", which is not what it should be",
            ),
            (r#","connections":{"opened":1}"#, "", "connections is missing"),
            (r#""node":"n","#, "", "observer.node is missing"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            let Err(fault) = Records::new().decode(bad.as_bytes()) else { panic!("{bad}") };
            assert_eq!(fault.to_string(), expected, "{bad}");
        }
    }

    /// `UPDATE_SCHEMAS=1` writes the file.
    #[test]
    fn the_published_schema_is_that_of_the_record() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/flow.v1.json");
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(Record)).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas"))
                .unwrap();
            std::fs::write(path, &schema).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap();
        assert_eq!(published, schema, "run the test with UPDATE_SCHEMAS=1");
    }
}
