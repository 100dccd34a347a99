import type { Cluster, Entity, Message, Namespace, Period, Readiness } from "../domain/cluster.ts";
import type { AddressRow, Edge, EdgePattern, Peer } from "../domain/edge.ts";
import type { CidrRule, Configuration, Review, ReviewVersion, SelectorPreview } from "../domain/review.ts";
import type {
  Certificate,
  ExistingPolicy,
  Generated,
  Judgement,
  JudgedEdge,
  Policy,
  PolicyRule,
  Selector,
} from "../domain/policy.ts";
import type { Topology } from "../domain/topology.ts";
import type { Wire } from "./client.ts";

// What goes over the wire, made into what the views show: moments are numbers, what is missing is null.

const time = (text: string): number => Date.parse(text);
const maybeTime = (text: string | undefined): number | null => (text === undefined ? null : time(text));

function period(wire: Wire["Period"] | undefined): Period | null {
  return wire ? { first: time(wire.first), last: time(wire.last) } : null;
}

export function peer(wire: {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly class?: Wire["AddressClass"];
}): Peer {
  return {
    kind: wire.kind,
    namespace: wire.namespace ?? null,
    name: wire.name,
    addressClass: wire.class ?? null,
  };
}

export function cluster(wire: Wire["Cluster"]): Cluster {
  return {
    name: wire.name,
    profile: wire.profile,
    state: wire.sync.state,
    faults: wire.sync.kinds.flatMap(({ kind, state, fault }) =>
      state === "stale" || state === "forbidden" ? [fault ? `${kind}: ${fault}` : `${kind}: ${state}`] : [],
    ),
    observed: period(wire.observed),
    counts: wire.counts,
  };
}

export function namespace(wire: Wire["Namespace"]): Namespace {
  const { name, system, workloads, pods, policies, review } = wire;
  return { name, system, workloads, pods, policies, review };
}

export function entity(wire: Wire["Entity"]): Entity {
  return { peer: peer(wire), pods: wire.pods, labels: wire.labels, hostNetwork: wire.hostNetwork };
}

export function message(wire: Wire["Message"] & { readonly namespaces?: readonly string[] }): Message {
  return {
    severity: wire.severity,
    code: wire.code,
    values: wire.values,
    subject: wire.subject ?? null,
    line: wire.line ?? null,
    text: wire.message,
    hint: wire.hint ?? null,
    namespaces: wire.namespaces ?? [],
  };
}

export function edge(wire: Wire["EdgeRow"]): Edge {
  return {
    id: wire.id,
    direction: wire.direction,
    entity: peer(wire.entity),
    peer: peer(wire.peer),
    protocol: wire.protocol,
    port: wire.port ?? null,
    services: wire.services,
    connections: wire.connections,
    denied: wire.denied,
    refused: wire.refused,
    bytes: wire.bytesSent + wire.bytesReceived,
    observers: { reported: wire.observers, client: wire.clientObservers, server: wire.serverObservers },
    firstSeen: time(wire.firstSeen),
    lastSeen: time(wire.lastSeen),
    verdict: wire.verdict,
    reason: wire.reason,
    decision: wire.decision === "Include" ? "include" : wire.decision === "Exclude" ? "exclude" : null,
    present: wire.current,
    pattern: pattern(wire.edge),
  };
}

const pattern = (wire: Wire["EdgePattern"]): EdgePattern => ({ ...wire });

export function address(wire: Wire["Address"]): AddressRow {
  return {
    id: wire.id,
    address: wire.address,
    alias: wire.alias ?? null,
    class: wire.class,
    direction: wire.direction,
    ports: wire.ports.map(({ protocol, port }) => ({ protocol, port: port ?? null })),
    entities: wire.entities.map(peer),
    connections: wire.connections,
    denied: wire.denied,
    firstSeen: time(wire.firstSeen),
    lastSeen: time(wire.lastSeen),
    allowed: wire.allowed,
    edges: wire.edges.map(({ id, edge }) => ({ id, pattern: pattern(edge) })),
  };
}

