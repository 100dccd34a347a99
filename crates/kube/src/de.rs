//! Serde over a [`Node`]: typed structs from the tree, with faults that name line and field.
//!
//! The typing is that of the API server behind kubectl: an unquoted `true` or `80` is no string, a quoted `"80"` is
//! no number, and null is the same as absent (for an element of a list: the same as an empty object).

use std::fmt;

use serde::de::{self, IntoDeserializer, Unexpected, Visitor, value::StrDeserializer};
use serde::{Deserialize, Deserializer};

use crate::fault::Fault;
use crate::node::{Key, Node, Scalar, Value, resolve};

/// Reads a typed value.
pub(crate) fn from_node<'n, T: Deserialize<'n>>(node: &'n Node<'n>) -> Result<T, Fault> {
    T::deserialize(NodeDe(node)).map_err(|fault| fault.at(node.line))
}

/// A value with the line where it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lined<T> {
    pub(crate) line: u32,
    pub(crate) value: T,
}

impl Lined<String> {
    pub(crate) fn as_ref(&self) -> Lined<&str> {
        Lined { line: self.line, value: &self.value }
    }
}

const LINED: &str = "ringfence::Lined";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lined<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pair<T> {
            type Value = Lined<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its line")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Lined<T>, A::Error> {
                let line =
                    seq.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let value =
                    seq.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &self))?;
                Ok(Lined { line, value })
            }
        }
        deserializer.deserialize_newtype_struct(LINED, Pair(std::marker::PhantomData))
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(0, message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let wanted = match expected.to_string().as_str() {
            "i64" | "u32" => "a number".to_owned(),
            wanted => wanted.to_owned(),
        };
        let found = match found {
            Unexpected::Map => "a mapping".to_owned(),
            Unexpected::Seq => "a sequence".to_owned(),
            Unexpected::Unit => "nothing".to_owned(),
            other => format!("the {other}"),
        };
        let fault = Self::new(0, format!("expected {wanted}, found {found}"));
        if wanted.contains("string") && found.starts_with("the ") {
            fault.hint("quote it")
        } else if found.starts_with("the string") && matches!(&*wanted, "a number" | "a boolean") {
            fault.hint("remove the quotes")
        } else {
            fault
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let fault = Self::new(0, format!("unknown field {field:?}"));
        let begun = expected.iter().find(|e| field.len() > 2 && e.starts_with(field));
        let near = begun.or_else(|| expected.iter().find(|e| near(field, e)));
        fault.hint(near.map_or_else(
            || format!("the fields are {}", expected.join(", ")),
            |near| format!("did you mean {near}?"),
        ))
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        Self::new(0, format!("{found:?} is not one of {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(0, format!("the field {field:?} is missing"))
    }
}

/// Whether one letter more, less or other, two letters swapped, or a change of case makes the two equal.
fn near(a: &str, b: &str) -> bool {
    if a.eq_ignore_ascii_case(b) {
        return true;
    }
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let (short, long) = (short.as_bytes(), long.as_bytes());
    let head = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    match long.len() - short.len() {
        0 => {
            let swapped =
                short.get(head) == long.get(head + 1) && long.get(head) == short.get(head + 1);
            let rest = if swapped { head + 2 } else { head + 1 };
            short.get(rest..) == long.get(rest..)
        }
        1 => short.get(head..) == long.get(head + 1..),
        _ => false,
    }
}

#[derive(Clone, Copy)]
struct NodeDe<'n>(&'n Node<'n>);

impl<'n> NodeDe<'n> {
    fn found(self) -> Unexpected<'n> {
        match &self.0.value {
            Value::Plain(text) => match resolve(text) {
                Scalar::Null => Unexpected::Unit,
                Scalar::Bool(value) => Unexpected::Bool(value),
                Scalar::Int(value) => Unexpected::Signed(value),
                Scalar::Float(value) => Unexpected::Float(value),
                Scalar::Text(text) => Unexpected::Str(text),
            },
            Value::Text(text) => Unexpected::Str(text),
            Value::Seq(_) => Unexpected::Seq,
            Value::Map(_) | Value::Unread => Unexpected::Map,
        }
    }

    fn mismatch<T>(self, expected: &dyn de::Expected) -> Result<T, Fault> {
        let mut fault = <Fault as de::Error>::invalid_type(self.found(), expected);
        fault.line = self.0.line;
        Err(fault)
    }
}

impl<'n> Deserializer<'n> for NodeDe<'n> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Plain(text) => match resolve(text) {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(value) => visitor.visit_bool(value),
                Scalar::Int(value) => visitor.visit_i64(value),
                Scalar::Float(value) => visitor.visit_f64(value),
                Scalar::Text(text) => visitor.visit_borrowed_str(text),
            },
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Seq(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Value::Map(entries) => {
                visitor.visit_map(Entries { rest: entries.iter(), value: None, nulls: true })
            }
            Value::Unread => visitor.visit_unit(),
        }
        .map_err(|fault: Fault| fault.at(self.0.line))
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_str<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Plain(text) => match resolve(text) {
                Scalar::Text(text) => visitor.visit_borrowed_str(text),
                Scalar::Null => visitor.visit_borrowed_str(""),
                _ => self.mismatch(&"a string"),
            },
            _ => self.mismatch(&"a string"),
        }
        .map_err(|fault: Fault| fault.at(self.0.line))
    }

    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Seq(_) => self.deserialize_any(visitor),
            _ if self.0.is_null() => visitor.visit_seq(Items { items: [].iter(), index: 0 }),
            _ => self.mismatch(&"a list"),
        }
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Map(_) => self.deserialize_any(visitor),
            _ if self.0.is_null() => {
                visitor.visit_map(Entries { rest: [].iter(), value: None, nulls: true })
            }
            _ => self.mismatch(&"a mapping"),
        }
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let entries = match &self.0.value {
            Value::Map(entries) => entries.iter(),
            _ if self.0.is_null() => [].iter(),
            _ => return self.mismatch(&"a mapping"),
        };
        visitor
            .visit_map(Entries { rest: entries, value: None, nulls: false })
            .map_err(|fault: Fault| fault.at(self.0.line))
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == LINED {
            visitor.visit_seq(LinedParts { node: self.0, part: 0 })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    /// A string is a unit variant; a mapping with one entry is a variant that holds something.
    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = match &self.0.value {
            Value::Map(entries) => match entries.as_slice() {
                [(key, value)] => {
                    visitor.visit_enum(Variant { key, value }).map_err(|fault| fault.at(key.line))
                }
                _ => Err(<Fault as de::Error>::custom(format_args!(
                    "expected exactly one of {}, found {}",
                    variants.join(", "),
                    if entries.is_empty() { "none" } else { "several" }
                ))),
            },
            _ => match self.0.as_text() {
                Some(text) => {
                    let unit: StrDeserializer<'_, Fault> = text.into_deserializer();
                    visitor.visit_enum(unit)
                }
                None => self.mismatch(&format!("one of {}", variants.join(", ")).as_str()),
            },
        };
        result.map_err(|fault| fault.at(self.0.line))
    }

    fn deserialize_ignored_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'n>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

