//! Writing `NetworkPolicies` as YAML that people read and that server-side apply leaves as it is.
//!
//! Everything the API server would default is written out, empty selectors as `{}`, and nothing as null.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ringfence_model::{
    Direction, NamespaceScope, NetworkPolicy, Operator, PeerMatch, Peers, PortMatch, PortTarget,
    Ports, Requirement, Rule, Selector,
};

use crate::node::{Scalar, resolve};

/// What goes into a manifest beside the policy itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Comment lines above the policy.
    pub header: Vec<String>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Comment lines above each ingress rule, by its index.
    pub ingress: Vec<Vec<String>>,
    /// Comment lines above each egress rule, by its index.
    pub egress: Vec<Vec<String>>,
}

impl Notes {
    fn rule(&self, direction: Direction, index: usize) -> &[String] {
        let rules = match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        };
        rules.get(index).map_or(&[], Vec::as_slice)
    }
}

/// The policy as one YAML document, without a `---` line. The same input gives the same bytes.
///
/// Rules that can match nothing are left out.
pub fn policy(policy: &NetworkPolicy, notes: &Notes) -> String {
    let mut out = Writer(String::with_capacity(1024));
    out.comments(0, &notes.header);
    out.line(0, "apiVersion: networking.k8s.io/v1");
    out.line(0, "kind: NetworkPolicy");
    out.line(0, "metadata:");
    out.entry(2, "name", policy.name.as_str());
    out.entry(2, "namespace", policy.namespace.as_str());
    for (key, map) in [("labels", &notes.labels), ("annotations", &notes.annotations)] {
        if !map.is_empty() {
            out.line(2, &format!("{key}:"));
            for (key, value) in map {
                out.entry(4, key, value);
            }
        }
    }
    out.line(0, "spec:");
    out.selector(2, "podSelector", &policy.pod_selector);
    out.line(2, "policyTypes:");
    for direction in Direction::BOTH {
        if policy.rules(direction).is_some() {
            out.line(2, &format!("- {direction}"));
        }
    }
    for (direction, key) in [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")] {
        let Some(rules) = policy.rules(direction) else { continue };
        let written: Vec<_> = rules.iter().enumerate().filter(|(_, rule)| allows(rule)).collect();
        if written.is_empty() {
            out.line(2, &format!("{key}: []"));
            continue;
        }
        out.line(2, &format!("{key}:"));
        for (n, rule) in written {
            out.comments(2, notes.rule(direction, n));
            out.rule(2, direction, rule);
        }
    }
    out.0
}

/// Whether the rule allows anything. One that chooses among no peers or no ports does not, and cannot be written:
/// to the API an empty list means all.
fn allows(rule: &Rule) -> bool {
    rule.peers != Peers::Only(Vec::new()) && rule.ports != Ports::Only(Vec::new())
}

struct Writer(String);

