//! The kernel's connection tracking: what it has in its table, and what it tells of changes (`nfnetlink_conntrack.h`).

use std::fs::File;
use std::io;
use std::net::IpAddr;

use ringfence_bpf::Transport;
use rustix::net::netlink::NETFILTER;

use crate::netlink::{Drained, Message, Netlink, attributes};
use crate::sockets::within;

/// Of which changes to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hear {
    /// Of new connections.
    New,
    /// Of everything that becomes of them.
    All,
}

impl Hear {
    const fn groups(self) -> u32 {
        match self {
            Self::New => 0b001,
            Self::All => 0b111,
        }
    }

    /// Room for what happens between two readings, in bytes of the kernel's memory: some 700 a message.
    const fn room(self) -> usize {
        match self {
            Self::New => 8 << 20,
            Self::All => 32 << 20,
        }
    }
}

/// Messages of the subsystem.
const NEW: u16 = 1 << 8;
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
/// A message about something new says that it was to be created.
const CREATE: u16 = 0x400;
/// The family and version before the attributes.
const FAMILY: usize = 4;

/// The connection tracking of the network namespace in which this was opened.
#[derive(Debug)]
pub(crate) struct Conntrack {
    events: Netlink,
    requests: Netlink,
}

/// One end's addresses of a tracked connection, as its packets have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tuple {
    pub(crate) source: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination: IpAddr,
    pub(crate) destination_port: u16,
}

/// Where a TCP connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is being opened.
    Opening,
    /// It was opened; it may be closing.
    Opened,
    /// A reset ended it.
    Reset,
}

/// Packets and bytes, headers of IP included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// What is said of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tracked {
    /// Tells it from others, before and after, between the same ends.
    pub(crate) id: u32,
    pub(crate) transport: Transport,
    /// As the client sends.
    pub(crate) original: Tuple,
    /// As the server answers. Unless addresses are translated it is the reverse.
    pub(crate) reply: Tuple,
    /// Whether the server answered. `None` where nothing is said of it.
    pub(crate) answered: Option<bool>,
    /// TCP only, and only where it is said.
    pub(crate) progress: Option<Progress>,
    /// From the client, and back, where the kernel counts.
    pub(crate) volume: Option<(Volume, Volume)>,
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Its first packet passed.
    New(Tracked),
    /// It changed.
    Changed(Tracked),
    /// It is no longer tracked.
    Gone(Tracked),
}

impl Conntrack {
    /// Opens it in the namespace of the calling thread. Takes `CAP_NET_ADMIN`.
    pub(crate) fn open(hear: Hear) -> io::Result<Self> {
        let events = Netlink::open(Some(NETFILTER), hear.groups(), hear.room())?;
        Ok(Self { events, requests: Netlink::open(Some(NETFILTER), 0, 1 << 20)? })
    }

    /// Opens that of the calling thread's namespace and those of further ones.
    pub(crate) fn open_all(hear: Hear, further: &[File]) -> io::Result<Vec<Self>> {
        let further = further.iter().map(|namespace| within(namespace, || Self::open(hear)));
        [Self::open(hear)].into_iter().chain(further).collect()
    }

    /// What changed since the last time.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Event)) -> io::Result<Drained> {
        self.events.drain(|message| {
            if let Some(event) = Event::decode(message) {
                each(event);
            }
        })
    }

    /// Everything that is in the table.
    pub(crate) fn dump(&mut self, mut each: impl FnMut(Tracked)) -> io::Result<()> {
        self.requests.dump(GET, &[0; FAMILY], |message| {
            if let Some(Event::Changed(tracked) | Event::New(tracked)) = Event::decode(message) {
                each(tracked);
            }
        })
    }
}

impl Event {
    /// `None` for what is not about a connection of a protocol that is observed.
    fn decode(message: Message<'_>) -> Option<Self> {
        let Message { kind, flags, body } = message;
        let tracked = Tracked::decode(body.get(FAMILY..)?)?;
        match kind {
            NEW if flags & CREATE != 0 => Some(Self::New(tracked)),
            NEW => Some(Self::Changed(tracked)),
            DELETE => Some(Self::Gone(tracked)),
            _ => None,
        }
    }
}

impl Tracked {
    /// Whether the server's address is another than the client asked for.
    pub(crate) fn is_translated(&self) -> bool {
        let Tuple { destination, destination_port, .. } = self.original;
        (self.reply.source, self.reply.source_port) != (destination, destination_port)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        const SEEN_REPLY: u32 = 1 << 1;
        let mut id = 0;
        let (mut original, mut reply) = (None, None);
        let (mut sent, mut received) = (None, None);
        let (mut answered, mut progress) = (None, None);
        for (kind, value) in attributes(bytes) {
            match kind {
                1 => original = Some(tuple(value)?),
                2 => reply = Some(tuple(value)?),
                3 => answered = Some(u32::from_be_bytes(value.try_into().ok()?) & SEEN_REPLY != 0),
                4 => progress = state(value),
                9 => sent = Some(volume(value)?),
                10 => received = Some(volume(value)?),
                12 => id = u32::from_be_bytes(value.try_into().ok()?),
                _ => {}
            }
        }
        let ((transport, original), (_, reply)) = (original?, reply?);
        let volume = sent.zip(received);
        Some(Self { id, transport, original, reply, answered, progress, volume })
    }
}

