//! Service addresses that netfilter translates, as kube-proxy has it: from what the connection tracking saw, to the
//! observations of sockets, which know one side of it only.
//!
//! The tracking tells of each connection with its ports, the kernel's counts are sums without the client's port. So they
//! are joined by counting: of the connections that one client address opened to one Service address and port in an
//! interval, as many belong to each server as were tracked to it. That is exact for parallel connections too, while
//! every attempt succeeds or one server stands behind the address; where several do and some attempts fail, their sum
//! stays exact, and which server they count for is by proportion. So is the volume of connections that are open at once.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;

use ringfence_bpf::{Dialled, Transport};
use ringfence_flows::Volume;

use crate::conntrack::{Conntrack, Event, Hear, Tracked};
use crate::netlink::Drained;
use crate::observation::{Observation, Side};

/// How many pairs of a client and an address to remember. Who was silent for long goes first.
const MOST: usize = 65_536;

/// What the tracking saw, as far as no observation has taken it yet, and whereto connections went before.
#[derive(Debug, Default)]
pub(crate) struct Translations {
    ends: HashMap<Ends, Ways>,
    interval: u64,
}

/// Translations, learnt from the connection tracking.
#[derive(Debug)]
pub(crate) struct Translator {
    conntracks: Vec<Conntrack>,
    translations: Translations,
    lost: u64,
}

impl Translator {
    /// Takes in what is there already. The connection tracking is that of the calling thread's namespace, where
    /// kube-proxy has its rules, and of further ones.
    pub(crate) fn start(further: &[File]) -> io::Result<Self> {
        let mut conntracks = Conntrack::open_all(Hear::New, further)?;
        let mut translations = Translations::default();
        for conntrack in &mut conntracks {
            conntrack.dump(|tracked| translations.remember(&tracked))?;
        }
        Ok(Self { conntracks, translations, lost: 0 })
    }

    /// Reads what has happened. To be called a few times a second.
    pub(crate) fn read(&mut self) -> io::Result<()> {
        for conntrack in &mut self.conntracks {
            let drained = conntrack.drain(|event| {
                if let Event::New(tracked) = event {
                    self.translations.learn(&tracked);
                }
            })?;
            self.lost += u64::from(drained == Drained::Lost);
        }
        Ok(())
    }

    /// Ends an interval: observations with both addresses, and how often events found no room.
    pub(crate) fn close(
        &mut self,
        observations: Vec<Observation>,
    ) -> io::Result<(Vec<Observation>, u64)> {
        self.read()?;
        Ok((self.translations.apply(observations), std::mem::take(&mut self.lost)))
    }
}

/// The two ends of connections as the socket at one of them knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    side: Side,
    transport: Transport,
    local: IpAddr,
    remote: IpAddr,
    port: u16,
}

/// The ways that lead from one end to the other.
#[derive(Debug, Default)]
struct Ways {
    each: Vec<Way>,
    /// Of connections that were not translated, where there are such.
    direct: u64,
    /// The interval in which anything was heard last.
    heard: u64,
}

#[derive(Debug)]
struct Way {
    /// The server, where a client's socket knows only what was dialled; else what was dialled.
    to: Dialled,
    /// Connections tracked in this interval, and those of the one before that were not observed then.
    fresh: u64,
    late: u64,
    /// How many connections took this way of late.
    weight: u64,
}

impl Translations {
    /// Takes note of a new connection.
    pub(crate) fn learn(&mut self, tracked: &Tracked) {
        self.note(tracked, |way| way.fresh += 1);
    }

    /// Takes note of a connection that was there before: only its volume is still to come.
    pub(crate) fn remember(&mut self, tracked: &Tracked) {
        self.note(tracked, |way| way.weight += 1);
    }

    fn note(&mut self, tracked: &Tracked, mut note: impl FnMut(&mut Way)) {
        if !tracked.is_translated() {
            return;
        }
        let Tracked { transport, original, reply, .. } = *tracked;
        let server = Dialled { ip: reply.source, port: reply.source_port };
        let asked = Dialled { ip: original.destination, port: original.destination_port };
        let client = Ends {
            side: Side::Client,
            transport,
            local: original.source,
            remote: asked.ip,
            port: asked.port,
        };
        // The server sees the address that the answer goes to, which may be the node's.
        let from = Ends {
            side: Side::Server,
            transport,
            local: server.ip,
            remote: reply.destination,
            port: server.port,
        };
        for (ends, to) in [(client, server), (from, asked)] {
            if self.ends.len() >= MOST && !self.ends.contains_key(&ends) {
                self.forget();
            }
            let ways = self.ends.entry(ends).or_default();
            ways.heard = self.interval;
            note(ways.to(to));
        }
    }

    /// Makes room: the half that was silent for longest goes.
    fn forget(&mut self) {
        let mut heard: Vec<u64> = self.ends.values().map(|ways| ways.heard).collect();
        let middle = heard.len() / 2;
        let (_, limit, _) = heard.select_nth_unstable(middle);
        let limit = *limit;
        let mut spare = MOST / 2;
        self.ends.retain(|_, ways| {
            let stays = ways.heard > limit || (ways.heard == limit && spare > 0);
            spare = spare.saturating_sub(usize::from(stays));
            stays
        });
    }

