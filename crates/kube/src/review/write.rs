//! Writing a review file that reads back as the same review.

use std::fmt::Write as _;

use ringfence_model::review::{
    Alias, Choice, CidrRule, EdgeDecision, GeneralRule, PeerPattern, Review, WorkloadRules,
};
use ringfence_model::{Direction, L4, Name, Peer, PortMatch, PortTarget, ServiceRef, WorkloadRef};

use crate::manifest::scalar;

/// The review as a file of that name: the same review gives the same bytes, and they read back as it. Sections that
/// say nothing are left out.
pub fn yaml(name: &Name, review: &Review) -> String {
    let Review { rules, workloads, edges, cidr_rules, aliases, labels, cluster } = review;
    let mut out = Writer(String::with_capacity(1024));
    out.line(0, "apiVersion: ringfence.dev/v1alpha1");
    out.line(0, "kind: Review");
    out.line(0, "metadata:");
    out.entry(2, "name", name.as_str());
    out.line(0, "spec:");
    out.line(2, "rules:");
    out.entry(4, "ingress", rule_name(rules.ingress));
    out.entry(4, "egress", rule_name(rules.egress));
    out.section("workloads", workloads, Writer::workload_rules);
    out.section("edges", edges, Writer::edge);
    out.section("cidrRules", cidr_rules, Writer::cidr_rule);
    out.section("aliases", aliases, Writer::alias);
    let sections = [
        (
            "labels",
            [
                ("include", texts(&labels.include)),
                ("exclude", texts(&labels.exclude)),
                ("namespace", texts(&labels.namespace)),
            ],
        ),
        (
            "cluster",
            [
                ("podCIDRs", texts(&cluster.pods)),
                ("serviceCIDRs", texts(&cluster.services)),
                ("processes", texts(&cluster.processes)),
            ],
        ),
    ];
    for (section, lists) in sections {
        if lists.iter().any(|(_, texts)| !texts.is_empty()) {
            out.line(2, &format!("{section}:"));
            for (key, texts) in lists {
                out.texts(4, key, &texts);
            }
        }
    }
    out.0
}

fn texts<T: ToString>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    texts.into_iter().map(|text| text.to_string()).collect()
}

const fn rule_name(rule: GeneralRule) -> &'static str {
    match rule {
        GeneralRule::Observed => "Observed",
        GeneralRule::BlockAll => "BlockAll",
        GeneralRule::AllowNamespace => "AllowNamespace",
        GeneralRule::AllowAll => "AllowAll",
        GeneralRule::Unmanaged => "Unmanaged",
    }
}

struct Writer(String);

impl Writer {
    fn line(&mut self, indent: usize, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{:indent$}{text}", "");
    }

    fn entry(&mut self, indent: usize, key: &str, value: &str) {
        self.line(indent, &format!("{key}: {}", scalar(value)));
    }

    /// A list of strings, when it has any.
    fn texts(&mut self, indent: usize, key: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.line(indent, &format!("{key}:"));
            for text in texts {
                self.line(indent, &format!("- {}", scalar(text)));
            }
        }
    }

    /// A list of the spec, when it has entries.
    fn section<T>(&mut self, key: &str, entries: &[T], write: fn(&mut Self, &T)) {
        if !entries.is_empty() {
            self.line(2, &format!("{key}:"));
        }
        for entry in entries {
            self.item(2, |out| write(out, entry));
        }
    }

    /// One entry of a list, written two columns further in: its first line carries the dash.
    fn item(&mut self, indent: usize, write: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        write(self);
        self.0.replace_range(start + indent..=start + indent, "-");
    }

    fn workload_rules(&mut self, rules: &WorkloadRules) {
        let WorkloadRules { workload, ingress, egress, origin: _ } = rules;
        self.workload(4, workload);
        for (key, rule) in [("ingress", ingress), ("egress", egress)] {
            if let Some(rule) = rule {
                self.entry(4, key, rule_name(*rule));
            }
        }
    }

    fn workload(&mut self, indent: usize, workload: &WorkloadRef) {
        let WorkloadRef { namespace, kind, name } = workload;
        self.line(indent, "workload:");
        self.entry(indent + 2, "namespace", namespace.as_str());
        self.entry(indent + 2, "kind", kind.as_str());
        self.entry(indent + 2, "name", name.as_str());
    }

    fn edge(&mut self, decision: &EdgeDecision) {
        let EdgeDecision { choice, source, destination, l4, origin: _ } = decision;
        self.entry(
            4,
            "choice",
            match choice {
                Choice::Include => "Include",
                Choice::Exclude => "Exclude",
            },
        );
        self.pattern("source", source);
        self.pattern("destination", destination);
        match l4 {
            None => {}
            Some(L4::Port(protocol, port)) => {
                self.entry(4, "protocol", protocol.as_str());
                self.line(4, &format!("port: {port}"));
            }
            Some(L4::Icmp) => self.entry(4, "protocol", "ICMP"),
            Some(L4::IcmpV6) => self.entry(4, "protocol", "ICMPv6"),
        }
    }

    /// Any is told by leaving it out.
    fn pattern(&mut self, key: &str, pattern: &PeerPattern) {
        if *pattern == PeerPattern::Any {
            return;
        }
        self.line(4, &format!("{key}:"));
        match pattern {
            PeerPattern::Any => {}
            PeerPattern::Namespace(name) => self.entry(6, "namespace", name.as_str()),
            PeerPattern::Cidr(cidr) => self.entry(6, "cidr", &cidr.to_string()),
            PeerPattern::Peer(Peer::Workload(workload)) => self.workload(6, workload),
            PeerPattern::Peer(Peer::Service(ServiceRef { namespace, name })) => {
                self.line(6, "service:");
                self.entry(8, "namespace", namespace.as_str());
                self.entry(8, "name", name.as_str());
            }
            PeerPattern::Peer(Peer::Node(name)) => self.entry(6, "node", name.as_str()),
            PeerPattern::Peer(Peer::Host(name)) => self.entry(6, "host", name.as_str()),
            PeerPattern::Peer(Peer::Alias(name)) => self.entry(6, "alias", name),
            PeerPattern::Peer(Peer::Address(ip, _)) => self.entry(6, "address", &ip.to_string()),
        }
    }

    fn cidr_rule(&mut self, rule: &CidrRule) {
        let CidrRule { direction, workload, block, ports, origin: _ } = rule;
        self.entry(
            4,
            "direction",
            match direction {
                Direction::Ingress => "Ingress",
                Direction::Egress => "Egress",
            },
        );
        if let Some(workload) = workload {
            self.workload(4, workload);
        }
        self.entry(4, "cidr", &block.cidr().to_string());
        self.texts(4, "except", &texts(block.except()));
        if !ports.is_empty() {
            self.line(4, "ports:");
        }
        for port in ports {
            self.item(4, |out| out.port(port));
        }
    }

    fn port(&mut self, port: &PortMatch) {
        let PortMatch { protocol, target } = port;
        self.entry(6, "protocol", protocol.as_str());
        match target {
            PortTarget::Any => {}
            PortTarget::Numbers(range) => {
                self.line(6, &format!("port: {}", range.first()));
                if range.first() != range.last() {
                    self.line(6, &format!("endPort: {}", range.last()));
                }
            }
            PortTarget::Named(name) => self.entry(6, "port", name),
        }
    }

    fn alias(&mut self, alias: &Alias) {
        let Alias { name, cidrs, allowed, origin: _ } = alias;
        self.entry(4, "name", name);
        self.texts(4, "addresses", &texts(cidrs));
        self.line(4, &format!("allowed: {allowed}"));
    }
}