fn nested(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// Ports are 0 where the protocol has none.
fn tuple(bytes: &[u8]) -> Option<(Transport, Tuple)> {
    let (mut source, mut destination) = (None, None);
    for (kind, value) in attributes(nested(bytes, 1)?) {
        match kind {
            1 => source = Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
            2 => destination = Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
            3 => source = Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
            4 => destination = Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
            _ => {}
        }
    }
    let (mut transport, mut source_port, mut destination_port) = (None, 0, 0);
    for (kind, value) in attributes(nested(bytes, 2)?) {
        match kind {
            1 => transport = Transport::from_number(*value.first()?),
            2 => source_port = u16::from_be_bytes(value.try_into().ok()?),
            3 => destination_port = u16::from_be_bytes(value.try_into().ok()?),
            _ => {}
        }
    }
    let (source, destination) = (source?, destination?);
    Some((transport?, Tuple { source, source_port, destination, destination_port }))
}

fn state(bytes: &[u8]) -> Option<Progress> {
    match nested(nested(bytes, 1)?, 1)? {
        [1 | 2 | 9] => Some(Progress::Opening),
        [3..=7] => Some(Progress::Opened),
        [8] => Some(Progress::Reset),
        _ => None,
    }
}

fn volume(bytes: &[u8]) -> Option<Volume> {
    let number = |kind| Some(u64::from_be_bytes(nested(bytes, kind)?.try_into().ok()?));
    Some(Volume { packets: number(1)?, bytes: number(2)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;

    fn tuple_bytes(source: [u8; 4], port: u16, destination: [u8; 4], to: u16) -> Vec<u8> {
        let ips = [attribute(1, &source), attribute(2, &destination)].concat();
        let ports = [
            attribute(1, &[6]),
            attribute(2, &port.to_be_bytes()),
            attribute(3, &to.to_be_bytes()),
        ]
        .concat();
        [attribute(0x8001, &ips), attribute(0x8002, &ports)].concat()
    }

    fn connection() -> Vec<u8> {
        let volume =
            |n: u64| [attribute(1, &n.to_be_bytes()), attribute(2, &(n * 100).to_be_bytes())];
        [
            vec![2, 0, 0, 0],
            attribute(0x8001, &tuple_bytes([10, 1, 0, 5], 40_000, [10, 96, 0, 1], 80)),
            attribute(0x8002, &tuple_bytes([10, 2, 0, 9], 8080, [10, 1, 0, 5], 40_000)),
            attribute(3, &0x2a_u32.to_be_bytes()),
            attribute(0x8004, &attribute(0x8001, &attribute(1, &[3]))),
            attribute(0x8009, &volume(2).concat()),
            attribute(0x800a, &volume(1).concat()),
            attribute(12, &77_u32.to_be_bytes()),
        ]
        .concat()
    }

    #[test]
    fn a_translated_connection_is_read() {
        let body = connection();
        let event = Event::decode(Message { kind: NEW, flags: 0x600, body: &body });
        let Some(Event::New(tracked)) = event else { panic!("{event:?}") };
        assert_eq!(
            (tracked.id, tracked.transport, tracked.answered),
            (77, Transport::Tcp, Some(true))
        );
        assert_eq!(tracked.original.destination.to_string(), "10.96.0.1");
        assert_eq!(
            (tracked.reply.source.to_string(), tracked.reply.source_port),
            ("10.2.0.9".into(), 8080)
        );
        assert_eq!(tracked.progress, Some(Progress::Opened));
        let volume = |packets| Volume { packets, bytes: packets * 100 };
        assert_eq!(tracked.volume, Some((volume(2), volume(1))));
        assert!(tracked.is_translated());
        let changed = Event::decode(Message { kind: NEW, flags: 0, body: &body });
        assert_eq!(changed, Some(Event::Changed(tracked)));
        let gone = Event::decode(Message { kind: DELETE, flags: 0, body: &body });
        assert_eq!(gone, Some(Event::Gone(tracked)));
    }

    #[test]
    fn what_is_cut_short_is_no_connection_and_no_fault() {
        let body = connection();
        for length in 0..108 {
            let body = &body[..length];
            assert_eq!(Event::decode(Message { kind: NEW, flags: 0, body }), None, "{length}");
        }
    }
}
