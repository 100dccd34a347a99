//! The address space, cut where ipBlocks cut it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fixedbitset::FixedBitSet;
use foldhash::{HashMap, HashSet};
use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use ringfence_model::{Cidr, IpBlock};

use crate::end_set::EndSet;
use crate::index::index;

/// A block of addresses, and whom it sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Block {
    pub(crate) block: IpBlock,
    pub(crate) sees: Sees,
}

/// Whom a [`Block`] matches by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sees {
    /// What the profile says of ipBlocks.
    ByProfile,
    /// Everyone, pods and nodes included.
    Everyone,
}

/// Addresses that lie in exactly the same ipBlocks, so that policies cannot tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    /// First and last addresses, ascending, IPv4 before IPv6.
    ranges: Vec<(IpAddr, IpAddr)>,
}

impl Atom {
    /// One of its addresses.
    pub fn representative(&self) -> IpAddr {
        let (first, last) = *self.ranges.first().unwrap_or(&UNSPECIFIED);
        // The all-zeros address of a family is no host.
        if first.is_unspecified() && first != last {
            let (family, _) = number(first);
            family.address(1)
        } else {
            first
        }
    }

    /// The fewest prefixes that hold its addresses and no others, ascending, IPv4 before IPv6.
    pub fn cidrs(&self) -> Vec<IpNet> {
        let nets = self.ranges.iter().flat_map(|&range| match range {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                IpSubnets::V4(Ipv4Subnets::new(first, last, 0))
            }
            (first, last) => IpSubnets::V6(Ipv6Subnets::new(v6(first), v6(last), 0)),
        });
        nets.collect()
    }
}

const UNSPECIFIED: (IpAddr, IpAddr) =
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// One address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const BOTH: [Self; 2] = [Self::V4, Self::V6];

    const fn last(self) -> u128 {
        match self {
            Self::V4 => u32::MAX as u128,
            Self::V6 => u128::MAX,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "numbers of the V4 line are below 2^32")]
    const fn address(self, number: u128) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
            Self::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }
}

fn number(ip: IpAddr) -> (Family, u128) {
    match ip.to_canonical() {
        IpAddr::V4(v4) => (Family::V4, v4.to_bits().into()),
        IpAddr::V6(v6) => (Family::V6, v6.to_bits()),
    }
}

/// The addresses of one family: from each start up to the next, one atom.
#[derive(Clone, Debug, Default)]
struct Line {
    starts: Vec<u128>,
    atoms: Vec<u32>,
}

/// Every address, by atom.
#[derive(Clone, Debug)]
pub(crate) struct AddressSpace {
    lines: [Line; 2],
    pub(crate) atoms: Vec<Atom>,
    /// The atoms of each block.
    pub(crate) of_block: Vec<EndSet>,
}

/// The atoms found so far, by a signature of the blocks around them.
#[derive(Default)]
struct KnownAtoms {
    by_signature: HashMap<u64, Vec<u32>>,
    /// In how many blocks each atom is.
    sizes: Vec<usize>,
}

/// The blocks around the address that the sweep has come to.
struct Around {
    blocks: FixedBitSet,
    size: usize,
    /// Changes with every block; equal sets have equal signatures.
    signature: u64,
}

impl Around {
    fn new(blocks: usize) -> Self {
        Self { blocks: FixedBitSet::with_capacity(blocks), size: 0, signature: 0 }
    }

    /// Goes into a prefix, and tells which blocks changed sides there.
    fn enter(&mut self, cut: &Cut, blocks: &[Block]) -> Vec<u32> {
        let left = cut.excepts.iter().filter(|b| self.blocks.contains(**b as usize));
        let mut changed: Vec<u32> = left.copied().collect();
        changed.extend(&cut.begins);
        self.toggle(&changed);
        if cut.apart {
            let blind = |block: &usize| blocks[*block].sees == Sees::ByProfile;
            let out: Vec<u32> = self.blocks.ones().filter(blind).map(index).collect();
            self.toggle(&out);
            changed.extend(out);
        }
        changed
    }

