//! JSON text to a [`Node`] (RFC 8259, strictly), and the items of a list without building the whole list.

use std::borrow::Cow;

use crate::fault::Fault;
use crate::node::{Key, MAX_DEPTH, Node, Value, repeated, unread};

/// A piece of text and the line where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: u32,
}

/// One document, taken apart only so far that a list of any size can be read item by item.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// All of it, as far as it is valid.
    pub(crate) whole: Piece<'a>,
    /// `apiVersion` and `kind`.
    pub(crate) header: Node<'a>,
    /// The elements of `items`, when there is such an array.
    pub(crate) items: Option<Vec<Piece<'a>>>,
    /// The syntax error that ended it.
    pub(crate) fault: Option<Fault>,
    /// The text that follows.
    pub(crate) rest: Piece<'a>,
}

/// Takes the first document off `text`.
pub(crate) fn document(text: Piece<'_>) -> Document<'_> {
    let mut parser = Parser { text: text.text, at: 0, line: text.line };
    parser.space();
    let (start, line) = (parser.at, parser.line);
    let mut items = None;
    let mut header = Vec::new();
    let fault = parser.top(&mut header, &mut items).err();
    Document {
        whole: Piece { text: &text.text[start..parser.at], line },
        header: Node { line, value: Value::Map(header) },
        items,
        fault,
        rest: Piece { text: &text.text[parser.at..], line: parser.line },
    }
}

/// Reads one value that fills the text.
pub(crate) fn parse(piece: Piece<'_>) -> Result<Node<'_>, Fault> {
    let mut parser = Parser { text: piece.text, at: 0, line: piece.line };
    parser.space();
    let node = parser.value("", 0, true)?;
    parser.space();
    if parser.at < piece.text.len() { Err(parser.fault("more after the end")) } else { Ok(node) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Parser<'a> {
    fn fault(&self, what: &str) -> Fault {
        Fault::new(self.line, format!("not valid JSON: {what}"))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            self.line += u32::from(byte == b'\n');
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        self.space();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        let found = match self.text[self.at..].chars().next() {
            Some(found) => format!("expected {what}, found {found:?}"),
            None => format!("it ends where {what} was expected"),
        };
        Err(self.fault(&found))
    }

    /// After an element: whether another follows, or `close` ends the collection.
    fn more(&mut self, close: u8, what: &str) -> Result<bool, Fault> {
        self.space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.space();
            return Ok(true);
        }
        self.expect(close, what).map(|()| false)
    }

    /// The outermost value: its entries except `items`, whose elements are only delimited.
    fn top(
        &mut self,
        header: &mut Vec<(Key<'a>, Node<'a>)>,
        items: &mut Option<Vec<Piece<'a>>>,
    ) -> Result<(), Fault> {
        if self.peek() != Some(b'{') {
            return self.value("", 0, false).map(drop);
        }
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            if key.text == "items" && self.peek() == Some(b'[') && items.is_none() {
                self.items(items.insert(Vec::new()))?;
            } else {
                let wanted = matches!(&*key.text, "apiVersion" | "kind");
                let node = self.value("", 1, wanted)?;
                if wanted {
                    header.push((key, node));
                }
            }
            if !self.more(b'}', "',' or '}'")? {
                return Ok(());
            }
        }
    }

    fn items(&mut self, items: &mut Vec<Piece<'a>>) -> Result<(), Fault> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            let (at, line) = (self.at, self.line);
            self.value("", 2, false)?;
            items.push(Piece { text: &self.text[at..self.at], line });
            if !self.more(b']', "',' or ']'")? {
                return Ok(());
            }
        }
    }

    fn key(&mut self) -> Result<Key<'a>, Fault> {
        self.space();
        let line = self.line;
        if self.peek() != Some(b'"') {
            return self.expect(b'"', "a key in quotes").map(|()| Key { line, text: "".into() });
        }
        let text = self.string()?;
        self.expect(b':', "':'")?;
        self.space();
        Ok(Key { line, text })
    }

    fn value(&mut self, parent: &str, depth: usize, build: bool) -> Result<Node<'a>, Fault> {
        let line = self.line;
        if depth > MAX_DEPTH {
            return Err(Fault::new(line, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let value = match self.peek() {
            Some(b'{') => self.object(parent, depth, build)?,
            Some(b'[') => self.array(parent, depth, build)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Plain(self.number()?.into()),
            _ => Value::Plain(self.literal()?.into()),
        };
        Ok(Node { line, value })
    }

    fn object(&mut self, parent: &str, depth: usize, build: bool) -> Result<Value<'a>, Fault> {
        self.at += 1;
        self.space();
        let mut entries = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Map(entries));
        }
        loop {
            let key = self.key()?;
            let wanted = build && !unread(parent, &key.text);
            let node = self.value(&key.text, depth + 1, wanted)?;
            let value = if wanted { node.value } else { Value::Unread };
            entries.push((key, Node { line: node.line, value }));
            if !self.more(b'}', "',' or '}'")? {
                break;
            }
        }
        match repeated(&entries) {
            Some(key) => Err(Fault::new(key.line, format!("the key {:?} stands twice", key.text))),
            None => Ok(Value::Map(entries)),
        }
    }

    fn array(&mut self, parent: &str, depth: usize, build: bool) -> Result<Value<'a>, Fault> {
        self.at += 1;
        self.space();
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Seq(items));
        }
        loop {
            let node = self.value(parent, depth + 1, build)?;
            if build {
                items.push(node);
            }
            if !self.more(b']', "',' or ']'")? {
                return Ok(Value::Seq(items));
            }
        }
    }

    fn literal(&mut self) -> Result<&'static str, Fault> {
        for word in ["true", "false", "null"] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(word);
            }
        }
        self.expect(0, "a value").map(|()| "")
    }

    fn number(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        let digits = |p: &mut Self| {
            let from = p.at;
            while matches!(p.peek(), Some(b'0'..=b'9')) {
                p.at += 1;
            }
            if p.at > from { Ok(p.at - from) } else { Err(p.fault("a number without digits")) }
        };
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        if digits(self)? > 1 && leading_zero {
            return Err(self.fault("a number with a leading zero"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            digits(self)?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            digits(self)?;
        }
        Ok(&self.text[start..self.at])
    }

    /// A string, borrowed unless it has escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.at += 1;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut copied = start;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let Some(step) = rest.iter().position(|b| matches!(b, b'"' | b'\\' | ..0x20)) else {
                return Err(self.fault("it ends inside a string"));
            };
            self.at += step;
            match rest[step] {
                b'"' => {
                    let tail = &self.text[copied..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        None => tail.into(),
                        Some(owned) => (owned + tail).into(),
                    });
                }
                b'\\' => {
                    let out = owned.get_or_insert_default();
                    out.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    let char = self.escape()?;
                    owned.get_or_insert_default().push(char);
                    copied = self.at;
                }
                _ => return Err(self.fault("a control character inside a string")),
            }
        }
    }

    /// The character that an escape means; the backslash is behind.
    fn escape(&mut self) -> Result<char, Fault> {
        let byte = self.peek();
        self.at += 1;
        Ok(match byte {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex()?;
                let code = if (0xd800..0xdc00).contains(&first)
                    && self.text.as_bytes()[self.at..].starts_with(b"\\u")
                {
                    self.at += 2;
                    let second = self.hex()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(self.fault("half a surrogate pair"));
                    }
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                char::from_u32(code).ok_or_else(|| self.fault("half a surrogate pair"))?
            }
            _ => {
                self.at -= 1;
                return Err(self.fault("an unknown escape"));
            }
        })
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at + 4);
        let code = digits
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u32::from_str_radix(d, 16).ok())
            .ok_or_else(|| self.fault("an unknown escape"))?;
        self.at += 4;
        Ok(code)
    }
}
