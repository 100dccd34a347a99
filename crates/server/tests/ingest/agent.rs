//! An agent as the tests need it: it says what it is told to say, over real gRPC.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use prost::Message as _;
use ringfence_proto::agent::ingest_client::IngestClient;
use ringfence_proto::agent::{
    AgentMessage, Batch, Body, Endpoint, Hello, Loss, MachineKind, PROTOCOL_VERSION, Records,
    ServerMessage, Side, SocketAddress, Welcome, agent_message, server_message,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// One record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Microseconds after the base.
    pub(crate) start: u64,
    pub(crate) side: Side,
    pub(crate) protocol: u32,
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) port: u32,
    pub(crate) dialled: Option<(IpAddr, u16)>,
    pub(crate) opened: u64,
    pub(crate) refused: u64,
    pub(crate) denied: u64,
    pub(crate) bytes: (u64, u64),
}

impl Record {
    /// TCP connections opened by a client.
    pub(crate) fn client(local: &str, remote: &str, port: u32, opened: u64) -> Self {
        Self {
            start: 0,
            side: Side::Client,
            protocol: 6,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            port,
            dialled: None,
            opened,
            refused: 0,
            denied: 0,
            bytes: (100, 1000),
        }
    }

    /// TCP connections opened to a server.
    pub(crate) fn server(local: &str, remote: &str, port: u32, opened: u64) -> Self {
        Self { side: Side::Server, ..Self::client(local, remote, port, opened) }
    }
}

/// The body of a batch.
pub(crate) fn body(base: u64, records: &[Record], losses: Vec<Loss>) -> Body {
    fn bytes(ip: IpAddr) -> Vec<u8> {
        match ip {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        }
    }
    let mut places: BTreeMap<IpAddr, u32> = BTreeMap::new();
    let mut endpoints = Vec::new();
    let mut place = |ip: IpAddr| {
        *places.entry(ip).or_insert_with(|| {
            endpoints.push(Endpoint { ip: bytes(ip), ..Endpoint::default() });
            u32::try_from(endpoints.len() - 1).unwrap()
        })
    };
    let mut dialled = Vec::new();
    let mut columns = Records::default();
    for record in records {
        columns.start.push(record.start);
        columns.length.push(10_000_000);
        columns.side.push(record.side.into());
        columns.protocol.push(record.protocol);
        columns.local.push(place(record.local));
        columns.remote.push(place(record.remote));
        columns.server_port.push(record.port);
        columns.opened.push(record.opened);
        columns.refused.push(record.refused);
        columns.denied.push(record.denied);
        columns.bytes_sent.push(record.bytes.0);
        columns.bytes_received.push(record.bytes.1);
        columns.dialled.push(record.dialled.map_or(0, |(ip, port)| {
            dialled.push(SocketAddress { ip: bytes(ip), port: port.into() });
            u32::try_from(dialled.len()).unwrap()
        }));
    }
    let records = Some(columns);
    Body { base, endpoints, dialled, records, losses, ..Body::default() }
}

/// A batch of records.
pub(crate) fn batch(sequence: u64, base: u64, records: &[Record]) -> Batch {
    let body = body(base, records, Vec::new()).encode_to_vec().into();
    Batch { sequence, records: u32::try_from(records.len()).unwrap(), body }
}

/// An agent with an open stream.
pub(crate) struct Agent {
    pub(crate) welcome: Welcome,
    outgoing: mpsc::Sender<AgentMessage>,
    incoming: Streaming<ServerMessage>,
    acknowledged: u64,
}

/// What an agent says first.
pub(crate) fn hello(node: &str, incarnation: u64) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        cluster: "prod".to_owned(),
        node: node.to_owned(),
        incarnation,
        agent_version: "test".to_owned(),
        machine: MachineKind::Node.into(),
    }
}

pub(crate) async fn channel(address: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    tonic::transport::Endpoint::new(format!("http://{address}"))?.connect().await
}

impl Agent {
    pub(crate) async fn connect(address: SocketAddr, hello: Hello) -> Result<Self, Status> {
        let channel =
            channel(address).await.map_err(|fault| Status::unavailable(fault.to_string()))?;
        Self::over(channel, hello).await
    }

    pub(crate) async fn over(channel: Channel, hello: Hello) -> Result<Self, Status> {
        let (outgoing, messages) = mpsc::channel(4);
        let message = AgentMessage { kind: Some(agent_message::Kind::Hello(hello)) };
        outgoing.send(message).await.map_err(|_| Status::unavailable("closed"))?;
        let mut client = IngestClient::new(channel).max_encoding_message_size(usize::MAX);
        let mut incoming = client.stream(ReceiverStream::new(messages)).await?.into_inner();
        match incoming.message().await?.and_then(|message| message.kind) {
            Some(server_message::Kind::Welcome(welcome)) => {
                Ok(Self { acknowledged: welcome.last_sequence, welcome, outgoing, incoming })
            }
            other => Err(Status::internal(format!("{other:?} instead of a welcome"))),
        }
    }

    pub(crate) async fn send(&self, batch: Batch) -> Result<(), Status> {
        let message = AgentMessage { kind: Some(agent_message::Kind::Batch(batch)) };
        self.outgoing.send(message).await.map_err(|_| Status::unavailable("closed"))
    }

    /// Waits until everything up to a batch is acknowledged, or the stream ends.
    pub(crate) async fn acknowledged(&mut self, sequence: u64) -> Result<(), Status> {
        while self.acknowledged < sequence {
            self.next().await?;
        }
        Ok(())
    }

    /// Waits for the next acknowledgement.
    pub(crate) async fn next(&mut self) -> Result<u64, Status> {
        match self.incoming.message().await?.and_then(|message| message.kind) {
            Some(server_message::Kind::Ack(ack)) => {
                assert!(ack.sequence > self.acknowledged, "{ack:?} again");
                self.acknowledged = ack.sequence;
                Ok(ack.sequence)
            }
            other => Err(Status::unavailable(format!("the stream ended: {other:?}"))),
        }
    }

    /// How the stream ends.
    pub(crate) async fn end(mut self) -> Status {
        loop {
            match self.incoming.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("ended"),
                Err(status) => return status,
            }
        }
    }

    /// Says that nothing more comes, and waits until all is acknowledged.
    pub(crate) async fn finish(self) -> Status {
        let Self { outgoing, mut incoming, .. } = self;
        drop(outgoing);
        loop {
            match incoming.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("ended"),
                Err(status) => return status,
            }
        }
    }
}
