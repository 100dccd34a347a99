//! A fast reader for the layout that kubectl prints: plain block style in printable ASCII.
//!
//! It answers only where it is sure. Whatever else YAML has (anchors, tags, flow collections, folded and multi-line
//! scalars, comments behind values, and every error) is left to the full parser, which gives the same tree for what
//! this one accepts; a property test holds the two together.

use std::borrow::Cow;

use memchr::memchr;

use crate::json::Piece;
use crate::node::{Entries, Key, Node, Value, repeated, unread};

/// Deeper documents are left to the full parser, which tells the fault.
const MAX_DEPTH: usize = 64;
/// Longer keys are left to the full parser.
const MAX_KEY: usize = 512;

/// Reads a document. `None`: ask the full parser.
pub(crate) fn parse(piece: Piece<'_>) -> Option<Node<'_>> {
    if !piece.text.bytes().all(|b| matches!(b, b'\n' | b' '..=b'~')) {
        return None;
    }
    let text = piece.text;
    let (text, line) = match text.strip_prefix("---\n") {
        Some(rest) => (rest, piece.line + 1),
        None => (text, piece.line),
    };
    let mut parser = Parser { text, at: 0, line, depth: 0, here: Line::default() };
    if !parser.next()? {
        return None;
    }
    let column = parser.here.column;
    let node = parser.collection(column, "", true)?;
    // What is left is indented less than the first line: not for this reader.
    if parser.here.body.is_empty() { Some(node) } else { None }
}

/// A line with content, or what is left of it behind dashes.
#[derive(Clone, Copy, Default)]
struct Line<'a> {
    number: u32,
    column: usize,
    /// Without indentation and trailing blanks; empty at the end of the text.
    body: &'a str,
}

struct Parser<'a> {
    text: &'a str,
    /// Where the line after `here` begins.
    at: usize,
    /// Its number.
    line: u32,
    depth: usize,
    here: Line<'a>,
}