    /// Ends an interval: observations with both addresses, as far as they are known.
    pub(crate) fn apply(&mut self, observations: Vec<Observation>) -> Vec<Observation> {
        if self.ends.is_empty() {
            return observations;
        }
        let mut all = Vec::with_capacity(observations.len());
        for observation in observations {
            let Observation { side, transport, local, remote, port, dialled, .. } = observation;
            let ends = Ends { side, transport, local, remote, port };
            match self.ends.get_mut(&ends).filter(|_| dialled.is_none()) {
                Some(ways) => {
                    ways.heard = self.interval;
                    ways.split(observation, &mut all);
                }
                None => all.push(observation),
            }
        }
        self.interval += 1;
        for ways in self.ends.values_mut() {
            for way in &mut ways.each {
                // What no interval took was never answered.
                way.late = std::mem::take(&mut way.fresh);
            }
        }
        all
    }
}

impl Ways {
    fn to(&mut self, to: Dialled) -> &mut Way {
        let place = self.each.iter().position(|way| way.to == to).unwrap_or_else(|| {
            self.each.push(Way { to, fresh: 0, late: 0, weight: 0 });
            self.each.len() - 1
        });
        &mut self.each[place]
    }

    /// Shares an observation out.
    fn split(&mut self, observation: Observation, all: &mut Vec<Observation>) {
        let is_client = observation.side == Side::Client;
        let opened = self.take(observation.opened, is_client);
        // The last share is that of connections that were not translated.
        let weights: Vec<u64> = if observation.opened > 0 {
            opened.clone()
        } else {
            self.each.iter().map(|way| way.weight).chain([self.direct]).collect()
        };
        if observation.opened > 0 {
            for (way, opened) in self.each.iter_mut().zip(&opened) {
                way.weight = way.weight / 2 + opened;
            }
            self.direct = self.direct / 2 + opened.last().copied().unwrap_or_default();
        }
        if weights.iter().all(|weight| *weight == 0) {
            return all.push(observation);
        }
        let refused = shares(observation.refused, &weights);
        let sent = volumes(observation.sent, &weights);
        let received = volumes(observation.received, &weights);
        let ways = self.each.iter().map(|way| Some(way.to)).chain([None]);
        for (n, way) in ways.enumerate().filter(|(n, _)| weights[*n] > 0) {
            let mut part = Observation {
                opened: opened[n],
                refused: refused[n],
                sent: sent[n],
                received: received[n],
                ..observation.clone()
            };
            match way {
                Some(server) if is_client => {
                    part.dialled = Some(Dialled { ip: part.remote, port: part.port });
                    (part.remote, part.port) = (server.ip, server.port);
                }
                dialled => part.dialled = dialled,
            }
            all.push(part);
        }
    }

    /// How many of the connections took each way, those that were not translated last. A client's socket at a Service
    /// address has none of these: what was not tracked goes where others went.
    fn take(&mut self, opened: u64, is_client: bool) -> Vec<u64> {
        let mut taken = vec![0; self.each.len() + 1];
        let mut left = opened;
        for late in [true, false] {
            let waiting = |way: &Way| if late { way.late } else { way.fresh };
            let all: Vec<u64> = self.each.iter().map(waiting).collect();
            let sum = all.iter().sum::<u64>().min(left);
            for (n, share) in shares(sum, &all).into_iter().enumerate() {
                let way = &mut self.each[n];
                *(if late { &mut way.late } else { &mut way.fresh }) -= share;
                taken[n] += share;
                left -= share;
            }
        }
        if left > 0 && is_client {
            let mut weights: Vec<u64> = self.each.iter().map(|way| way.weight).collect();
            if weights.iter().all(|weight| *weight == 0) {
                weights.clone_from_slice(&taken[..self.each.len()]);
            }
            for (n, share) in shares(left, &weights).into_iter().enumerate() {
                taken[n] += share;
                left -= share;
            }
        }
        if let Some(direct) = taken.last_mut() {
            *direct = left;
        }
        taken
    }
}

/// A number in parts by weights: whole ones, that add up to it. All are 0 where all weights are.
fn shares(number: u64, weights: &[u64]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let mut weight_before = 0_u128;
    let mut given = 0_u64;
    weights
        .iter()
        .map(|weight| {
            weight_before += u128::from(*weight);
            let until = (u128::from(number) * weight_before).checked_div(sum).unwrap_or(0);
            // No more than the number itself.
            let until = u64::try_from(until).unwrap_or(number);
            let share = until - given;
            given = until;
            share
        })
        .collect()
}

fn volumes(volume: Volume, weights: &[u64]) -> Vec<Volume> {
    let bytes = shares(volume.bytes, weights);
    let packets = shares(volume.packets, weights);
    bytes.into_iter().zip(packets).map(|(bytes, packets)| Volume { bytes, packets }).collect()
}

#[cfg(test)]
mod tests;
