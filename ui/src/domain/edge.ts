import type { Said } from "./said.ts";

/** Into or out of the entities in scope. */
export type Direction = "ingress" | "egress";

/** What stands at an end of an edge. */
export interface Peer {
  /** A kind of workload, or Service, Node, Host, Alias, Address. */
  readonly kind: string;
  readonly namespace: string | null;
  readonly name: string;
  /** Of an address: where it lies. */
  readonly addressClass: AddressClass | null;
}

export const ADDRESS_CLASSES = ["internal", "external", "unknown"] as const;
export type AddressClass = (typeof ADDRESS_CLASSES)[number];

/** What the review makes of an edge. */
export type Verdict = "allowed" | "forbidden" | "unknown";
/** What the policies in the cluster make of it now: of all its pods, some, none. */
export type Present = "allowed" | "partly" | "denied" | "unknown";
/** What people decided about edges. */
export type Choice = "include" | "exclude";

/** What observes connections. */
export type Observer = "agentEbpf" | "agentConntrack" | "hubble" | "flowLog";
/** Who reported an edge, and who watched its ends at the time. Where nobody did, silence proves nothing. */
export interface Observers {
  readonly reported: readonly Observer[];
  readonly client: readonly Observer[];
  readonly server: readonly Observer[];
}

/** An edge as a row of the ingress or egress table. */
export interface Edge {
  readonly id: string;
  readonly direction: Direction;
  /** The end that is in scope. */
  readonly entity: Peer;
  /** The other end. */
  readonly peer: Peer;
  readonly protocol: string;
  readonly port: number | null;
  readonly services: readonly string[];
  readonly connections: number;
  readonly denied: number;
  readonly refused: number;
  readonly bytes: number;
  readonly observers: Observers;
  /** Milliseconds since 1970. */
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly verdict: Verdict;
  readonly reason: Said;
  readonly decision: Choice | null;
  readonly present: Present;
  /** How a decision names it; `null` where a review cannot. */
  readonly pattern: EdgePattern | null;
}

/** How a review names edges. What is in it is the server's to say; the interface only hands it back. */
export type EdgePattern = Readonly<Record<string, unknown>>;

/** An address that resolves to nothing known, and what the entities in scope have to do with it. */
export interface AddressRow {
  readonly id: string;
  readonly address: string;
  readonly alias: string | null;
  readonly class: AddressClass;
  readonly direction: Direction;
  readonly ports: readonly { readonly protocol: string; readonly port: number | null }[];
  readonly entities: readonly Peer[];
  readonly connections: number;
  readonly denied: number;
  readonly firstSeen: number;
  readonly lastSeen: number;
  /** How much of it passes under the review. */
  readonly allowed: "all" | "some" | "none";
  readonly edges: readonly { readonly id: string; readonly pattern: EdgePattern }[];
}

/** Which addresses a list has. */
export const ADDRESS_FILTERS = ["internal", "external", "aliased", "unknown"] as const;
export type AddressFilter = (typeof ADDRESS_FILTERS)[number];

export function passesFilter(row: AddressRow, filter: AddressFilter): boolean {
  return filter === "aliased" ? row.alias !== null : row.alias === null && row.class === filter;
}

/** `shop/Deployment/web`, `Alias/payment-api`, `198.51.100.7`. */
export function peerName(peer: Peer): string {
  if (peer.kind === "Address") return peer.name;
  return [peer.namespace, peer.kind, peer.name].filter((part) => part !== null && part !== "").join("/");
}

/** `TCP/443`, `ICMP`. */
export function portName(edge: { readonly protocol: string; readonly port: number | null }): string {
  return edge.port === null ? edge.protocol : `${edge.protocol}/${edge.port}`;
}

/** Whether an edge ends outside of what Kubernetes knows. */
export function isOutside(peer: Peer): boolean {
  return peer.kind === "Address" || peer.kind === "Alias" || peer.kind === "Host";
}

/** The ends of an edge, in the direction of its connections. */
export function ends(edge: Edge): { readonly source: Peer; readonly destination: Peer } {
  return edge.direction === "ingress"
    ? { source: edge.peer, destination: edge.entity }
    : { source: edge.entity, destination: edge.peer };
}

/** What a table can be sorted by. */
export const SORTS = ["entity", "peer", "port", "connections", "firstSeen", "lastSeen", "verdict"] as const;
export type SortKey = (typeof SORTS)[number];
export interface Sort {
  readonly key: SortKey;
  readonly down: boolean;
}

/** Reads `connections` or `-connections`; by entity when it is neither. */
export function parseSort(text: string | undefined): Sort {
  const down = text?.startsWith("-") ?? false;
  const key = SORTS.find((one) => one === (down ? text?.slice(1) : text));
  return key ? { key, down } : { key: "entity", down: false };
}

export function formatSort({ key, down }: Sort): string {
  return down ? `-${key}` : key;
}

/** Whether the text is in what names the edge; case does not matter. */
export function matches(edge: Edge, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return true;
  return [
    peerName(edge.entity),
    peerName(edge.peer),
    portName(edge),
    edge.reason.text,
    ...edge.services,
  ].some((field) => field.toLowerCase().includes(wanted));
}

/** The rows in the order of a sort; equal ones by entity, peer and port, so that the order never jumps. */
export function sorted(edges: readonly Edge[], { key, down }: Sort): readonly Edge[] {
  const keyed = edges.map((edge) => ({ edge, value: sortValue(edge, key), name: nameKey(edge) }));
  const sign = down ? -1 : 1;
  keyed.sort((a, b) => sign * compare(a.value, b.value) || compare(a.name, b.name));
  return keyed.map(({ edge }) => edge);
}

function sortValue(edge: Edge, key: SortKey): string | number {
  switch (key) {
    case "entity":
      return peerName(edge.entity);
    case "peer":
      return peerName(edge.peer);
    case "port":
      return edge.port ?? 0;
    case "connections":
    case "firstSeen":
    case "lastSeen":
    case "verdict":
      return edge[key];
  }
}

function nameKey(edge: Edge): string {
  const port = String(edge.port ?? 0).padStart(5, "0");
  return `${peerName(edge.entity)} ${peerName(edge.peer)} ${edge.protocol} ${port}`;
}

function compare<T extends string | number>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
