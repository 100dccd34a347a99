import { type Document, isMap, isNode, isScalar, isSeq, parseDocument } from "yaml";
import type { Policy, PolicyPeer, PolicyPort, PolicyRule, Selector } from "./policy.ts";

// Policies that are edited as a form stay texts: only what the form changed is written anew, so that comments, labels and
// the other documents of the text remain as people wrote them.

/** The lines of a document of a text, first and last, from 1; without the separator before it. */
interface Lines {
  readonly from: number;
  readonly to: number;
}

/** The documents of a YAML text. */
function documents(text: string): readonly Lines[] {
  const lines = text.split("\n");
  // At the beginning of a line a separator is one, inside of any other text too (YAML 1.2, 9.1.2).
  const starts = lines.flatMap((line, i) => (/^---(\s|$)/.test(line) ? [i + 2] : []));
  const begins = [1, ...starts];
  return begins.map((from, i) => ({ from, to: (begins[i + 1] ?? lines.length + 2) - 2 }));
}

/** Which document of a text a line is in, from 0. */
export function documentAt(text: string, line: number): number {
  return Math.max(
    0,
    documents(text).findLastIndex(({ from }) => from <= line),
  );
}

/** The texts as documents of one. */
export function joined(texts: readonly string[]): string {
  return texts.map((text) => (text.endsWith("\n") ? text : `${text}\n`)).join("---\n");
}

/** A policy that is in no text yet, as a text. */
export function manifest(policy: Policy): string {
  return withPolicy("", 0, policy);
}

/** The text with one document changed to say what the policy says. */
export function withPolicy(text: string, index: number, policy: Policy): string {
  const lines = text.split("\n");
  const { from, to } = documents(text)[index] ?? { from: 1, to: lines.length };
  const document = parseDocument(lines.slice(from - 1, to).join("\n"), OPTIONS);
  const { namespace, name } = policy;
  const wanted = {
    ...plain(document),
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { ...plain(document.get("metadata")), name, namespace },
    spec: spec(policy),
  };
  if (equal(plain(document), wanted)) return text;
  merge(document, [], wanted);
  const written = document
    .toString({ indentSeq: false, lineWidth: 0, flowCollectionPadding: false })
    .replace(/\n$/, "")
    .split("\n");
  const rest = lines.slice(to);
  return [...lines.slice(0, from - 1), ...written, ...(rest.length === 0 ? [""] : rest)].join("\n");
}

/** Kubernetes reads `no` and `on` as YAML 1.1 does: texts like these are quoted. */
const OPTIONS = { compat: "yaml-1.1" } as const;

type Path = readonly (string | number)[];

function plain(value: unknown): Record<string, unknown> {
  const data: unknown = isNode(value) || value instanceof Object ? toJs(value) : null;
  return isRecord(data) ? data : {};
}

function toJs(value: object): unknown {
  return "toJSON" in value && typeof value.toJSON === "function" ? value.toJSON() : value;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Makes what stands at a path say what is wanted; nodes that say it already stay as they are. */
function merge(document: Document, path: Path, wanted: unknown): void {
  const now: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
  if (isNode(now) && equal(now.toJSON(), wanted)) return;
  // What is empty is written `{}` or `[]`, with which nothing else stands on a line.
  const small = [wanted, isNode(now) ? now.toJSON() : null].some(
    (value) => value !== null && typeof value === "object" && Object.keys(value).length === 0,
  );
  if (isMap(now) && isRecord(wanted) && !small) {
    const keys = now.items.map(({ key }) => String(isScalar(key) ? key.value : key));
    for (const key of keys) if (!(key in wanted)) document.deleteIn([...path, key]);
    for (const [key, value] of Object.entries(wanted)) merge(document, [...path, key], value);
  } else if (isSeq(now) && Array.isArray(wanted) && !small) {
    const had = now.toJSON() as readonly unknown[];
    const shorter = Math.min(had.length, wanted.length);
    let head = 0;
    while (head < shorter && equal(had[head], wanted[head])) head += 1;
    let tail = 0;
    while (tail < shorter - head && equal(had.at(-1 - tail), wanted.at(-1 - tail))) tail += 1;
    const next = wanted.slice(head, wanted.length - tail);
    if (had.length === wanted.length) next.forEach((value, i) => merge(document, [...path, head + i], value));
    else now.items.splice(head, had.length - head - tail, ...next.map((value) => document.createNode(value)));
  } else if (isScalar(now) && !(wanted instanceof Object)) now.value = wanted;
  else if (path.length === 0) document.contents = document.createNode(wanted);
  else document.setIn(path, document.createNode(wanted));
}

function equal(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((value, i) => equal(value, b[i]));
  if (isRecord(a) && isRecord(b)) {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((key) => key in b && equal(a[key], b[key]));
  }
  return a === b;
}

function spec({ subject, ingress, egress }: Policy): Record<string, unknown> {
  return {
    podSelector: selectorData(subject),
    policyTypes: [...(ingress ? ["Ingress"] : []), ...(egress ? ["Egress"] : [])],
    ...(ingress ? { ingress: ingress.map((rule) => ruleData("from", rule)) } : {}),
    ...(egress ? { egress: egress.map((rule) => ruleData("to", rule)) } : {}),
  };
}

function ruleData(side: "from" | "to", { peers, ports }: PolicyRule): Record<string, unknown> {
  return {
    ...(peers && peers.length > 0 ? { [side]: peers.map(peerData) } : {}),
    ...(ports && ports.length > 0 ? { ports: ports.map(portData) } : {}),
  };
}

function peerData(peer: PolicyPeer): Record<string, unknown> {
  if (peer.type === "ipBlock") {
    const { cidr, except } = peer;
    return { ipBlock: { cidr, ...(except.length > 0 ? { except: [...except] } : {}) } };
  }
  const everyPod = Object.keys(peer.pods.labels).length + peer.pods.expressions.length === 0;
  return {
    ...(peer.namespaces ? { namespaceSelector: selectorData(peer.namespaces) } : {}),
    // Beside a namespaceSelector, leaving podSelector out says the same as an empty one.
    ...(peer.namespaces && everyPod ? {} : { podSelector: selectorData(peer.pods) }),
  };
}

function portData({ protocol, port, endPort, name }: PolicyPort): Record<string, unknown> {
  const number = name ?? port;
  return {
    protocol,
    ...(number === null ? {} : { port: number }),
    ...(endPort === null ? {} : { endPort }),
  };
}

function selectorData({ labels, expressions }: Selector): Record<string, unknown> {
  return {
    ...(Object.keys(labels).length > 0 ? { matchLabels: { ...labels } } : {}),
    ...(expressions.length > 0
      ? {
          matchExpressions: expressions.map(({ key, operator, values }) => ({
            key,
            operator,
            ...(values.length > 0 ? { values: [...values] } : {}),
          })),
        }
      : {}),
  };
}
