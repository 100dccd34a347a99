//! YAML text to a [`Node`], with limits that hostile input cannot pass.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::block;
use crate::fault::Fault;
use crate::json::Piece;
use crate::node::{Entries, Key, MAX_DEPTH, Node, Value, repeated, unread};

/// How many nodes anchors may keep and aliases may add in one document. Hand-written manifests share a few hundred.
const MAX_SHARED: usize = 20_000;

/// Reads the one document in `text`, whose first line is line `line` of the file. `None`: it holds nothing but comments.
pub(crate) fn parse(text: &str, line: u32) -> Result<Option<Node<'_>>, Fault> {
    let content = text.strip_prefix("---\n").unwrap_or(text);
    if content.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#')) {
        return Ok(None);
    }
    match block::parse(Piece { text, line }) {
        Some(node) => Ok(Some(node)),
        None => full(text, line),
    }
}

pub(crate) fn full(text: &str, line: u32) -> Result<Option<Node<'_>>, Fault> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut builder = Builder::default();
    let offset = line.saturating_sub(1);
    let at = |line: usize| u32::try_from(line).unwrap_or(u32::MAX).saturating_add(offset);
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|e| {
            Fault::new(at(e.marker().line()), format!("not valid YAML: {}", e.info()))
        })?;
        builder.event(event, at(span.start.line()))?;
    }
    Ok(builder.root)
}

/// A collection that has begun and not ended.
struct Open<'a> {
    anchor: usize,
    line: u32,
    kind: OpenKind<'a>,
}

enum OpenKind<'a> {
    Seq(Vec<Node<'a>>),
    Map { entries: Entries<'a>, key: Option<Key<'a>> },
}

#[derive(Default)]
struct Builder<'a> {
    root: Option<Node<'a>>,
    open: Vec<Open<'a>>,
    /// Anchored nodes and how many nodes each holds.
    anchors: HashMap<usize, (Node<'a>, usize)>,
    shared: usize,
}

impl<'a> Builder<'a> {
    fn event(&mut self, event: Event<'a>, line: u32) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let string = style != ScalarStyle::Plain || tag.is_some_and(|t| is_string(&t));
                let value = if string { Value::Text(text) } else { Value::Plain(text) };
                self.node(Node { line, value }, anchor)
            }
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id) else {
                    return Err(Fault::new(line, "an alias inside the value that it stands for"));
                };
                let (node, size) = (node.clone(), *size);
                self.share(size, line)?;
                self.node(node, 0)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(anchor, line, OpenKind::Seq(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(anchor, line, OpenKind::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { anchor, line, kind }) = self.open.pop() else { return Ok(()) };
                let value = match kind {
                    OpenKind::Seq(items) => Value::Seq(items),
                    OpenKind::Map { entries, .. } => Value::Map(finish_map(entries)?),
                };
                self.node(Node { line, value }, anchor)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Fault::new(line, "a second document where one was expected"))
            }
            _ => Ok(()),
        }
    }

    /// Counts nodes that exist once more because of an anchor.
    fn share(&mut self, nodes: usize, line: u32) -> Result<(), Fault> {
        self.shared += nodes;
        if self.shared <= MAX_SHARED {
            return Ok(());
        }
        let message = format!("anchors and aliases stand for more than {MAX_SHARED} values");
        Err(Fault::new(line, message).hint("write the values out"))
    }

    fn open(&mut self, anchor: usize, line: u32, kind: OpenKind<'a>) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::new(line, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { anchor, line, kind });
        Ok(())
    }

    fn node(&mut self, node: Node<'a>, anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            let size = size(&node);
            self.share(size, node.line)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let parent = self.parent_key();
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::Seq(items)) => items.push(node),
            Some(OpenKind::Map { entries, key }) => {
                if let Some(key) = key.take() {
                    let skip = parent.is_some_and(|parent| unread(&parent, &key.text));
                    let value = if skip { Value::Unread } else { node.value };
                    entries.push((key, Node { line: node.line, value }));
                } else if let Value::Plain(text) | Value::Text(text) = node.value {
                    *key = Some(Key { line: node.line, text });
                } else {
                    return Err(Fault::new(node.line, "a key must be a string"));
                }
            }
        }
        Ok(())
    }

    /// The key under which the innermost open mapping stands; `None` when no mapping is innermost or nothing
    /// can be skipped in it.
    fn parent_key(&self) -> Option<Cow<'a, str>> {
        let (innermost, outer) = self.open.split_last()?;
        if !matches!(innermost.kind, OpenKind::Map { key: Some(_), .. }) {
            return None;
        }
        let key = outer.iter().rev().find_map(|open| match &open.kind {
            OpenKind::Map { key, .. } => key.as_ref().map(|k| k.text.clone()),
            OpenKind::Seq(_) => None,
        });
        Some(key.unwrap_or_default())
    }
}

