//! What observers say about the ends of flows, parsed once per distinct text.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::FixedState;
use ringfence_model::Name;
use ringfence_model::resolve::Hint;

use crate::fault::Fault;
use crate::generations::{Generations, Touched};

/// How many distinct descriptions to keep: pods seen from their own node and from others, and then some.
const CAPACITY: usize = 1 << 16;

/// Remembers what a text means, because observers describe the same pods over and over.
pub(crate) struct Descriptions<T> {
    by_text: Generations<u64, Known<T>>,
    /// The latest two texts about each address. Nearly always the next text is one of them, and then comparing
    /// finds its end and its meaning sooner than parsing does.
    by_address: Generations<u64, [Option<Known<T>>; 2]>,
}

#[derive(Clone)]
struct Known<T> {
    text: Arc<[u8]>,
    meaning: T,
}

impl<T: Clone> Descriptions<T> {
    pub(crate) fn new() -> Self {
        Self { by_text: Generations::new(CAPACITY), by_address: Generations::new(CAPACITY) }
    }

    /// The length and meaning of the description of an address at the beginning of `rest`, if it is one of the
    /// latest. A description is a JSON object, so that another one cannot begin like it.
    pub(crate) fn recognise(&mut self, address: &[u8], rest: &[u8]) -> Option<(usize, T)> {
        let known = self.by_address.touch(hash_of(&address))?.value;
        known
            .iter()
            .flatten()
            .find(|known| rest.starts_with(&known.text))
            .map(|known| (known.text.len(), known.meaning.clone()))
    }

    /// The meaning of the text about an address, from memory or from `parse`.
    pub(crate) fn get(
        &mut self,
        address: &[u8],
        text: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let hash = hash_of(&text);
        if self.by_text.is_full() {
            self.by_text.age().for_each(drop);
        }
        if self.by_address.is_full() {
            self.by_address.age().for_each(drop);
        }
        let known = match self.by_text.touch(hash) {
            Some(Touched { value: known, .. }) if *known.text == *text => known.clone(),
            _ => {
                let known = Known { text: text.into(), meaning: parse(text)? };
                self.by_text.insert(hash, known).clone()
            }
        };
        let meaning = known.meaning.clone();
        let [first, second] = self.by_address.touch_or_make(hash_of(&address), Default::default);
        *second = first.replace(known);
        Ok(meaning)
    }
}

/// A hash that is the same in every run.
pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    FixedState::default().hash_one(value)
}

/// Names of nodes and the hints that an address is theirs, shared: a log has few and repeats one in each line.
pub(crate) struct Nodes(Descriptions<Option<Arc<Node>>>);

/// A node that observes.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: Name,
    pub(crate) hint: Arc<Hint>,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self(Descriptions::new())
    }

    /// The node with this name; `None` for the empty name. Cilium may put the cluster's name in front
    /// (`cluster/node`).
    pub(crate) fn get(&mut self, text: &[u8]) -> Result<Option<Arc<Node>>, Fault> {
        if let Some((length, node)) = self.0.recognise(text, text)
            && length == text.len()
        {
            return Ok(node);
        }
        self.0.get(text, text, |text| {
            if text.is_empty() {
                return Ok(None);
            }
            let name = std::str::from_utf8(text).map_err(|_| Fault::Utf8)?;
            let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
            let name = Name::new(name).map_err(|_| Fault::value("node name", text))?;
            let hint = Arc::new(Hint::Node(Some(name.clone())));
            Ok(Some(Arc::new(Node { name, hint })))
        })
    }
}