impl<'a> Parser<'a> {
    /// Moves to the next line with content. `Some(false)` at the end.
    fn next(&mut self) -> Option<bool> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let end = memchr(b'\n', rest.as_bytes());
            let whole = &rest[..end.unwrap_or(rest.len())];
            self.at += end.map_or(rest.len(), |n| n + 1);
            let number = self.line;
            self.line += 1;
            let body = whole.trim_start_matches(' ');
            let column = whole.len() - body.len();
            if body.is_empty() || body.starts_with('#') {
                continue;
            }
            if column == 0
                && matches!(
                    body.as_bytes(),
                    [b'%', ..] | [b'-', b'-', b'-', ..] | [b'.', b'.', b'.', ..]
                )
            {
                return None;
            }
            self.here = Line { number, column, body: body.trim_end_matches(' ') };
            return Some(true);
        }
        self.here = Line { number: self.line, column: 0, body: "" };
        Some(false)
    }

    /// Whether the line belongs to a collection in that column.
    fn stands_at(&self, column: usize) -> Option<bool> {
        if self.here.body.is_empty() || self.here.column < column {
            Some(false)
        } else if self.here.column == column {
            Some(true)
        } else {
            None
        }
    }

    /// The mapping or sequence that begins here.
    fn collection(&mut self, column: usize, parent: &str, build: bool) -> Option<Node<'a>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let line = self.here.number;
        let value = if is_entry(self.here.body) {
            self.sequence(column, parent, build)?
        } else {
            self.mapping(column, parent, build)?
        };
        self.depth -= 1;
        Some(Node { line, value })
    }

    fn sequence(&mut self, column: usize, parent: &str, build: bool) -> Option<Value<'a>> {
        let mut items = Vec::new();
        while self.stands_at(column)? && is_entry(self.here.body) {
            let Line { number, body, .. } = self.here;
            let rest = body[1..].trim_start_matches(' ');
            let inner = column + body.len() - rest.len();
            let item = if rest.is_empty() {
                self.next()?;
                self.below(number, column, parent, build, false)?
            } else if is_entry(rest) || split_key(rest).is_some() {
                self.here = Line { number, column: inner, body: rest };
                self.collection(inner, parent, build)?
            } else {
                self.scalar(number, rest, column, build)?
            };
            if build {
                items.push(item);
            }
        }
        // A mapping may go on in the column of the dashes of one of its values.
        Some(if build { Value::Seq(items) } else { Value::Unread })
    }

    fn mapping(&mut self, column: usize, parent: &str, build: bool) -> Option<Value<'a>> {
        let mut entries: Entries<'a> = Vec::new();
        while self.stands_at(column)? {
            let Line { number, body, .. } = self.here;
            if is_entry(body) {
                break;
            }
            let (key, rest) = split_key(body)?;
            let wanted = build && !unread(parent, key);
            let node = if rest.is_empty() {
                self.next()?;
                self.below(number, column, key, wanted, true)?
            } else {
                self.scalar(number, rest, column, wanted)?
            };
            let value = if wanted { node.value } else { Value::Unread };
            entries.push((Key { line: number, text: key.into() }, Node { line: node.line, value }));
        }
        if repeated(&entries).is_some() {
            return None;
        }
        Some(if build { Value::Map(entries) } else { Value::Unread })
    }

    /// The value that stands below its key or dash, or null when none does.
    fn below(
        &mut self,
        line: u32,
        column: usize,
        parent: &str,
        build: bool,
        of_key: bool,
    ) -> Option<Node<'a>> {
        let Line { column: inner, body, .. } = self.here;
        let deeper = !body.is_empty() && inner > column;
        let dashes = of_key && inner == column && is_entry(body);
        if deeper || dashes {
            if !is_entry(body) {
                split_key(body)?;
            }
            self.collection(inner, parent, build)
        } else {
            Some(Node::plain(line, ""))
        }
    }

    /// The scalar that fills the rest of the line, or the lines below for `|`; then moves to the next line.
    fn scalar(&mut self, line: u32, text: &'a str, column: usize, build: bool) -> Option<Node<'a>> {
        let mut line = line;
        let value = match text.as_bytes() {
            b"{}" => Value::Map(Vec::new()),
            b"[]" => Value::Seq(Vec::new()),
            b"|" | b"|-" => {
                let (first, content) = self.literal(column, text == "|", build)?;
                line = first;
                Value::Text(content.into())
            }
            [b'"', ..] => Value::Text(double_quoted(text)?),
            [b'\'', ..] => Value::Text(single_quoted(text)?),
            _ => Value::Plain(plain(text)?.into()),
        };
        self.next()?;
        // A deeper line would continue the scalar.
        (self.here.body.is_empty() || self.here.column <= column).then_some(Node { line, value })
    }

    /// A literal block scalar below a line in `column`, and its first line with content.
    fn literal(&mut self, column: usize, newline: bool, build: bool) -> Option<(u32, String)> {
        let mut out = String::new();
        let mut indent = 0;
        let mut blanks = 0;
        let mut first = self.line;
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let end = memchr(b'\n', rest.as_bytes());
            let whole = &rest[..end.unwrap_or(rest.len())];
            let spaces = whole.len() - whole.trim_start_matches(' ').len();
            if spaces == whole.len() {
                // Blanks count where they are longer than the indentation: not for this reader.
                if spaces > column {
                    return None;
                }
                blanks += 1;
            } else if spaces <= column {
                break;
            } else {
                if indent == 0 {
                    indent = spaces;
                    first = self.line;
                }
                if spaces < indent {
                    return None;
                }
                if build {
                    out.extend(std::iter::repeat_n('\n', blanks));
                    out.push_str(&whole[indent..]);
                    out.push('\n');
                }
                blanks = 0;
            }
            self.at += end.map_or(rest.len(), |n| n + 1);
            self.line += 1;
        }
        // Without a line of content, or at the very end of the text, chomping has its corners.
        if indent == 0 || !self.text.ends_with('\n') {
            return None;
        }
        if !newline {
            out.pop();
        }
        Some((first, out))
    }
}

fn is_entry(body: &str) -> bool {
    body == "-" || body.starts_with("- ")
}

/// A simple key and what follows its colon.
fn split_key(body: &str) -> Option<(&str, &str)> {
    let is_key = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'-');
    let end = body.bytes().position(|b| !is_key(&b))?;
    let first = *body.as_bytes().first()?;
    if !(first.is_ascii_alphanumeric() || first == b'_') || end > MAX_KEY {
        return None;
    }
    let rest = body[end..].strip_prefix(':')?;
    (rest.is_empty() || rest.starts_with(' ')).then(|| (&body[..end], rest.trim_start_matches(' ')))
}

/// A plain scalar without anything that could be an indicator.
fn plain(text: &str) -> Option<&str> {
    let good_start = match text.as_bytes() {
        [b'-', second, ..] => *second != b' ',
        [first, ..] => {
            first.is_ascii_alphanumeric()
                || matches!(first, b'_' | b'.' | b'/' | b'+' | b'~' | b'$' | b'(')
        }
        [] => false,
    };
    let ends = text.ends_with(':');
    (good_start && !ends && !text.contains(": ") && !text.contains(" #")).then_some(text)
}

fn single_quoted(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    if memchr(b'\'', inner.as_bytes()).is_none() {
        return Some(inner.into());
    }
    // The text is printable, so NUL can stand for a doubled quote.
    let doubled = inner.replace("''", "\u{0}");
    (!doubled.contains('\'')).then(|| doubled.replace('\u{0}', "'").into())
}

