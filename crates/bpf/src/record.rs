//! The records as they lie in the maps, laid out as `c/records.h` says; the tests hold one to the other.

/// `struct flow_key`.
#[repr(C)]
pub(crate) struct RawKey {
    pub(crate) netns: u64,
    pub(crate) cgroup: u64,
    pub(crate) local: [u8; 16],
    pub(crate) remote: [u8; 16],
    pub(crate) dialled: [u8; 16],
    pub(crate) dialled_port: u16,
    pub(crate) port: u16,
    pub(crate) protocol: u8,
    pub(crate) direction: u8,
    pub(crate) pad: [u8; 2],
}

/// `struct counts`.
#[repr(C)]
pub(crate) struct RawCounts {
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    pub(crate) abandoned: u64,
    pub(crate) reset: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_packets: u64,
    pub(crate) received_packets: u64,
}

/// `struct namespace`.
#[repr(C)]
pub(crate) struct RawNamespace {
    pub(crate) cgroup: u64,
    pub(crate) inode: u32,
    pub(crate) process: u32,
}

/// `struct control`.
#[repr(C)]
pub(crate) struct RawControl {
    pub(crate) epoch: u64,
    pub(crate) incarnation: u64,
    pub(crate) ephemeral_first: u32,
    pub(crate) ephemeral_last: u32,
}

pub(crate) const DIRECTION_OUT: u8 = 1;
pub(crate) const DIRECTION_IN: u8 = 2;

pub(crate) const LOSS_CONNECTION_UNKNOWN: usize = 0;
pub(crate) const LOSS_DATAGRAM_UNKNOWN: usize = 1;
pub(crate) const LOSS_NO_MEMORY: usize = 2;
pub(crate) const LOSS_UNPARSED: usize = 3;
pub(crate) const LOSS_CONVERSATION_ROOM: usize = 4;
pub(crate) const LOSS_KINDS: usize = 8;

/// Reads the fields of a record one after the other.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    /// The next bytes; zeros beyond the end, which the lengths checked by the caller rule out.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.0 = rest;
                *bytes
            }
            None => [0; N],
        }
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.bytes())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.bytes())
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.bytes())
    }

    pub(crate) fn u8(&mut self) -> u8 {
        u8::from_ne_bytes(self.bytes())
    }
}

#[cfg(test)]
mod tests;