    fn toggle(&mut self, blocks: &[u32]) {
        for &block in blocks {
            self.blocks.toggle(block as usize);
            let is_inside = self.blocks.contains(block as usize);
            self.size = if is_inside { self.size + 1 } else { self.size - 1 };
            self.signature ^= (u64::from(block) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
}

/// A prefix that blocks begin with or except.
struct Cut {
    family: Family,
    first: u128,
    last: u128,
    begins: Vec<u32>,
    excepts: Vec<u32>,
    /// Whether its address is only in blocks that see everyone.
    apart: bool,
}

impl AddressSpace {
    /// Cuts the space along the blocks. The addresses of `apart` are only in blocks that see everyone.
    pub(crate) fn new(blocks: &[Block], apart: &HashSet<IpAddr>) -> Self {
        let cuts = cuts(blocks, apart);
        let mut space = Self {
            lines: [Line::default(), Line::default()],
            atoms: Vec::new(),
            of_block: vec![EndSet::new(Vec::new(), 0); blocks.len()],
        };
        let mut known = KnownAtoms::default();
        for family in Family::BOTH {
            space.cut(family, blocks, &cuts, &mut known);
        }
        space
    }

    /// Sweeps one family from its first address to its last. Prefixes nest, so the ones around an address are a stack.
    fn cut(&mut self, family: Family, blocks: &[Block], cuts: &[Cut], known: &mut KnownAtoms) {
        let cuts: Vec<&Cut> = cuts.iter().filter(|c| c.family == family).collect();
        let mut starts: Vec<u128> = cuts
            .iter()
            .flat_map(|c| [Some(c.first), c.last.checked_add(1).filter(|n| *n <= family.last())])
            .flatten()
            .chain([0])
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let mut upcoming = cuts.into_iter().peekable();
        let mut around = Around::new(blocks.len());
        // Last address of a prefix, and the blocks that changed sides where it began.
        let mut stack: Vec<(u128, Vec<u32>)> = Vec::new();
        for (n, &start) in starts.iter().enumerate() {
            while let Some((_, changed)) = stack.pop_if(|(last, _)| *last < start) {
                around.toggle(&changed);
            }
            while let Some(cut) = upcoming.next_if(|c| c.first == start) {
                stack.push((cut.last, around.enter(cut, blocks)));
            }
            let last = starts.get(n + 1).map_or(family.last(), |next| next - 1);
            let atom = self.atom_of(&around, known);
            let line = &mut self.lines[family as usize];
            let ranges = &mut self.atoms[atom as usize].ranges;
            if line.atoms.last() == Some(&atom) {
                // Neighbours that differ in no block are one range.
                if let Some(range) = ranges.last_mut() {
                    range.1 = family.address(last);
                }
            } else {
                line.starts.push(start);
                line.atoms.push(atom);
                ranges.push((family.address(start), family.address(last)));
            }
        }
    }

    /// The atom of the addresses in exactly these blocks, which may be a new one.
    fn atom_of(&mut self, around: &Around, known: &mut KnownAtoms) -> u32 {
        let alike = known.by_signature.entry(around.signature).or_default();
        let same = alike.iter().copied().find(|atom| {
            let inside = |block: usize| self.of_block[block].contains(*atom);
            known.sizes[*atom as usize] == around.size && around.blocks.ones().all(inside)
        });
        same.unwrap_or_else(|| {
            let atom = index(self.atoms.len());
            alike.push(atom);
            known.sizes.push(around.size);
            self.atoms.push(Atom { ranges: Vec::new() });
            for block in around.blocks.ones() {
                self.of_block[block].set(atom, true);
            }
            atom
        })
    }

    /// Cuts the space along one more block, the last of all. Returns the atoms that were cut, each with the new one
    /// for its part inside the block.
    pub(crate) fn add(&mut self, block: &Block, apart: &HashSet<IpAddr>) -> Vec<(u32, u32)> {
        let (family, inside) = inside(block, apart);
        let mut pieces: Vec<(u128, u32, bool)> = Vec::new();
        let line = &self.lines[family as usize];
        let edges = inside.iter().flat_map(|(first, last)| {
            [Some(*first), last.checked_add(1).filter(|n| *n <= family.last())]
        });
        let mut starts: Vec<u128> = line.starts.iter().copied().chain(edges.flatten()).collect();
        starts.sort_unstable();
        starts.dedup();
        for start in starts {
            let place = inside.partition_point(|(first, _)| *first <= start);
            let is_inside = place > 0 && start <= inside[place - 1].1;
            pieces.push((start, line.atom(start), is_inside));
        }
        // An atom is cut when a part of it is outside: here, or in the other family.
        let other = &self.lines[Family::BOTH[1 - family as usize] as usize];
        let mut outside: HashSet<u32> = other.atoms.iter().copied().collect();
        outside.extend(pieces.iter().filter(|(_, _, is_inside)| !is_inside).map(|piece| piece.1));
        let mut cut: Vec<(u32, u32)> = Vec::new();
        let mut members: Vec<u32> = Vec::new();
        for (_, atom, is_inside) in &mut pieces {
            if !*is_inside {
                continue;
            }
            if outside.contains(atom) {
                let known = cut.iter().find(|(whole, _)| whole == atom).map(|(_, part)| *part);
                *atom = known.unwrap_or_else(|| {
                    let part = index(self.atoms.len());
                    self.atoms.push(Atom { ranges: Vec::new() });
                    cut.push((*atom, part));
                    part
                });
            }
            members.push(*atom);
        }
        self.lay(family, &pieces);
        for &(whole, part) in &cut {
            for block in &mut self.of_block {
                if block.contains(whole) {
                    block.set(part, true);
                }
            }
        }
        members.sort_unstable();
        members.dedup();
        self.of_block.push(EndSet::new(members, self.atoms.len()));
        cut
    }

    /// Lays the line of a family anew, and the ranges of its atoms.
    fn lay(&mut self, family: Family, pieces: &[(u128, u32, bool)]) {
        for atom in &mut self.atoms {
            atom.ranges.retain(|(first, _)| number(*first).0 != family);
        }
        let mut line = Line::default();
        for (n, &(start, atom, _)) in pieces.iter().enumerate() {
            let last = pieces.get(n + 1).map_or(family.last(), |next| next.0 - 1);
            let is_more = line.atoms.last() == Some(&atom);
            let ranges = &mut self.atoms[atom as usize].ranges;
            match ranges.last_mut() {
                Some(range) if is_more => range.1 = family.address(last),
                _ => {
                    line.starts.push(start);
                    line.atoms.push(atom);
                    ranges.push((family.address(start), family.address(last)));
                }
            }
        }
        self.lines[family as usize] = line;
        // IPv4 before IPv6.
        for atom in &mut self.atoms {
            atom.ranges.sort_unstable();
        }
    }

    /// The common cut of two spaces: for every pair of atoms that share addresses, what they share.
    pub(crate) fn joint(&self, other: &Self) -> Vec<((u32, u32), Atom)> {
        let mut found: Vec<((u32, u32), Atom)> = Vec::new();
        let mut places: HashMap<(u32, u32), usize> = HashMap::default();
        for family in Family::BOTH {
            let (a, b) = (&self.lines[family as usize], &other.lines[family as usize]);
            let mut starts: Vec<u128> = a.starts.iter().chain(&b.starts).copied().collect();
            starts.sort_unstable();
            starts.dedup();
            for (n, &start) in starts.iter().enumerate() {
                let last = starts.get(n + 1).map_or(family.last(), |next| next - 1);
                let both = (a.atom(start), b.atom(start));
                let place = *places.entry(both).or_insert_with(|| {
                    found.push((both, Atom { ranges: Vec::new() }));
                    found.len() - 1
                });
                found[place].1.ranges.push((family.address(start), family.address(last)));
            }
        }
        found
    }

    /// The atom of an address.
    pub(crate) fn atom(&self, ip: IpAddr) -> u32 {
        let (family, number) = number(ip);
        self.lines[family as usize].atom(number)
    }
}

impl Line {
    fn atom(&self, number: u128) -> u32 {
        // The first start is 0, so there is always one at or before.
        self.atoms[self.starts.partition_point(|start| *start <= number) - 1]
    }
}

/// The distinct prefixes of the blocks, outer ones before those inside.
fn cuts(blocks: &[Block], apart: &HashSet<IpAddr>) -> Vec<Cut> {
    let mut by_cidr: HashMap<Cidr, Cut> = HashMap::default();
    let mut cut = |cidr: Cidr, change: &mut dyn FnMut(&mut Cut)| {
        change(by_cidr.entry(cidr).or_insert_with(|| Cut::new(cidr)));
    };
    for (n, block) in blocks.iter().enumerate() {
        cut(block.block.cidr(), &mut |cut| cut.begins.push(index(n)));
        for &except in block.block.except() {
            cut(except, &mut |cut| cut.excepts.push(index(n)));
        }
    }
    for &ip in apart {
        cut(Cidr::host(ip), &mut |cut| cut.apart = true);
    }
    let mut cuts: Vec<Cut> = by_cidr.into_values().collect();
    cuts.sort_unstable_by_key(|c| (c.first, std::cmp::Reverse(c.last)));
    cuts
}

/// The first and the last address of a prefix.
fn bounds(cidr: Cidr) -> (Family, u128, u128) {
    let (family, first) = number(cidr.net().network());
    let last = match cidr.net() {
        IpNet::V4(net) => net.broadcast().to_bits().into(),
        IpNet::V6(net) => net.broadcast().to_bits(),
    };
    (family, first, last)
}

/// The addresses in a block, as ranges in ascending order.
fn inside(block: &Block, apart: &HashSet<IpAddr>) -> (Family, Vec<(u128, u128)>) {
    let (family, first, last) = bounds(block.block.cidr());
    let mut holes: Vec<(u128, u128)> = block
        .block
        .except()
        .iter()
        .map(|except| {
            let (_, first, last) = bounds(*except);
            (first, last)
        })
        .collect();
    if block.sees == Sees::ByProfile {
        let inside = apart.iter().filter(|ip| block.block.cidr().contains(**ip));
        holes.extend(inside.map(|ip| (number(*ip).1, number(*ip).1)));
    }
    holes.sort_unstable();
    let mut ranges = Vec::new();
    let mut from = Some(first);
    for (hole, end) in holes {
        if let Some(from) = from.filter(|from| *from < hole) {
            ranges.push((from, hole - 1));
        }
        // Holes nest or lie apart.
        from = from.and_then(|from| Some(from.max(end.checked_add(1)?)));
    }
    ranges.extend(from.filter(|from| *from <= last).map(|from| (from, last)));
    (family, ranges)
}

impl Cut {
    fn new(cidr: Cidr) -> Self {
        let (family, first, last) = bounds(cidr);
        Self { family, first, last, begins: Vec::new(), excepts: Vec::new(), apart: false }
    }
}