/// Applies merge keys (`<<`), whose entries yield to the mapping's own, and refuses repeated keys.
fn finish_map(entries: Entries<'_>) -> Result<Entries<'_>, Fault> {
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, node)| {
        key.text == "<<" && matches!(node.value, Value::Map(_) | Value::Seq(_))
    });
    if let Some(key) = repeated(&own) {
        return Err(Fault::new(key.line, format!("the key {:?} stands twice", key.text)));
    }
    if merges.is_empty() {
        return Ok(own);
    }
    let mut seen: HashSet<_> = own.iter().map(|(key, _)| key.text.clone()).collect();
    for (key, merge) in merges {
        let maps = match merge.value {
            Value::Seq(items) => items,
            value => vec![Node { line: merge.line, value }],
        };
        for map in maps {
            let Value::Map(inherited) = map.value else {
                return Err(Fault::new(key.line, "'<<' merges mappings only"));
            };
            for (key, node) in inherited {
                if seen.insert(key.text.clone()) {
                    own.push((key, node));
                }
            }
        }
    }
    Ok(own)
}

fn is_string(tag: &Tag) -> bool {
    tag.is_yaml_core_schema_tag("str")
}

fn size(node: &Node<'_>) -> usize {
    match &node.value {
        Value::Plain(_) | Value::Text(_) | Value::Unread => 1,
        Value::Seq(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, value)| 1 + size(value)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_its_line() {
        let node =
            parse("# note\na:\n- b: 1\n  c: \"2\"\n-\n  d: |\n    x\n", 10).unwrap().unwrap();
        let Value::Map(top) = &node.value else { panic!("{node:?}") };
        let Value::Seq(items) = &top[0].1.value else { panic!("{node:?}") };
        assert_eq!((node.line, top[0].0.line), (11, 11));
        assert_eq!(items.iter().map(|i| i.line).collect::<Vec<_>>(), [12, 15]);
        assert_eq!(items[0].get("c"), Some(&Node { line: 13, value: Value::Text("2".into()) }));
    }

    #[test]
    fn bombs_and_towers_are_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for n in 1..12 {
            let previous = format!("*a{}", n - 1);
            let tens = [previous.as_str(); 10].join(",");
            bomb = format!("{bomb}a{n}: &a{n} [{tens}]\n");
        }
        let tower = "[".repeat(100_000);
        let stairs: String = (0..5_000).map(|n| " ".repeat(n) + "a:\n").collect();
        for (text, message) in
            [(bomb, "anchors and aliases stand for more than"), (tower, "limit"), (stairs, "limit")]
        {
            let fault = parse(&text, 1).unwrap_err();
            assert!(fault.message.contains(message), "{fault:?}");
        }
    }

    #[test]
    fn merge_keys_yield_to_own_keys() {
        let node = parse("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n", 1).unwrap().unwrap();
        let used = node.get("use").unwrap();
        assert_eq!(used.get("x").unwrap().value, Value::Plain("1".into()));
        assert_eq!(used.get("y").unwrap().value, Value::Plain("3".into()));
    }

    #[test]
    fn repeated_keys_are_refused() {
        let fault = parse("a: 1\nb: 2\na: 3\n", 1).unwrap_err();
        assert_eq!((fault.line, &*fault.message), (3, "the key \"a\" stands twice"));
    }
}
