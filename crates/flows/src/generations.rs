//! A map that forgets.

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// A map of bounded size: what was touched lately is in the young half. When that is full, the old half is given
/// up and the young one grows old. So an entry survives at least as many touches of others as a half holds.
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V, FixedState>,
    old: HashMap<K, V, FixedState>,
    half: usize,
}

/// An entry that was touched.
pub(crate) struct Touched<'a, V> {
    pub(crate) value: &'a mut V,
    /// Whether it was old and is young again.
    pub(crate) renewed: bool,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Room for about `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        let (young, old) = Default::default();
        Self { young, old, half: (capacity / 2).max(1) }
    }

    /// The entry, which is young from now on.
    pub(crate) fn touch(&mut self, key: K) -> Option<Touched<'_, V>> {
        match self.young.entry(key) {
            Entry::Occupied(entry) => Some(Touched { value: entry.into_mut(), renewed: false }),
            Entry::Vacant(entry) => {
                let value = self.old.remove(entry.key())?;
                Some(Touched { value: entry.insert(value), renewed: true })
            }
        }
    }

    /// The entry, which is young from now on; made if it is not there.
    pub(crate) fn touch_or_make(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        match self.young.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let value = self.old.remove(entry.key()).unwrap_or_else(make);
                entry.insert(value)
            }
        }
    }

    /// The entry, as old as it is.
    pub(crate) fn peek_mut(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    /// Puts in an entry that is not there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> &mut V {
        self.young.entry(key).insert(value).into_mut()
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Every entry, as old as it is.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.old.iter_mut().chain(&mut self.young)
    }

    /// Gives up the entries that pass.
    pub(crate) fn give_up(
        &mut self,
        mut pass: impl FnMut(&V) -> bool,
    ) -> impl Iterator<Item = (K, V)> {
        let mut given: Vec<(K, V)> = self.old.extract_if(|_, value| pass(value)).collect();
        given.extend(self.young.extract_if(|_, value| pass(value)));
        given.into_iter()
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// Whether [`Self::age`] is due before more is touched or put in.
    pub(crate) fn is_full(&self) -> bool {
        self.young.len() >= self.half
    }

    /// Gives up the old half. What was young is old now.
    pub(crate) fn age(&mut self) -> impl Iterator<Item = (K, V)> {
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.drain()
    }

    /// Gives up everything.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (K, V)> {
        self.old.drain().chain(self.young.drain())
    }
}
