import type { Peer, Present, Verdict } from "./edge.ts";
import { peerName, portName } from "./edge.ts";
import type { Said } from "./said.ts";

/** A node of the map: who owns pods, or what stands outside. */
export interface MapNode {
  readonly id: string;
  readonly peer: Peer;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  readonly services: readonly string[];
  /** Of an alias: the addresses that it stands for. */
  readonly addresses: readonly string[];
  readonly pods: number;
  readonly inScope: boolean;
  /** Whether it is in the cluster now; what was seen may be gone. */
  readonly present: boolean;
}

/** A link of the map. */
export interface MapLink {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  readonly protocol: string;
  readonly port: number | null;
  readonly services: readonly string[];
  readonly connections: number;
  readonly denied: number;
  readonly firstSeen: number;
  readonly lastSeen: number;
  /** With the policies in the cluster now. */
  readonly before: Present;
  /** With the policies that the review would give. */
  readonly after: Verdict;
  readonly reason: Said;
}

export interface Topology {
  readonly nodes: readonly MapNode[];
  readonly links: readonly MapLink[];
}

/** Which policies the map shows: those in the cluster, or those of the review. */
export type Lens = "now" | "policy";

/**
 * How a link is drawn. `forbidden`: works now and would be cut. `denied`: existing policies deny it already and
 * nothing changes that. `opened`: denied now, would be allowed. `partly`: passes between some of the pods.
 */
export const LINK_STATES = ["allowed", "forbidden", "partly", "denied", "opened", "unknown"] as const;
export type LinkState = (typeof LINK_STATES)[number];

export function linkState(link: Pick<MapLink, "before" | "after">, lens: Lens): LinkState {
  if (lens === "now") return link.before;
  if (link.before === "denied") return link.after === "allowed" ? "opened" : "denied";
  return link.after;
}

/** The box that a node stands in. */
export interface Group {
  readonly key: string;
  readonly type: "namespace" | "nodes" | "sources" | "destinations";
  /** Of a namespace. */
  readonly name: string;
}

/** Groups nodes by namespace; nodes of the cluster and what is outside stand in groups of their own. */
export function groupOf(node: MapNode, onlySource: boolean): Group {
  const { kind, namespace } = node.peer;
  if (kind === "Node") return { key: "nodes", type: "nodes", name: "" };
  if (namespace !== null) return { key: `namespace/${namespace}`, type: "namespace", name: namespace };
  const type = onlySource ? "sources" : "destinations";
  return { key: type, type, name: "" };
}

/** Nodes whose name, label, port, Service or address contains the text. */
export function findNodes(topology: Topology, text: string): readonly MapNode[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [];
  return topology.nodes.filter((node) =>
    [
      peerName(node.peer),
      ...node.ports,
      ...node.services,
      ...node.addresses,
      ...Object.entries(node.labels).map(([key, value]) => `${key}=${value}`),
    ].some((field) => field.toLowerCase().includes(wanted)),
  );
}

/** The links at a node, those into it and those out of it, busiest first. */
export function linksAt(
  topology: Topology,
  id: string,
): { into: readonly MapLink[]; out: readonly MapLink[] } {
  const busiest = (a: MapLink, b: MapLink) =>
    b.connections - a.connections || portName(a).localeCompare(portName(b));
  return {
    into: topology.links.filter((link) => link.target === id).toSorted(busiest),
    out: topology.links.filter((link) => link.source === id).toSorted(busiest),
  };
}

/** How many links there are of each state. */
export function countStates(topology: Topology, lens: Lens): Readonly<Record<LinkState, number>> {
  const counts = { allowed: 0, forbidden: 0, partly: 0, denied: 0, opened: 0, unknown: 0 };
  for (const link of topology.links) counts[linkState(link, lens)] += 1;
  return counts;
}
