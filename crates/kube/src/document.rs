//! YAML text cut into documents, and lists into items, so that one broken object does not spoil its neighbours and a
//! dump of any size is never held as one tree.

use memchr::{memchr, memchr_iter, memmem};

use crate::json::Piece;

/// The documents of a YAML stream as (bytes, first line). Markers at column 0 cannot stand inside a scalar.
pub(crate) fn documents(stream: &[u8]) -> Vec<(&[u8], u32)> {
    let mut cuts: Vec<usize> = ["\n---", "\n..."]
        .iter()
        .flat_map(|marker| memmem::find_iter(stream, marker))
        .filter(|at| matches!(stream.get(at + 4), None | Some(b' ' | b'\t' | b'\r' | b'\n')))
        .map(|at| at + 1)
        .collect();
    cuts.sort_unstable();
    cuts.push(stream.len());
    let (mut start, mut line) = (0, 1);
    let mut out = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let part = &stream[start..cut];
        if part.trim_ascii_start().starts_with(b"%") && !part.windows(4).any(|w| w == b"\n---") {
            // Directives belong to the document that begins at the marker below them.
            continue;
        }
        // What follows an end marker on its line is a comment or nothing.
        out.push((part.strip_prefix(b"...").unwrap_or(part), line));
        line += newlines(part);
        start = cut;
    }
    out
}

fn newlines(text: &[u8]) -> u32 {
    u32::try_from(memchr_iter(b'\n', text).count()).unwrap_or(u32::MAX)
}

/// A list in block style, cut into pieces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct List<'a> {
    /// The lines outside `items`.
    pub(crate) header: String,
    /// The items; each is a sequence of one.
    pub(crate) items: Vec<Piece<'a>>,
    /// First line of the items, for turning lines of the header into lines of the file.
    first: u32,
    lines: u32,
}

impl List<'_> {
    /// The line of the file for a line of the header, counted as if the header began where the document does.
    pub(crate) fn line(&self, line: u32) -> u32 {
        if line >= self.first { line + self.lines } else { line }
    }
}

/// Cuts a document with a top-level `items:` into its items. `None`: it has none in block style, or is laid out so
/// that indentation does not tell where items end.
pub(crate) fn list(document: Piece<'_>) -> Option<List<'_>> {
    let text = document.text;
    let mut header = String::new();
    let mut items: Vec<(usize, u32)> = Vec::new();
    let mut end = 0;
    let mut lines = 0;
    let mut state = State::Before;
    let mut first = 0;
    let mut line = document.line;
    let mut at = 0;
    while at < text.len() {
        let next = memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |n| at + n + 1);
        let content = text[at..next].trim_end();
        let body = content.trim_start_matches(' ');
        let indent = content.len() - body.len();
        let blank = body.is_empty() || body.starts_with('#');
        // A tab cannot indent; the item it stands in is at fault, not the list.
        let tab = body.starts_with('\t');
        let entry = body == "-" || body.starts_with("- ");
        match state {
            State::Before if !blank && indent == 0 && is_items_key(body) => {
                state = State::First;
                first = line;
            }
            State::First | State::Inside(_) if blank => {}
            State::First if entry => {
                state = State::Inside(indent);
                items.push((at, line));
            }
            State::Inside(column) if indent == column && entry => items.push((at, line)),
            State::Inside(column) if indent > column || tab => {}
            State::Inside(_) if indent == 0 && !is_items_key(body) => state = State::After,
            State::First | State::Inside(_) => return None,
            State::After if indent == 0 && is_items_key(body) => return None,
            State::Before | State::After => {}
        }
        match state {
            State::Before | State::After => header.push_str(&text[at..next]),
            State::First | State::Inside(_) => {
                end = next;
                lines += 1;
            }
        }
        at = next;
        line += 1;
    }
    if items.is_empty() {
        return None;
    }
    let ends = items.iter().skip(1).map(|(at, _)| *at).chain([end]).collect::<Vec<_>>();
    let items = items.iter().zip(ends);
    let items = items.map(|(&(at, line), end)| Piece { text: &text[at..end], line }).collect();
    Some(List { header, items, first, lines })
}

#[derive(Clone, Copy)]
enum State {
    /// Above `items:`.
    Before,
    /// Below `items:`, before the first item.
    First,
    /// Among items whose dashes stand in this column.
    Inside(usize),
    /// Below the items.
    After,
}

fn is_items_key(line: &str) -> bool {
    line.strip_prefix("items:").is_some_and(|rest| {
        let rest = rest.trim_start();
        rest.is_empty() || rest.starts_with('#')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_lines() {
        let stream = b"# a\n---\na: 1\n...\n# c\n---\r\nb: |\n  ---x\n----\n--- {c: 1}\n";
        let cut: Vec<_> = documents(stream)
            .into_iter()
            .map(|(text, line)| (std::str::from_utf8(text).unwrap(), line))
            .collect();
        assert_eq!(
            cut,
            [
                ("# a\n", 1),
                ("---\na: 1\n", 2),
                ("\n# c\n", 4),
                ("---\r\nb: |\n  ---x\n----\n", 6),
                ("--- {c: 1}\n", 10),
            ]
        );
    }

    #[test]
    fn lists_are_cut_at_their_own_dashes() {
        let text = "apiVersion: v1\nitems: # two\n  - kind: A\n    args:\n    - x\n\n  # note\n  -\n    kind: B\nkind: List\n";
        let list = list(Piece { text, line: 5 }).unwrap();
        assert_eq!(list.header, "apiVersion: v1\nkind: List\n");
        assert_eq!(
            list.items,
            [
                Piece { text: "  - kind: A\n    args:\n    - x\n\n  # note\n", line: 7 },
                Piece { text: "  -\n    kind: B\n", line: 12 }
            ]
        );
        assert_eq!((list.line(5), list.line(6)), (5, 14));
    }

    #[test]
    fn other_layouts_are_left_whole() {
        for text in
            ["a: 1\n", "items: []\n", "items:\n  a: 1\n", "items:\n", "items:\n  - a\n - b\n"]
        {
            assert_eq!(list(Piece { text, line: 1 }), None, "{text:?}");
        }
    }
}
