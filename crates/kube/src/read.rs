//! Reading Kubernetes objects from files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ringfence_model::object::Objects;
use ringfence_model::{Diagnostic, Name, Origin, Rule};

use crate::document::{documents, list};
use crate::fault::{Fault, shown};
use crate::json::{self, Piece};
use crate::node::{Node, Value};
use crate::object::{Context, Kind};
use crate::record::{Record, record};
use crate::source::{self, SourceError};
use crate::strings::Strings;
use crate::yaml;

pub use crate::object::Object;

/// What was read.
#[derive(Debug, Default)]
pub struct Input {
    /// The objects, in the order in which they were first met.
    pub objects: Objects,
    /// Objects of kinds that nothing here reads, counted by `apiVersion/kind`.
    pub ignored: BTreeMap<String, usize>,
    /// What was wrong. After an error the rest of the input was still read, but the objects are not all there: a
    /// caller that goes on from there would judge a cluster that does not exist.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads manifests and dumps: YAML or JSON, any number of documents, `List` kinds, gzip or zstd.
///
/// Fields are defaulted as the API server defaults them. An object met twice counts once: equal contents are fine,
/// different contents are a warning, and the later one is kept, as `kubectl apply` would.
#[derive(Debug, Default)]
pub struct Reader {
    strings: Strings,
    objects: Vec<Object>,
    known: HashMap<(Kind, Option<Name>, Name), (usize, Origin)>,
    ignored: BTreeMap<String, usize>,
    diagnostics: Vec<Diagnostic>,
    /// The records of the objects, beside them, where they are wanted.
    records: Option<Vec<Record>>,
}

/// `apiVersion` and `kind` of a list, from which items without them take theirs.
type ListKind<'a> = Option<(&'a str, &'a str)>;

impl Reader {
    /// A reader that has read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader that also keeps the objects as [`Record`]s.
    pub fn recording() -> Self {
        Self { records: Some(Vec::new()), ..Self::default() }
    }

    /// Reads a file, all manifests below a directory (`.yaml`, `.yml`, `.json`, and these with `.gz` or `.zst`), or
    /// standard input for `-`.
    pub fn path(&mut self, path: &Path) {
        let name = path.display().to_string();
        if path.as_os_str() == "-" {
            return self.take("<stdin>", source::read(std::io::stdin().lock()));
        }
        if !path.is_dir() {
            return self.take(&name, source::file(path));
        }
        match source::manifests(path) {
            Ok(files) if files.is_empty() => {
                let finding = Diagnostic::warning(
                    "no-manifests",
                    "the directory holds no manifests",
                )
                .at(Origin::new(name, 0))
                .hint("files must end in .yaml, .yml or .json, or in one of these and .gz or .zst");
                self.diagnostics.push(finding);
            }
            Ok(files) => {
                for file in files {
                    self.take(&file.display().to_string(), source::file(&file));
                }
            }
            Err(error) => self.take(&name, Err(error.into())),
        }
    }

    /// Reads text that came from `name`.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.take(name, source::read(bytes));
    }

    /// Reads the text of one object, and keeps nothing of it but the strings that later objects may share. `None`
    /// when it cannot be read, and the diagnostics say why.
    pub fn object(&mut self, name: &str, text: &str) -> (Option<Object>, Vec<Diagnostic>) {
        self.stream(&Origin::new(name, 0), text.as_bytes());
        self.known.clear();
        self.ignored.clear();
        self.strings.forget_unused();
        (self.objects.pop(), std::mem::take(&mut self.diagnostics))
    }

    /// What was read, and the records of the objects if the reader is a [`recording`](Self::recording) one.
    pub fn finish_recording(mut self) -> (Input, Vec<Record>) {
        let records = self.records.take().unwrap_or_default();
        (self.finish(), records)
    }

