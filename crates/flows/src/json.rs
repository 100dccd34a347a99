//! A walk over JSON text that visits only what is asked for.
//!
//! Flow lines are mostly text that nobody reads. The walk finds the ends of values by their quotes and brackets,
//! and leaves everything else inside a value that is passed over unchecked.

/// What is wrong with the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// The text ends inside a value.
    #[error("the JSON ends too early")]
    Truncated,
    /// Something else than JSON has at this place.
    #[error("not JSON at byte {0}")]
    Unexpected(usize),
}

/// A place in JSON text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Calls `member` with each key, as written between the quotes, and the cursor before its value. `member` must
    /// consume the value.
    pub(crate) fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&'a [u8], &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.expect(b'"')?;
            let key = self.string_rest()?;
            self.expect(b':')?;
            member(key, self)?;
            match self.next()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(JsonError::Unexpected(self.at - 1).into()),
            }
        }
    }

    /// Passes over a value and returns its text.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], JsonError> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => {
                self.at += 1;
                self.string_rest()?;
            }
            b'{' | b'[' => self.container()?,
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                while let Some(b) = self.text.get(self.at)
                    && (b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
                {
                    self.at += 1;
                }
            }
            _ => return Err(JsonError::Unexpected(start)),
        }
        Ok(&self.text[start..self.at])
    }

    /// Passes over a value; the text between its quotes when it is a string, `None` when it is not.
    pub(crate) fn string(&mut self) -> Result<Option<&'a [u8]>, JsonError> {
        if self.peek()? == b'"' {
            self.at += 1;
            self.string_rest().map(Some)
        } else {
            self.value().map(|_| None)
        }
    }

    /// The text from here on.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        // White space at the end is no value; whoever asks for one next finds out.
        let _ = self.peek();
        &self.text[self.at..]
    }

    /// Passes over a value whose length is known.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.at = self.text.len().min(self.at + bytes);
    }

    /// Whether the value here is an object.
    pub(crate) fn at_object(&mut self) -> Result<bool, JsonError> {
        Ok(self.peek()? == b'{')
    }

    /// Whether nothing but white space is left.
    pub(crate) fn finish(mut self) -> Result<(), JsonError> {
        match self.peek() {
            Err(JsonError::Truncated) => Ok(()),
            _ => Err(JsonError::Unexpected(self.at)),
        }
    }

    /// The first byte that is not white space, without taking it.
    fn peek(&mut self) -> Result<u8, JsonError> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(&b) => return Ok(b),
                None => return Err(JsonError::Truncated),
            }
        }
    }

    fn next(&mut self) -> Result<u8, JsonError> {
        let b = self.peek()?;
        self.at += 1;
        Ok(b)
    }

    fn expect(&mut self, expected: u8) -> Result<(), JsonError> {
        if self.next()? == expected { Ok(()) } else { Err(JsonError::Unexpected(self.at - 1)) }
    }

    /// The rest of a string whose opening quote was taken.
    fn string_rest(&mut self) -> Result<&'a [u8], JsonError> {
        let start = self.at;
        let end = string_end(self.text, start)?;
        self.at = end + 1;
        Ok(&self.text[start..end])
    }

    /// Passes over an object or array by counting brackets outside strings.
    fn container(&mut self) -> Result<(), JsonError> {
        let mut depth = 0usize;
        while let Some(b) = self.text.get(self.at) {
            self.at += 1;
            match b {
                b'"' => self.at = string_end(self.text, self.at)? + 1,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        Err(JsonError::Truncated)
    }
}

/// Where the quote is that ends the string, which has its text from `at` on. Eight bytes at a time, because most of a
/// line is strings, and most strings are too short for a search that takes time to set up.
pub(crate) fn string_end(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    /// The high bit of each byte that is zero. Bytes after the first such may be wrong.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(u64::from_ne_bytes([1; 8])) & !word & u64::from_ne_bytes([0x80; 8])
    }
    let quotes = u64::from_ne_bytes([b'"'; 8]);
    let backslashes = u64::from_ne_bytes([b'\\'; 8]);
    while let Some(rest) = text.get(at..) {
        let found = match rest.first_chunk() {
            Some(chunk) => {
                let word = u64::from_le_bytes(*chunk);
                match zeros(word ^ quotes) | zeros(word ^ backslashes) {
                    0 => {
                        at += 8;
                        continue;
                    }
                    found => found.trailing_zeros() as usize / 8,
                }
            }
            None => {
                rest.iter().position(|b| matches!(b, b'"' | b'\\')).ok_or(JsonError::Truncated)?
            }
        };
        at += found;
        if text[at] == b'"' {
            return Ok(at);
        }
        at += 2;
    }
    Err(JsonError::Truncated)
}

/// The number in the text, or in the string that the text is: protobuf's JSON writes 64-bit numbers as strings.
pub(crate) fn unsigned(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")).unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| {
        b.is_ascii_digit().then(|| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
            "\\PC{0,8}|[\"\\\\{}\\[\\],:]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("[a-z\"\\\\]{0,4}", inner, 0..6)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_are_those_that_a_full_parser_finds(value in json(), pretty: bool) {
            let value = serde_json::json!({ "x": value, "y": [value] });
            let text = if pretty {
                serde_json::to_string_pretty(&value)
            } else {
                serde_json::to_string(&value)
            }.unwrap();
            let mut cursor = Cursor::new(text.as_bytes());
            let mut found = serde_json::Map::new();
            cursor.object::<JsonError>(|key, at| {
                let raw = at.value()?;
                let key = String::from_utf8(key.to_vec()).unwrap();
                found.insert(key, serde_json::from_slice(raw).unwrap());
                Ok(())
            }).unwrap();
            cursor.finish().unwrap();
            prop_assert_eq!(Value::Object(found), value);
        }

        #[test]
        fn no_text_makes_it_panic(text in prop::collection::vec(
            prop_oneof![prop::sample::select(b"{}[]\",:\\0tn ".to_vec()), any::<u8>()], 0..60
        )) {
            let mut cursor = Cursor::new(&text);
            let _ = cursor.object::<JsonError>(|_, at| at.value().map(drop));
            let _ = Cursor::new(&text).value();
        }
    }

    #[test]
    fn numbers_stand_bare_or_in_quotes() {
        for (text, expected) in [
            ("17", Some(17)),
            ("\"17\"", Some(17)),
            ("0", Some(0)),
            ("18446744073709551616", None),
            ("-1", None),
            ("1.5", None),
            ("\"\"", None),
            ("null", None),
        ] {
            assert_eq!(unsigned(text.as_bytes()), expected, "{text}");
        }
    }
}
