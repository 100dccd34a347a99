//! What observers say about the ends of flows, parsed once per distinct text.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::fault::Fault;
use crate::generations::{Generations, Touched};

/// How many distinct descriptions to keep: pods seen from their own node and from others, and then some.
const CAPACITY: usize = 1 << 16;

/// Remembers what a text means, because observers describe the same pods over and over.
pub(crate) struct Descriptions<T> {
    known: Generations<u64, (Box<[u8]>, T)>,
}

impl<T: Clone> Descriptions<T> {
    pub(crate) fn new() -> Self {
        Self { known: Generations::new(CAPACITY) }
    }

    /// The meaning of the text, from memory or from `parse`.
    pub(crate) fn get(
        &mut self,
        text: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let hash = hash_of(&text);
        if self.known.is_full() {
            self.known.age().for_each(drop);
        }
        if let Some(Touched { value: (known, meaning), .. }) = self.known.touch(hash)
            && **known == *text
        {
            return Ok(meaning.clone());
        }
        let meaning = parse(text)?;
        self.known.insert(hash, (text.into(), meaning.clone()));
        Ok(meaning)
    }
}

/// A hash that is the same in every run.
pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Names of nodes, shared: a log has few of them and repeats one in each line.
pub(crate) struct Nodes(Descriptions<Option<Node>>);

/// A node that observes.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: ringfence_model::Name,
    /// The hint that an address is this node.
    pub(crate) hint: Arc<ringfence_model::resolve::Hint>,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self(Descriptions::new())
    }

    /// The node with this name; `None` for the empty name. Cilium may put the cluster's name in front
    /// (`cluster/node`).
    pub(crate) fn get(&mut self, text: &[u8]) -> Result<Option<Node>, Fault> {
        self.0.get(text, |text| {
            if text.is_empty() {
                return Ok(None);
            }
            let fault = || Fault::value("node name", text);
            let name = std::str::from_utf8(text).map_err(|_| Fault::Utf8)?;
            let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
            let name = ringfence_model::Name::new(name).map_err(|_| fault())?;
            let hint = Arc::new(ringfence_model::resolve::Hint::Node(Some(name.clone())));
            Ok(Some(Node { name, hint }))
        })
    }
}
