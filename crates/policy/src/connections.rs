//! Distinct connection sets by position, with memory of what was computed of them.

use foldhash::HashMap;

use crate::connection::ConnectionSet;
use crate::index::index;
use crate::policy_set::PolicySet;

/// The position of the empty set.
pub(crate) const NONE: u32 = 0;
/// The position of the set that holds everything.
pub(crate) const ALL: u32 = 1;

/// Distinct connection sets, with what was computed of them.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) sets: Vec<ConnectionSet>,
    ids: HashMap<ConnectionSet, u32>,
    resolved: HashMap<(u32, u32), u32>,
    unions: HashMap<(u32, u32), u32>,
    intersections: HashMap<(u32, u32), u32>,
    differences: HashMap<(u32, u32), u32>,
}

impl Connections {
    pub(crate) fn new() -> Self {
        let mut connections = Self {
            sets: Vec::new(),
            ids: HashMap::default(),
            resolved: HashMap::default(),
            unions: HashMap::default(),
            intersections: HashMap::default(),
            differences: HashMap::default(),
        };
        let (none, all) =
            (connections.id(ConnectionSet::empty()), connections.id(ConnectionSet::all()));
        debug_assert_eq!((none, all), (NONE, ALL));
        connections
    }

    fn id(&mut self, set: ConnectionSet) -> u32 {
        let next = index(self.sets.len());
        *self.ids.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            next
        })
    }

    pub(crate) fn resolve(&mut self, set: &PolicySet, ports: u32, named: u32) -> u32 {
        // Most rules name no port by name and mean the same everywhere.
        let named = if set.port(ports).names.is_empty() { 0 } else { named };
        if let Some(id) = self.resolved.get(&(ports, named)) {
            return *id;
        }
        let id = self.id(set.resolved(ports, named));
        self.resolved.insert((ports, named), id);
        id
    }

    pub(crate) fn union(&mut self, a: u32, b: u32) -> u32 {
        match (a, b) {
            (NONE, x) | (x, NONE) => x,
            (ALL, _) | (_, ALL) => ALL,
            _ if a == b => a,
            _ => {
                let key = (a.min(b), a.max(b));
                if let Some(id) = self.unions.get(&key) {
                    return *id;
                }
                let id = self.id(self.sets[a as usize].union(&self.sets[b as usize]));
                self.unions.insert(key, id);
                id
            }
        }
    }

    pub(crate) fn intersection(&mut self, a: u32, b: u32) -> u32 {
        match (a, b) {
            (NONE, _) | (_, NONE) => NONE,
            (ALL, x) | (x, ALL) => x,
            _ if a == b => a,
            _ => {
                let key = (a.min(b), a.max(b));
                if let Some(id) = self.intersections.get(&key) {
                    return *id;
                }
                let id = self.id(self.sets[a as usize].intersection(&self.sets[b as usize]));
                self.intersections.insert(key, id);
                id
            }
        }
    }

    pub(crate) fn difference(&mut self, a: u32, b: u32) -> u32 {
        match (a, b) {
            (NONE, _) | (_, ALL) => NONE,
            (x, NONE) => x,
            _ if a == b => NONE,
            _ => {
                if let Some(id) = self.differences.get(&(a, b)) {
                    return *id;
                }
                let id = self.id(self.sets[a as usize].difference(&self.sets[b as usize]));
                self.differences.insert((a, b), id);
                id
            }
        }
    }
}