fn double_quoted(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let plain = !inner.bytes().any(|b| matches!(b, b'"' | b'\\'));
    plain.then(|| inner.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;
    use proptest::prelude::*;

    const MANIFEST: &str = "- apiVersion: v1
  kind: Pod
  metadata:
    annotations:
      a/b: '{\"x\": 1}'
      kubectl.kubernetes.io/last-applied-configuration: |
        {\"a\": 1}

        # not a comment
    labels: {}
    managedFields:
    - manager: x
      fieldsV1: [a, b]
    name: \"a\"
    empty:
    quoted: 'it''s'
  # a comment
  spec:
    containers:
    - args:
      - --port=80
      - -v
      - - nested
        - http://x:80/
      - |-
        set -e
          exec x
      image: x:1
      ports: []
    -
      name: b
    nodeName: n-1
  status:
    podIPs:
    - ip: 10.0.0.1
    startTime: '2026-01-01T00:00:00Z'
";

    /// Null has no place of its own, and the full parser writes it as `~`.
    fn without_places_of_nulls(mut node: Node<'_>) -> Node<'_> {
        if node.is_null() {
            return Node::plain(0, "");
        }
        node.value = match node.value {
            Value::Seq(items) => {
                Value::Seq(items.into_iter().map(without_places_of_nulls).collect())
            }
            Value::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| (key, without_places_of_nulls(node)))
                    .collect(),
            ),
            Value::Unread => {
                node.line = 0;
                Value::Unread
            }
            scalar => scalar,
        };
        node
    }

    fn agrees(text: &str) -> Result<bool, String> {
        let Some(fast) = parse(Piece { text, line: 7 }) else { return Ok(false) };
        match yaml::full(text, 7) {
            Ok(Some(full)) => {
                let (fast, full) = (without_places_of_nulls(fast), without_places_of_nulls(full));
                if fast == full { Ok(true) } else { Err(format!("{fast:?}\n{full:?}\n{text}")) }
            }
            other => Err(format!("{fast:?}\n{other:?}\n{text}")),
        }
    }

    #[test]
    fn the_layout_of_kubectl_is_read_fast() {
        let plain = MANIFEST.replace("[a, b]", "x");
        assert_eq!(agrees(&plain), Ok(true));
        assert_eq!(agrees(MANIFEST), Ok(false));
    }

    fn line() -> impl Strategy<Value = String> {
        let words = [
            "a:",
            "b: 1",
            "a/b.c-d: x",
            "- ",
            "-",
            "- a",
            "- a: 1",
            "- - a",
            "a: |",
            "- |",
            "a: |-",
            "  ",
            "",
            "# x",
            "a: 'x'",
            "a: 'it''s'",
            "a: 'x",
            "a: \"x\"",
            "a: \"x",
            "a: \"\\n\"",
            "a: {}",
            "a: []",
            "a: [",
            "a: b: c",
            "a: x # y",
            "a: x#y",
            "a: -",
            "a: - b",
            "a: &x y",
            "a: *x",
            "a: !t x",
            "x",
            "x y",
            "\"a\": 1",
            "? a",
            ": a",
            "a:b",
            "a: b:",
            "<<: {}",
            "---",
            "...",
            "--- a",
            "%x",
            "a: >",
            "a: @",
            "a: `",
            "a: ,",
            "a: -1",
            "a: --x",
            "a: ~",
            "~: a",
            "a: (x)",
            "managedFields:",
            "metadata:",
            "a : b",
            "a:  b  ",
            "-  a:  b",
            "a: %",
            "a: x: ",
            "a: ?",
            "a: ? b",
            "a: :",
            "a: |+",
            "a: |2",
            "a: $x",
            "a: /x",
            "a: ]",
            "a: }",
            "a: x]",
            "- [",
            "- {}",
            "- ''",
        ];
        (0usize..7, prop::sample::select(words.to_vec()))
            .prop_map(|(indent, word)| format!("{:indent$}{word}\n", ""))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        /// What this reader accepts, the full parser takes for the same tree on the same lines.
        #[test]
        fn random_lines(lines in prop::collection::vec(line(), 1..9)) {
            let text = lines.concat();
            agrees(&text).map_err(TestCaseError::fail)?;
            agrees(text.trim_end_matches('\n')).map_err(TestCaseError::fail)?;
        }

        #[test]
        fn damaged_manifests(
            edits in prop::collection::vec((0usize..40, 0u8..7, line(), 0usize..60), 1..4)
        ) {
            let mut lines: Vec<String> = MANIFEST.lines().map(|line| format!("{line}\n")).collect();
            for (at, action, new, column) in edits {
                let at = at % lines.len();
                match action {
                    0 => drop(lines.remove(at)),
                    1 => lines.insert(at, new),
                    2 => lines[at] = new,
                    3 => lines[at].insert(0, ' '),
                    4 => lines.insert(at, lines[at].clone()),
                    5 => drop((lines[at].len() > 1).then(|| lines[at].remove(0))),
                    _ => {
                        let column = column % lines[at].len();
                        lines[at].insert(column, [' ', ':', '-', '\'', '"', '#', '[', '\\'][column % 8]);
                    }
                }
            }
            agrees(&lines.concat()).map_err(TestCaseError::fail)?;
        }
    }
}