    /// What was read.
    pub fn finish(self) -> Input {
        let Self { objects: all, ignored, mut diagnostics, .. } = self;
        for (kind, count) in &ignored {
            diagnostics.extend(foreign_policy(kind, *count));
        }
        let mut objects = Objects::default();
        objects.extend(all);
        Input { objects, ignored, diagnostics }
    }

    fn take(&mut self, name: &str, bytes: Result<Vec<u8>, SourceError>) {
        let file = Origin::new(name, 0);
        match bytes {
            Ok(bytes) => self.stream(&file, &bytes),
            Err(error) => {
                let line = if let SourceError::LongLine { line } = error { line } else { 0 };
                let finding = Diagnostic::error("unreadable", error.to_string()).at(file.at(line));
                self.diagnostics.push(match error {
                    SourceError::Io(_) => finding,
                    SourceError::TooLong => finding.hint("split the input into several files"),
                    SourceError::LongLine { .. } => finding.hint("is it a manifest at all?"),
                });
            }
        }
    }

    fn stream(&mut self, file: &Origin, bytes: &[u8]) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (document, line) in documents(bytes) {
            match std::str::from_utf8(document) {
                Ok(text) => self.document(file, Piece { text, line }),
                Err(error) => {
                    let before = &document[..error.valid_up_to()];
                    let line = line.saturating_add(lines(before));
                    self.fault(file, "bad-yaml", None, Fault::new(line, "the text is not UTF-8"));
                }
            }
        }
    }

    /// Reads JSON values, one after the other. `false`: the text is not JSON after all, but YAML in flow style.
    fn json(&mut self, file: &Origin, text: Piece<'_>) -> bool {
        let mut rest = text;
        while !rest.text.trim_ascii_start().is_empty() {
            let document = json::document(rest);
            let first = rest == text;
            // Nobody writes megabytes of flow style by hand; that is JSON cut off.
            let by_hand = first && text.text.len() <= source::MAX_LINE;
            if document.fault.is_some() && by_hand && yaml::parse(text.text, text.line).is_ok() {
                return false;
            }
            let json::Document { whole, header, items, fault, rest: after } = document;
            // The end of a truncated list, where kubectl writes the kind, is missing.
            let list = is_list(&header, true) || fault.is_some();
            match items {
                Some(items) if list => {
                    self.list(file, &header, items.into_iter().map(json::parse));
                }
                _ if fault.is_none() => self.item(file, json::parse(whole), None),
                _ => {}
            }
            if let Some(fault) = fault {
                self.fault(file, "bad-json", None, fault);
                break;
            }
            rest = after;
        }
        true
    }

    /// Reads one document of a YAML stream.
    fn document(&mut self, file: &Origin, document: Piece<'_>) {
        let content = match document.text.strip_prefix("---\n") {
            Some(text) => Piece { text, line: document.line + 1 },
            None => document,
        };
        if source::is_json(content.text.as_bytes()) && self.json(file, content) {
            return;
        }
        if let Some(cut) = list(document) {
            match yaml::parse(&cut.header, document.line) {
                Ok(Some(header)) if is_list(&header, true) => {
                    let items = cut.items.iter().map(|item| {
                        let single = yaml::parse(item.text, item.line)?;
                        match single.map(|node| node.value) {
                            Some(Value::Seq(mut items)) if items.len() == 1 => Ok(items.remove(0)),
                            _ => {
                                Err(Fault::new(item.line, "not valid YAML: not an item of a list"))
                            }
                        }
                    });
                    return self.list(file, &header, items);
                }
                Ok(_) => {}
                Err(mut fault) => {
                    fault.line = cut.line(fault.line);
                    return self.fault(file, "bad-yaml", None, fault);
                }
            }
        }
        match yaml::parse(document.text, document.line) {
            Ok(None) => {}
            Ok(Some(node)) if node.is_null() => {}
            Ok(Some(mut node)) if is_list(&node, false) => {
                let Value::Map(entries) = &mut node.value else { return };
                let items = entries.iter_mut().find(|(key, _)| key.text == "items");
                let items =
                    items.map(|(_, items)| std::mem::replace(&mut items.value, Value::Unread));
                match items {
                    Some(Value::Seq(items)) => self.list(file, &node, items.into_iter().map(Ok)),
                    Some(Value::Plain(text)) if Node::plain(0, &*text).is_null() => {}
                    None => {}
                    Some(_) => {
                        let fault = Fault::new(node.line, "expected a list").inside("items", 0);
                        self.fault(file, "bad-object", None, fault);
                    }
                }
            }
            node => self.item(file, node.map(|n| n.unwrap_or_else(|| Node::plain(0, ""))), None),
        }
    }

    fn list<'a>(
        &mut self,
        file: &Origin,
        header: &Node<'_>,
        items: impl Iterator<Item = Result<Node<'a>, Fault>>,
    ) {
        let text = |key| header.get(key).and_then(Node::as_text);
        let kind = text("apiVersion").zip(text("kind"));
        let kind = kind.and_then(|(version, kind)| Some((version, kind.strip_suffix("List")?)));
        for item in items {
            self.item(file, item, kind);
        }
    }

    /// Reads one object.
    fn item(&mut self, file: &Origin, item: Result<Node<'_>, Fault>, list: ListKind<'_>) {
        let node = match item {
            Ok(node) => node,
            Err(fault) => return self.fault(file, "bad-yaml", None, fault),
        };
        let Value::Map(entries) = &node.value else {
            let fault = Fault::new(node.line, "not an object")
                .hint("an object has apiVersion, kind and metadata");
            return self.fault(file, "bad-object", None, fault);
        };
        let field = |key: &str, inherited: Option<&str>| {
            match node.get(key) {
            Some(value) => value.as_text().map(str::to_owned).ok_or_else(|| {
                Fault::new(value.line, format!("{key}: expected a string"))
            }),
            None => inherited.filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(|| {
                let typo = entries.iter().find(|(k, _)| k.text.eq_ignore_ascii_case(key));
                let fault = Fault::new(node.line, format!("{key} is missing"));
                fault.hint(match typo {
                    Some((typo, _)) => format!("line {} has {:?}; write {key}", typo.line, typo.text),
                    None => "only Kubernetes objects can be read; leave other files out, and render templates first".into(),
                })
            }),
        }
        };
        let kind = field("apiVersion", list.map(|l| l.0))
            .and_then(|version| Ok((version, field("kind", list.map(|l| l.1))?)));
        let (api_version, kind_text) = match kind {
            Ok(kind) => kind,
            Err(fault) => return self.fault(file, "not-an-object", None, fault),
        };
        let Some(kind) = Kind::of(&api_version, &kind_text) else {
            if is_list(&node, false) {
                let fault = Fault::new(node.line, "a list inside a list")
                    .hint("write its items into the outer list");
                return self.fault(file, "bad-object", Some(&kind_text), fault);
            }
            *self.ignored.entry(shown(&format!("{api_version}/{kind_text}"))).or_default() += 1;
            return;
        };
        let origin = file.at(node.line);
        let mut cx = Context { strings: &mut self.strings, origin: &origin, findings: Vec::new() };
        match crate::object::read(kind, &node, &mut cx) {
            Ok(read) => {
                let subject = match &read.namespace {
                    Some(namespace) => format!("{kind_text} {namespace}/{}", read.name),
                    None => format!("{kind_text} {}", read.name),
                };
                let findings = cx.findings.into_iter().map(|finding| finding.about(&subject));
                self.diagnostics.extend(findings);
                let record = self.records.as_ref().map(|_| record(kind, &api_version, &node));
                match record.transpose() {
                    Ok(record) => {
                        let key = (kind, read.namespace, read.name);
                        self.keep(key, read.object, record, origin, &subject);
                    }
                    Err(fault) => self.fault(file, "bad-object", Some(&subject), fault),
                }
            }
            Err(faults) => {
                let subject = subject(&kind_text, &node);
                for fault in faults {
                    self.fault(file, "bad-object", Some(&subject), fault);
                }
            }
        }
    }

    fn keep(
        &mut self,
        key: (Kind, Option<Name>, Name),
        object: Object,
        record: Option<Record>,
        origin: Origin,
        subject: &str,
    ) {
        match self.known.entry(key) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert((self.objects.len(), origin));
                self.objects.push(object);
                self.records.iter_mut().for_each(|records| records.extend(record.clone()));
            }
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                let (at, earlier) = entry.get_mut();
                if placeless(object.clone()) != placeless(self.objects[*at].clone()) {
                    let message =
                        format!("also stands at {earlier} with other contents; this one is used");
                    let finding = Diagnostic::warning("duplicate-object", message)
                        .at(origin.clone())
                        .about(subject)
                        .hint("give the files of one moment and one cluster only");
                    self.diagnostics.push(finding);
                }
                self.objects[*at] = object;
                if let (Some(records), Some(record)) = (&mut self.records, record) {
                    records[*at] = record;
                }
                *earlier = origin;
            }
        }
    }

    fn fault(&mut self, file: &Origin, code: &'static str, subject: Option<&str>, fault: Fault) {
        self.diagnostics.push(fault.report(code, file, subject));
    }
}