impl Writer {
    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.0, "{:indent$}{text}", "");
    }

    fn entry(&mut self, indent: usize, key: &str, value: &str) {
        self.line(indent, &format!("{}: {}", scalar(key), scalar(value)));
    }

    /// One comment line each, whatever the text holds.
    fn comments(&mut self, indent: usize, lines: &[String]) {
        for text in lines {
            let text: String =
                text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect();
            self.line(indent, format!("# {}", text.trim_end()).trim_end());
        }
    }

    fn rule(&mut self, indent: usize, direction: Direction, rule: &Rule) {
        let Rule { origin: _, peers, ports } = rule;
        // The first line of the rule carries its dash.
        let start = self.0.len();
        if let Peers::Only(peers) = peers {
            let key = if direction == Direction::Ingress { "from" } else { "to" };
            self.list(indent + 2, key, peers, Self::peer);
        }
        if let Ports::Only(ports) = ports {
            self.list(indent + 2, "ports", ports, Self::port);
        }
        if self.0.len() == start {
            self.line(indent, "- {}");
        } else {
            self.0.replace_range(start + indent..=start + indent, "-");
        }
    }

    fn list<T>(&mut self, indent: usize, key: &str, items: &[T], write: fn(&mut Self, usize, &T)) {
        self.line(indent, &format!("{key}:"));
        for item in items {
            let start = self.0.len();
            write(self, indent + 2, item);
            self.0.replace_range(start + indent..=start + indent, "-");
        }
    }

    fn peer(&mut self, indent: usize, peer: &PeerMatch) {
        match peer {
            PeerMatch::IpBlock(block) => {
                self.line(indent, "ipBlock:");
                self.entry(indent + 2, "cidr", &block.cidr().to_string());
                if !block.except().is_empty() {
                    self.line(indent + 2, "except:");
                    for except in block.except() {
                        self.line(indent + 2, &format!("- {}", scalar(&except.to_string())));
                    }
                }
            }
            PeerMatch::Pods { namespaces: NamespaceScope::Own, pods } => {
                self.selector(indent, "podSelector", pods);
            }
            PeerMatch::Pods { namespaces: NamespaceScope::Matching(namespaces), pods } => {
                self.selector(indent, "namespaceSelector", namespaces);
                if !pods.is_everything() {
                    self.selector(indent, "podSelector", pods);
                }
            }
        }
    }

    fn port(&mut self, indent: usize, port: &PortMatch) {
        let PortMatch { protocol, target } = port;
        self.line(indent, &format!("protocol: {protocol}"));
        match target {
            PortTarget::Any => {}
            PortTarget::Numbers(range) => {
                self.line(indent, &format!("port: {}", range.first()));
                if range.first() != range.last() {
                    self.line(indent, &format!("endPort: {}", range.last()));
                }
            }
            PortTarget::Named(name) => self.entry(indent, "port", name),
        }
    }

    fn selector(&mut self, indent: usize, key: &str, selector: &Selector) {
        if selector.is_everything() {
            return self.line(indent, &format!("{key}: {{}}"));
        }
        self.line(indent, &format!("{key}:"));
        let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
        let mut expressions = Vec::new();
        for requirement in selector.requirements() {
            let Requirement { key, operator } = requirement;
            match operator {
                // A second value for the same key needs an expression of its own.
                Operator::In(values) if values.len() == 1 && !labels.contains_key(&**key) => {
                    labels.extend(values.iter().map(|value| (&**key, &**value)));
                }
                _ => expressions.push(requirement),
            }
        }
        if !labels.is_empty() {
            self.line(indent + 2, "matchLabels:");
            for (key, value) in labels {
                self.entry(indent + 4, key, value);
            }
        }
        if !expressions.is_empty() {
            self.line(indent + 2, "matchExpressions:");
            for Requirement { key, operator } in expressions {
                self.line(indent + 2, &format!("- key: {}", scalar(key)));
                let (operator, values) = match operator {
                    Operator::In(values) => ("In", Some(values)),
                    Operator::NotIn(values) => ("NotIn", Some(values)),
                    Operator::Exists => ("Exists", None),
                    Operator::DoesNotExist => ("DoesNotExist", None),
                };
                self.line(indent + 4, &format!("operator: {operator}"));
                if let Some(values) = values {
                    // Without values the API refuses the policy, which is better than a change of meaning.
                    self.line(indent + 4, if values.is_empty() { "values: []" } else { "values:" });
                    for value in values {
                        self.line(indent + 4, &format!("- {}", scalar(value)));
                    }
                }
            }
        }
    }
}

/// A string as a YAML scalar that YAML 1.1 and 1.2 readers take for that string.
pub(crate) fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) <= 0xff => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// Whether the text can stand unquoted: a narrow choice, so that no reader sees anything else in it.
fn is_plain(text: &str) -> bool {
    let cidr = || text.contains('.') && text.contains('/');
    let first = text.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b.is_ascii_digit() && cidr())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
        && matches!(resolve(text), Scalar::Text(_))
}

/// Whether the character can stand in a comment or between quotes as itself. Line ends of Unicode, control and
/// format characters (which could reorder what a person reads) cannot.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e007f}')
}