export function topology(wire: Wire["Topology"]): Topology {
  const known = new Set(wire.nodes.map(({ id }) => id));
  return {
    nodes: wire.nodes.map((node) => ({
      id: node.id,
      peer: peer(node),
      labels: node.labels,
      ports: node.ports.map(({ name, protocol, port }) => `${protocol}/${port}${name ? ` ${name}` : ""}`),
      services: node.services,
      addresses: node.addresses,
      pods: node.pods,
      inScope: node.inScope,
      present: node.present,
    })),
    links: wire.links
      .filter(({ source, target }) => known.has(source) && known.has(target))
      .map((link) => ({
        id: link.id,
        source: link.source,
        target: link.target,
        protocol: link.protocol,
        port: link.port ?? null,
        services: link.services,
        connections: link.connections,
        denied: link.denied,
        firstSeen: time(link.firstSeen),
        lastSeen: time(link.lastSeen),
        before: link.before,
        after: link.after,
        reason: link.reason,
      })),
  };
}

export function review(wire: Wire["Review"]): Review {
  const { rules, workloads, cidrRules } = wire.review;
  return {
    version: wire.version,
    who: wire.who ?? null,
    at: maybeTime(wire.at),
    rules,
    workloads: workloads.map(({ workload, ingress, egress }) => ({
      ...workload,
      ingress: ingress ?? null,
      egress: egress ?? null,
    })),
    cidrRules: cidrRules.map(cidrRule),
    yaml: wire.yaml,
  };
}

function cidrRule(wire: Wire["CidrRule"]): CidrRule {
  return {
    direction: wire.direction === "Ingress" ? "ingress" : "egress",
    workload: wire.workload ?? null,
    cidr: wire.cidr,
    except: wire.except ?? [],
    ports: (wire.ports ?? []).flatMap(({ protocol, port, endPort }) =>
      protocol === "ICMP" || protocol === "ICMPv6" || port === undefined
        ? []
        : [{ protocol: protocol ?? "TCP", port, ...(endPort === undefined ? {} : { endPort }) }],
    ),
  };
}

export function wireCidrRule(rule: CidrRule): Wire["CidrRule"] {
  return {
    direction: rule.direction === "ingress" ? "Ingress" : "Egress",
    ...(rule.workload ? { workload: rule.workload } : {}),
    cidr: rule.cidr,
    ...(rule.except.length > 0 ? { except: [...rule.except] } : {}),
    ...(rule.ports.length > 0 ? { ports: rule.ports.map((port) => ({ ...port })) } : {}),
  };
}

export function reviewVersion(wire: Wire["ReviewVersion"]): ReviewVersion {
  return { version: wire.version, who: wire.who, at: time(wire.at), note: wire.note };
}

export function configuration(wire: Wire["Configuration"]): Configuration {
  return {
    version: wire.version,
    who: wire.who ?? null,
    at: maybeTime(wire.at),
    aliases: wire.aliases,
    labels: wire.labels,
    cidrs: {
      pods: wire.cluster.podCIDRs,
      services: wire.cluster.serviceCIDRs,
      processes: wire.cluster.processes,
    },
    profile: wire.profile,
    found: {
      labels: wire.found.labels.map(({ key, workloads, values, examples, selectors, volatile }) => ({
        key,
        workloads,
        values,
        examples,
        selectors,
        volatile,
      })),
      namespaceLabels: wire.found.namespaceLabels.map(({ key, namespaces, missing }) => ({
        key,
        namespaces,
        missing,
      })),
      ranges: wire.found.ranges,
      complete: wire.found.complete,
    },
  };
}

export function selectorPreview(wire: Wire["SelectorPreview"]): SelectorPreview {
  return {
    workload: wire.workload,
    before: wire.before ?? null,
    after: wire.after ?? null,
    fault: wire.fault ?? null,
    collateral: wire.collateral,
  };
}

