//! One copy of every string: label keys and values repeat in every pod of a cluster.

use std::collections::HashSet;
use std::sync::Arc;

/// Strings seen so far.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    all: HashSet<Arc<str>>,
    /// How many of them were in use when last looked.
    used: usize,
}

impl Strings {
    /// The shared copy of a string.
    pub(crate) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.all.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.all.insert(Arc::clone(&new));
        new
    }
    /// Lets go of strings that nobody else holds, once they may be the greater half.
    pub(crate) fn forget_unused(&mut self) {
        if self.all.len() > 1024 + 2 * self.used {
            self.all.retain(|text| Arc::strong_count(text) > 1);
            self.used = self.all.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_strings_are_let_go() {
        let mut strings = Strings::default();
        let kept = strings.share("kept");
        for n in 0..10_000 {
            strings.share(&n.to_string());
            strings.forget_unused();
        }
        assert!(strings.all.len() < 2_000);
        assert!(Arc::ptr_eq(&kept, &strings.share("kept")));
    }
}
