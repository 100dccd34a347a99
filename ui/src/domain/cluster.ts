import type { Peer } from "./edge.ts";
import type { Said, Values } from "./said.ts";

/** A time that something covers, in milliseconds since 1970. */
export interface Period {
  readonly first: number;
  readonly last: number;
}

export interface Cluster {
  readonly name: string;
  readonly profile: string;
  /** How fresh its objects are, in one word. */
  readonly state: "synced" | "syncing" | "stale" | "partial" | "files";
  /** Why it is not up to date, a line for each kind. */
  readonly faults: readonly string[];
  readonly observed: Period | null;
  readonly counts: { readonly namespaces: number; readonly workloads: number; readonly pods: number };
}

export interface Namespace {
  readonly name: string;
  /** Whether it belongs to Kubernetes itself. */
  readonly system: boolean;
  readonly workloads: number;
  readonly pods: number;
  readonly policies: number;
  /** Version of its review; 0 when nothing was decided yet. */
  readonly review: number;
}

/** A workload or a Service that a scope can name. */
export interface Entity {
  readonly peer: Peer;
  readonly pods: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly hostNetwork: boolean;
}

/** Something that people should know until it is fixed. */
export interface Message {
  readonly severity: "note" | "warning" | "error";
  readonly code: string;
  readonly values: Values;
  readonly subject: string | null;
  readonly line: number | null;
  readonly text: string;
  readonly hint: string | null;
  readonly namespaces: readonly string[];
}

/** Who looks at the page. */
export interface Me {
  readonly name: string;
  readonly role: Role;
}
export const ROLES = ["viewer", "editor", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** Whether a role may do what another one may. */
export function may(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** Hours of evidence below which it misses what runs once a day. */
export const SHORTEST_HOURS = 12;

export interface Readiness {
  readonly observed: Period | null;
  readonly hours: number;
  readonly messages: readonly Message[];
  readonly workloads: readonly WorkloadReadiness[];
}

export interface WorkloadReadiness {
  readonly workload: Peer;
  readonly connections: number;
  readonly edges: number;
  readonly edgesSeenOnce: number;
  /** That the next connection is on an edge not seen yet; `null` without evidence. */
  readonly unseenProbability: number | null;
  readonly gaps: readonly Said[];
}

export type Level = "good" | "fair" | "poor" | "none";

/** One word for the evidence of a workload. */
export function level({ connections, unseenProbability, gaps }: WorkloadReadiness): Level {
  if (connections === 0 || unseenProbability === null) return "none";
  if (unseenProbability >= 0.1) return "poor";
  return unseenProbability >= 0.02 || gaps.length > 0 ? "fair" : "good";
}