/// `Kind namespace/name` of an object that could not be read, as far as it says.
fn subject(kind: &str, node: &Node<'_>) -> String {
    let text = |key| node.get("metadata").and_then(|m| m.get(key)).and_then(Node::as_text);
    match (text("namespace"), text("name")) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (None, Some(name)) => format!("{kind} {name}"),
        (_, None) => kind.to_owned(),
    }
}

/// Whether the node is a list of objects. The items of a cut one are gone, so the header of `PodList` counts too;
/// a custom kind that merely ends in `List` has no `items`.
fn is_list(node: &Node<'_>, cut: bool) -> bool {
    let kind = node.get("kind").and_then(Node::as_text).unwrap_or_default();
    kind == "List" || kind.ends_with("List") && (cut || node.get("items").is_some())
}

fn lines(text: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', text).count()).unwrap_or(u32::MAX)
}

/// The object without the places it was read from, for comparing contents.
fn placeless(mut object: Object) -> Object {
    match &mut object {
        Object::Namespace(namespace) => namespace.origin = Origin::default(),
        Object::Node(node) => node.origin = Origin::default(),
        Object::Pod(pod) => pod.origin = Origin::default(),
        Object::Controller(controller) => controller.origin = Origin::default(),
        Object::Service(service) => service.origin = Origin::default(),
        Object::Endpoints(all) => all.iter_mut().for_each(|e| e.origin = Origin::default()),
        Object::Policy(policy) => {
            policy.origin = Origin::default();
            let rules = [&mut policy.ingress, &mut policy.egress].into_iter().flatten().flatten();
            rules.for_each(|rule: &mut Rule| rule.origin = Origin::default());
        }
        Object::ClusterPolicy(policy) => {
            policy.origin = Origin::default();
            let rules = policy.ingress.iter_mut().chain(&mut policy.egress);
            rules.for_each(|rule| rule.origin = Origin::default());
        }
        Object::Host(host) => host.origin = Origin::default(),
    }
    object
}

/// Policies of other dialects decide traffic too: leaving them out must be said.
fn foreign_policy(kind: &str, count: usize) -> Option<Diagnostic> {
    let name = kind.rsplit('/').next()?;
    if !name.ends_with("NetworkPolicy") && !name.ends_with("NetworkPolicySet") {
        return None;
    }
    let message = format!("{count} of kind {kind}: policies of this dialect are not read");
    let hint = "what they allow or deny is not part of the answer";
    Some(Diagnostic::warning("unread-policies", message).hint(hint))
}