struct LinedParts<'n> {
    node: &'n Node<'n>,
    part: u8,
}

impl<'n> de::SeqAccess<'n> for LinedParts<'n> {
    type Error = Fault;
    fn next_element_seed<T: de::DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        self.part += 1;
        match self.part {
            1 => seed.deserialize(self.node.line.into_deserializer()).map(Some),
            2 => seed.deserialize(NodeDe(self.node)).map(Some),
            _ => Ok(None),
        }
    }
}

struct Items<'n> {
    items: std::slice::Iter<'n, Node<'n>>,
    index: usize,
}

impl<'n> de::SeqAccess<'n> for Items<'n> {
    type Error = Fault;
    fn next_element_seed<T: de::DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(NodeDe(node))
            .map(Some)
            .map_err(|fault| fault.inside(&format!("[{index}]"), node.line))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'n> {
    rest: std::slice::Iter<'n, (Key<'n>, Node<'n>)>,
    value: Option<&'n (Key<'n>, Node<'n>)>,
    /// Whether null values are entries: yes in maps of the user's, no in structs.
    nulls: bool,
}

impl<'n> de::MapAccess<'n> for Entries<'n> {
    type Error = Fault;

    fn next_key_seed<K: de::DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let nulls = self.nulls;
        let Some(entry) = self.rest.by_ref().find(|(_, value)| nulls || !value.is_null()) else {
            return Ok(None);
        };
        self.value = Some(entry);
        let key = de::value::BorrowedStrDeserializer::<Fault>::new(&entry.0.text);
        seed.deserialize(key).map(Some).map_err(|fault| fault.at(entry.0.line))
    }

    fn next_value_seed<V: de::DeserializeSeed<'n>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, node)) = self.value.take() else {
            return Err(<Fault as de::Error>::custom("a value without a key"));
        };
        seed.deserialize(NodeDe(node)).map_err(|fault| fault.inside(&key.text, node.line))
    }
}

struct Variant<'n> {
    key: &'n Key<'n>,
    value: &'n Node<'n>,
}

impl<'n> de::EnumAccess<'n> for Variant<'n> {
    type Error = Fault;
    type Variant = Self;
    fn variant_seed<V: de::DeserializeSeed<'n>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let key = de::value::BorrowedStrDeserializer::<Fault>::new(&self.key.text);
        Ok((seed.deserialize(key)?, self))
    }
}

impl<'n> de::VariantAccess<'n> for Variant<'n> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        NodeDe(self.value).mismatch(&"nothing")
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'n>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(NodeDe(self.value))
            .map_err(|fault| fault.inside(&self.key.text, self.value.line))
    }

    fn tuple_variant<V: Visitor<'n>>(self, _len: usize, visitor: V) -> Result<V::Value, Fault> {
        NodeDe(self.value).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'n>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        NodeDe(self.value)
            .deserialize_struct("", fields, visitor)
            .map_err(|fault| fault.inside(&self.key.text, self.value.line))
    }
}