export function generated(wire: Wire["GeneratedPolicies"]): Generated {
  return {
    review: wire.review,
    files: wire.files.map((file) => ({
      namespace: file.namespace,
      name: file.name,
      path: file.path,
      yaml: file.yaml,
      currentYaml: file.currentYaml ?? null,
      state: file.state,
      rules: file.rules,
    })),
    certificate: certificate(wire.certificate),
  };
}

function certificate(wire: Wire["Certificate"]): Certificate {
  const judged = ({ source, destination, port, reason, accepted }: Wire["CertificateEdge"]): JudgedEdge => ({
    source,
    destination,
    port,
    reason,
    accepted,
  });
  return {
    proven: wire.outcome === "PROVEN",
    scope: wire.scope,
    window: wire.window
      ? { first: time(wire.window.first), last: time(wire.window.last), hours: wire.window.hours }
      : null,
    checks: wire.checks,
    failures: wire.failures.map((failure) => ({
      ...failure,
      connection: failure.connection ?? null,
    })),
    replaced: wire.replaced,
    kept: wire.kept.map(judged),
    cut: wire.cut.map(judged),
    unknown: wire.unknown.map(judged),
    changes: wire.changes,
    slack: wire.slack,
    assumptions: wire.assumptions,
    messages: wire.messages.map(({ severity, code, values, subject, message, hint }) => ({
      severity: severity === "error" || severity === "warning" ? severity : "note",
      code,
      values,
      subject: subject ?? null,
      line: null,
      text: message,
      hint: hint ?? null,
      namespaces: [],
    })),
  };
}

function selector(wire: Wire["SelectorForm"]): Selector {
  return { labels: wire.matchLabels, expressions: wire.matchExpressions };
}

function rules(wire: readonly Wire["RuleForm"][] | undefined): readonly PolicyRule[] | null {
  if (wire === undefined) return null;
  return wire.map(({ peers, ports }) => ({
    peers:
      peers?.map((one) =>
        one.type === "ipBlock"
          ? one
          : {
              type: "pods" as const,
              namespaces: one.namespaces ? selector(one.namespaces) : null,
              pods: selector(one.pods),
              matches: one.matches.map(peer),
            },
      ) ?? null,
    ports:
      ports?.map(({ protocol, port, endPort, name }) => ({
        protocol,
        port: port ?? null,
        endPort: endPort ?? null,
        name: name ?? null,
      })) ?? null,
  }));
}

export function policy(wire: Wire["PolicyForm"]): Policy {
  return {
    line: wire.line ?? 1,
    namespace: wire.namespace,
    name: wire.name,
    subject: selector(wire.subject),
    selected: wire.selected.map(peer),
    ingress: rules(wire.ingress),
    egress: rules(wire.egress),
  };
}

export function existingPolicy(wire: Wire["ExistingPolicy"]): ExistingPolicy {
  return { yaml: wire.yaml, policy: policy(wire.policy), findings: wire.findings.map(message) };
}

export function judgement(wire: Wire["Judgement"]): Judgement {
  const row = (one: Wire["JudgedRow"]) => ({
    id: one.id,
    source: peer(one.source),
    destination: peer(one.destination),
    protocol: one.protocol,
    port: one.port ?? null,
    connections: one.connections,
    before: one.before,
    after: one.after,
    because: one.because,
  });
  return {
    faults: wire.faults.map(message),
    policies: wire.policies.map(policy),
    findings: wire.findings.map(message),
    cut: wire.cut.map(row),
    opened: wire.opened.map(row),
    unchanged: wire.unchanged,
  };
}

export function readiness(wire: Wire["Readiness"]): Readiness {
  return {
    observed: period(wire.observed),
    hours: wire.hours,
    messages: wire.messages.map(message),
    workloads: wire.workloads.map((one) => ({
      workload: peer(one.workload),
      connections: one.connections,
      edges: one.edges,
      edgesSeenOnce: one.edgesSeenOnce,
      unseenProbability: one.unseenProbability ?? null,
      gaps: one.gaps,
    })),
  };
}
