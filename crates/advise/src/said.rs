//! Sentences that other programs can say in their own words, or in another language.

use std::fmt;

use ringfence_model::{Origin, Values};
use serde::Serialize;

/// A sentence in English, with what it takes to say it otherwise: which sentence it is, and what it names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Said<C> {
    /// Which sentence.
    pub code: C,
    /// What it names, by what it is; what is not known is left out.
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, String>))]
    pub values: Values,
    /// The sentence, without a full stop.
    pub text: String,
}

impl<C> fmt::Display for Said<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What has one sentence for each of a closed set of cases: in English by [`fmt::Display`].
pub trait Say: fmt::Display {
    /// The cases.
    type Code;

    /// Which case this is.
    fn code(&self) -> Self::Code;

    /// What its sentence names.
    fn values(&self) -> Values {
        Values::new()
    }

    /// The sentence.
    fn said(&self) -> Said<Self::Code> {
        Said { code: self.code(), values: self.values(), text: self.to_string() }
    }
}

/// The values of a sentence.
pub fn values<const N: usize>(named: [(&'static str, &dyn fmt::Display); N]) -> Values {
    named.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

/// A place as values: `file`, and `line` where it is known.
pub(crate) fn place(origin: &Origin) -> Values {
    let mut values = values([("file", &origin.file)]);
    if origin.line > 0 {
        values.insert("line", origin.line.to_string());
    }
    values
}
