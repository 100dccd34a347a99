//! The tables that the programs fill: turned, read and emptied so that nothing is lost and nothing counted twice.
//!
//! There are two of each; the parity of the epoch says which is being filled. Turning to the next epoch is one write.
//! When no program that began before is running any more, nobody writes to the table of the old epoch: it can be read
//! at leisure, and emptied after the reader has it safe. A reader that dies in between finds it again.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use aya::Ebpf;
use aya::maps::{Map, MapData};

use crate::flow::{Counts, DecodeError, Flow, FlowKey};
use crate::record::{
    Fields, LOSS_CONNECTION_UNKNOWN, LOSS_CONVERSATION_ROOM, LOSS_DATAGRAM_UNKNOWN, LOSS_KINDS,
    LOSS_NO_MEMORY, LOSS_UNPARSED, RawControl, RawNamespace,
};
use crate::sys;

/// A stretch of time between two turns of the tables, numbered from 1 by the life of the pinned maps.
pub type Epoch = u64;

/// What was not counted where it belongs, in one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// What found the table full: counted, but of connections unknown.
    pub overflow: Counts,
    /// TCP connections that ended without having been known: older than the programs, and not seeded.
    pub connections_unknown: u64,
    /// Packets of sockets that are not known: the kernel's own (tunnels, echo replies), or older than the programs.
    pub datagrams_unknown: u64,
    /// Sockets that the kernel had no memory to follow.
    pub no_memory: u64,
    /// Packets whose headers, and records whose fields, could not be read.
    pub unparsed: u64,
    /// Conversations that could not be remembered: their packets count, their opening does not.
    pub conversation_room: u64,
}

/// How much of the table of one epoch was taken. What comes when it is full goes to [`Losses::overflow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// [`FlowKey`]s that were counted.
    pub used: u32,
    /// [`FlowKey`]s that find room.
    pub capacity: u32,
}

impl Room {
    /// Whole percent of the room that was taken.
    pub fn percent(self) -> u64 {
        u64::from(self.used) * 100 / u64::from(self.capacity.max(1))
    }
}

/// What the maps say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) epoch: Epoch,
    pub(crate) incarnation: u64,
    pub(crate) ephemeral_first: u32,
    pub(crate) ephemeral_last: u32,
}

impl Control {
    fn encode(self) -> Vec<u8> {
        let Self { epoch, incarnation, ephemeral_first, ephemeral_last } = self;
        let mut bytes = Vec::with_capacity(size_of::<RawControl>());
        bytes.extend(epoch.to_ne_bytes());
        bytes.extend(incarnation.to_ne_bytes());
        bytes.extend(ephemeral_first.to_ne_bytes());
        bytes.extend(ephemeral_last.to_ne_bytes());
        bytes
    }

    fn decode(bytes: &[u8; size_of::<RawControl>()]) -> Self {
        let mut fields = Fields(bytes);
        Self {
            epoch: fields.u64(),
            incarnation: fields.u64(),
            ephemeral_first: fields.u32(),
            ephemeral_last: fields.u32(),
        }
    }
}

/// A network namespace in which somebody opened or offered a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its cookie, as in [`FlowKey::netns`].
    pub cookie: u64,
    /// Its inode, as in the link `/proc/PID/ns/net`.
    pub inode: u32,
    /// The first process seen there, by its id in the initial pid namespace. It may have ended.
    pub process: u32,
    /// The cgroup of that process, as in [`FlowKey::cgroup`].
    pub cgroup: u64,
}

/// The maps, by their descriptors.
#[derive(Debug)]
pub(crate) struct Tables {
    even: OwnedFd,
    odd: OwnedFd,
    overflow: OwnedFd,
    losses: OwnedFd,
    control: OwnedFd,
    namespaces: OwnedFd,
    streams: [OwnedFd; 2],
    barrier: OwnedFd,
    capacity: u32,
}

impl Tables {
    pub(crate) fn new(ebpf: &Ebpf) -> io::Result<Self> {
        let losses = descriptor(ebpf, "losses")?;
        let barrier = sys::create_barrier(losses.as_fd())?;
        Ok(Self {
            even: descriptor(ebpf, "flows_even")?,
            odd: descriptor(ebpf, "flows_odd")?,
            overflow: descriptor(ebpf, "overflow")?,
            losses,
            control: descriptor(ebpf, "control")?,
            namespaces: descriptor(ebpf, "namespaces")?,
            streams: [descriptor(ebpf, "streams")?, descriptor(ebpf, "crowded")?],
            barrier,
            capacity: data(ebpf, "flows_even")?.info().map_err(io::Error::other)?.max_entries(),
        })
    }

    /// How much of a table these flows take.
    pub(crate) fn room(&self, flows: &[Flow]) -> Room {
        // No table has more than that.
        let used = u32::try_from(flows.len()).unwrap_or(self.capacity);
        Room { used, capacity: self.capacity }
    }

    /// The sockets that are followed.
    pub(crate) const fn streams(&self) -> &[OwnedFd; 2] {
        &self.streams
    }

