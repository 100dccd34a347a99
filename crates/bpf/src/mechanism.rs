//! What this kernel lets the programs do: facts only, each mechanism tried.

use std::fmt;
use std::fs::File;

use aya::programs::links::{FdLink, LinkError};
use aya::programs::{CgroupAttachMode, Program, ProgramError};
use aya::{Btf, Ebpf};
use thiserror::Error;

use crate::observer::{Observer, ObserverError, Options};

/// A way to see something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// TCP connections, by the states of their sockets. Nothing works without.
    TcpStates,
    /// TCP attempts to ports where nobody listens, at the end that refuses them.
    TcpRefusals,
    /// Packets of UDP, SCTP and ICMP from this machine.
    DatagramsOut,
    /// Packets of UDP, SCTP and ICMP to this machine.
    DatagramsIn,
    /// Port-unreachable errors that meet UDP sockets.
    DatagramRefusals,
    /// The IPv4 address that an application connects to, before a load balancer at the socket.
    DialledConnect4,
    /// The same of IPv6.
    DialledConnect6,
    /// The IPv4 address that an application sends a datagram to, before a load balancer at the socket.
    DialledSend4,
    /// The same of IPv6.
    DialledSend6,
    /// Connections while they are open, and their bytes.
    Sweep,
    /// TCP connections that were open before.
    SeedStreams,
}

/// How a program gets to where it runs.
#[derive(Clone, Copy)]
enum Place {
    /// A tracepoint with types.
    Trace(&'static str),
    /// The cgroup of the options.
    Cgroup,
    /// An iterator, run by hand.
    Iterator(&'static str),
}

impl Mechanism {
    /// All of them, the indispensable one first.
    pub const ALL: [Self; 11] = [
        Self::TcpStates,
        Self::TcpRefusals,
        Self::DatagramsOut,
        Self::DatagramsIn,
        Self::DatagramRefusals,
        Self::DialledConnect4,
        Self::DialledConnect6,
        Self::DialledSend4,
        Self::DialledSend6,
        Self::Sweep,
        Self::SeedStreams,
    ];

    /// Its program in the object.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::TcpStates => "tcp_state",
            Self::TcpRefusals => "tcp_refuse",
            Self::DatagramsOut => "datagram_out",
            Self::DatagramsIn => "datagram_in",
            Self::DatagramRefusals => "datagram_refused",
            Self::DialledConnect4 => "dial_connect4",
            Self::DialledConnect6 => "dial_connect6",
            Self::DialledSend4 => "dial_sendmsg4",
            Self::DialledSend6 => "dial_sendmsg6",
            Self::Sweep => "sweep",
            Self::SeedStreams => "seed_streams",
        }
    }

    const fn place(self) -> Place {
        match self {
            Self::TcpStates => Place::Trace("inet_sock_set_state"),
            Self::TcpRefusals => Place::Trace("tcp_send_reset"),
            Self::DatagramRefusals => Place::Trace("inet_sk_error_report"),
            Self::DatagramsOut
            | Self::DatagramsIn
            | Self::DialledConnect4
            | Self::DialledConnect6
            | Self::DialledSend4
            | Self::DialledSend6 => Place::Cgroup,
            Self::Sweep => Place::Iterator("bpf_map_elem"),
            Self::SeedStreams => Place::Iterator("tcp"),
        }
    }

    /// Whether it runs by itself from when it is attached; the others are run by hand.
    pub(crate) const fn is_attached(self) -> bool {
        !matches!(self.place(), Place::Iterator(_))
    }

    /// What is not seen without it.
    pub const fn without(self) -> &'static str {
        match self {
            Self::TcpStates => "nothing can be observed",
            Self::TcpRefusals => "refused TCP attempts show only at the end that tries",
            Self::DatagramsOut | Self::DatagramsIn => "no UDP, SCTP or ICMP is observed",
            Self::DatagramRefusals => "refused UDP conversations count as unanswered",
            Self::DialledConnect4
            | Self::DialledConnect6
            | Self::DialledSend4
            | Self::DialledSend6 => {
                "Service addresses that a load balancer at the socket translates are not seen"
            }
            Self::Sweep => "connections count when they end",
            Self::SeedStreams => "TCP connections older than the agent are not observed",
        }
    }

    /// Loads the program.
    pub(crate) fn load(self, ebpf: &mut Ebpf, btf: &Btf) -> Result<(), ProgramError> {
        match (ebpf.program_mut(self.program()), self.place()) {
            (Some(Program::BtfTracePoint(program)), Place::Trace(name)) => program.load(name, btf),
            (Some(Program::Iter(program)), Place::Iterator(name)) => program.load(name, btf),
            (Some(Program::CgroupSkb(program)), Place::Cgroup) => program.load(),
            (Some(Program::CgroupSockAddr(program)), Place::Cgroup) => program.load(),
            _ => Err(ProgramError::UnexpectedProgramType),
        }
    }

    /// Attaches the program, which is loaded. Links on one cgroup stack although the mode is called single.
    pub(crate) fn attach(self, ebpf: &mut Ebpf, cgroup: &File) -> Result<FdLink, AttachError> {
        let mode = CgroupAttachMode::Single;
        match ebpf.program_mut(self.program()) {
            Some(Program::BtfTracePoint(program)) => {
                let link = program.attach()?;
                Ok(program.take_link(link)?.into())
            }
            Some(Program::CgroupSkb(program)) => {
                let kind = if self == Self::DatagramsOut {
                    aya::programs::CgroupSkbAttachType::Egress
                } else {
                    aya::programs::CgroupSkbAttachType::Ingress
                };
                let link = program.attach(cgroup, kind, mode)?;
                Ok(program.take_link(link)?.try_into()?)
            }
            Some(Program::CgroupSockAddr(program)) => {
                let link = program.attach(cgroup, mode)?;
                Ok(program.take_link(link)?.try_into()?)
            }
            _ => Err(ProgramError::UnexpectedProgramType.into()),
        }
    }
}

/// Why a program could not be attached.
#[derive(Debug, Error)]
pub(crate) enum AttachError {
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcpStates => "TCP states",
            Self::TcpRefusals => "TCP refusals",
            Self::DatagramsOut => "datagrams out",
            Self::DatagramsIn => "datagrams in",
            Self::DatagramRefusals => "datagram refusals",
            Self::DialledConnect4 => "dialled addresses (connect, IPv4)",
            Self::DialledConnect6 => "dialled addresses (connect, IPv6)",
            Self::DialledSend4 => "dialled addresses (send, IPv4)",
            Self::DialledSend6 => "dialled addresses (send, IPv6)",
            Self::Sweep => "sweep of open connections",
            Self::SeedStreams => "older TCP connections",
        })
    }
}

/// How one mechanism fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub mechanism: Mechanism,
    /// Whether it works here.
    pub state: State,
}

/// Whether a mechanism works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was loaded and, where it is attached, attached.
    Works,
    /// An earlier run had attached it, and it has counted since.
    Kept,
    /// The kernel refused, and said why.
    Refused(String),
}

impl State {
    /// Whether it can be used.
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Works | Self::Kept)
    }
}

/// Tries every mechanism and leaves nothing behind.
pub fn probe(options: &Options) -> Result<Vec<Finding>, ObserverError> {
    let options = Options { pins: None, ..options.clone() };
    match Observer::start(&options) {
        Ok(observer) => Ok(observer.findings().to_vec()),
        Err(ObserverError::Indispensable(findings)) => Ok(findings),
        Err(error) => Err(error),
    }
}