    pub(crate) fn control(&self) -> io::Result<Control> {
        let mut bytes = [0; size_of::<RawControl>()];
        sys::lookup(self.control.as_fd(), &0_u32.to_ne_bytes(), &mut bytes)?;
        Ok(Control::decode(&bytes))
    }

    /// Written whole: the programs read the epoch alone, in one piece.
    pub(crate) fn set_control(&self, control: Control) -> io::Result<()> {
        sys::update(self.control.as_fd(), &0_u32.to_ne_bytes(), &control.encode())
    }

    /// Begins an epoch and returns when nobody fills the table of the one before. That must have been empty.
    pub(crate) fn turn(&self) -> io::Result<()> {
        let control = self.control()?;
        self.set_control(Control { epoch: control.epoch + 1, ..control })?;
        self.wait()
    }

    /// Returns when every program that is running now has ended.
    pub(crate) fn wait(&self) -> io::Result<()> {
        sys::wait_for_programs(self.barrier.as_fd(), self.losses.as_fd())
    }

    fn flows(&self, epoch: Epoch) -> &OwnedFd {
        if epoch.is_multiple_of(2) { &self.even } else { &self.odd }
    }

    /// Everything that was counted in an epoch that is over.
    pub(crate) fn read(&self, epoch: Epoch) -> io::Result<(Vec<Flow>, Losses)> {
        let mut flows = Vec::new();
        let mut foreign = 0;
        sys::read_all(self.flows(epoch).as_fd(), FlowKey::SIZE, Counts::SIZE, |key, counts| {
            match decode(key, counts) {
                Ok(flow) => flows.push(flow),
                // No program of this version writes such a record; if one did, the others are still good.
                Err(_) => foreign += 1,
            }
        })?;
        let mut losses = self.losses(epoch)?;
        losses.unparsed += foreign;
        Ok((flows, losses))
    }

    fn losses(&self, epoch: Epoch) -> io::Result<Losses> {
        let mut overflow = [0; Counts::SIZE];
        sys::lookup(self.overflow.as_fd(), &parity(epoch).to_ne_bytes(), &mut overflow)?;
        let count = |kind: usize| {
            let mut bytes = [0; 8];
            sys::lookup(self.losses.as_fd(), &loss_index(epoch, kind)?, &mut bytes)?;
            io::Result::Ok(u64::from_ne_bytes(bytes))
        };
        Ok(Losses {
            overflow: Counts::decode(&overflow).map_err(io::Error::other)?,
            connections_unknown: count(LOSS_CONNECTION_UNKNOWN)?,
            datagrams_unknown: count(LOSS_DATAGRAM_UNKNOWN)?,
            no_memory: count(LOSS_NO_MEMORY)?,
            unparsed: count(LOSS_UNPARSED)?,
            conversation_room: count(LOSS_CONVERSATION_ROOM)?,
        })
    }

    /// Empties the tables of an epoch that is over.
    pub(crate) fn clear(&self, epoch: Epoch) -> io::Result<()> {
        let flows = self.flows(epoch).as_fd();
        let mut keys = Vec::new();
        sys::read_all(flows, FlowKey::SIZE, Counts::SIZE, |key, _| keys.extend_from_slice(key))?;
        sys::delete_all(flows, &keys, FlowKey::SIZE)?;
        sys::update(self.overflow.as_fd(), &parity(epoch).to_ne_bytes(), &[0; Counts::SIZE])?;
        for kind in 0..LOSS_KINDS {
            sys::update(self.losses.as_fd(), &loss_index(epoch, kind)?, &[0; 8])?;
        }
        Ok(())
    }

    /// The namespaces that the programs met; those not used for long make room for others.
    pub(crate) fn namespaces(&self) -> io::Result<Vec<Namespace>> {
        let mut found = Vec::new();
        let size = size_of::<RawNamespace>();
        sys::read_all(self.namespaces.as_fd(), 8, size, |key, value| {
            let mut fields = Fields(value);
            found.push(Namespace {
                cookie: Fields(key).u64(),
                cgroup: fields.u64(),
                inode: fields.u32(),
                process: fields.u32(),
            });
        })?;
        Ok(found)
    }
}

fn decode(key: &[u8], counts: &[u8]) -> Result<Flow, DecodeError> {
    Ok(Flow { key: FlowKey::decode(key)?, counts: Counts::decode(counts)? })
}

fn parity(epoch: Epoch) -> u32 {
    u32::from(!epoch.is_multiple_of(2))
}

fn loss_index(epoch: Epoch, kind: usize) -> io::Result<[u8; 4]> {
    let kinds = u32::try_from(LOSS_KINDS).map_err(io::Error::other)?;
    let kind = u32::try_from(kind).map_err(io::Error::other)?;
    Ok((parity(epoch) * kinds + kind).to_ne_bytes())
}

/// A descriptor of our own of one of the maps.
fn descriptor(ebpf: &Ebpf, name: &str) -> io::Result<OwnedFd> {
    data(ebpf, name)?.fd().as_fd().try_clone_to_owned()
}

fn data<'a>(ebpf: &'a Ebpf, name: &str) -> io::Result<&'a MapData> {
    match ebpf.map(name) {
        Some(Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data)) => Ok(data),
        _ => Err(io::Error::other(format!("the programs have no map {name}"))),
    }
}
