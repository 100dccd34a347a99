import type { Message } from "./cluster.ts";
import type { Direction, Peer, Present } from "./edge.ts";
import type { Said } from "./said.ts";

/** The policies of a scope with their proof. */
export interface Generated {
  /** The version of the review that they follow. */
  readonly review: number;
  readonly files: readonly PolicyFile[];
  readonly certificate: Certificate;
}

export interface PolicyFile {
  readonly namespace: string;
  readonly name: string;
  readonly path: string;
  readonly yaml: string;
  /** The one of that name in the cluster, written the same way. */
  readonly currentYaml: string | null;
  readonly state: "new" | "changed" | "same";
  readonly rules: readonly GeneratedRule[];
}

/** A rule of a generated policy: where it stands, and the edges that it is there for. */
export interface GeneratedRule {
  readonly direction: Direction;
  /** Its place in its list, from 0. */
  readonly index: number;
  /** Its first line, from 1. */
  readonly line: number;
  readonly edges: readonly string[];
}

export interface Certificate {
  readonly proven: boolean;
  readonly scope: string;
  readonly window: { readonly first: number; readonly last: number; readonly hours: number } | null;
  readonly checks: { readonly connections: number; readonly neededItems: number };
  readonly failures: readonly {
    readonly check: string;
    readonly subject: string;
    readonly connection: string | null;
    readonly atFault: readonly string[];
    readonly message: Said;
  }[];
  readonly replaced: readonly string[];
  readonly kept: readonly JudgedEdge[];
  readonly cut: readonly JudgedEdge[];
  readonly unknown: readonly JudgedEdge[];
  readonly changes: readonly { readonly edge: string; readonly before: string; readonly after: string }[];
  readonly slack: readonly {
    readonly cause: string;
    readonly direction: Direction;
    readonly source: string;
    readonly destination: string;
    readonly ports: string;
  }[];
  readonly assumptions: readonly Said[];
  readonly messages: readonly Message[];
}

export interface JudgedEdge {
  readonly source: string;
  readonly destination: string;
  readonly port: string;
  readonly reason: Said;
  readonly accepted: number;
}

/** The rule that a line of the manifest belongs to; comments above a rule are its own. */
export function ruleAt(file: PolicyFile, line: number): GeneratedRule | null {
  const lines = file.yaml.split("\n");
  // From a comment go down to what it is about.
  let at = line;
  while (/^\s*#/.test(lines[at - 1] ?? "")) at += 1;
  const [begin] = ruleLines(file, null);
  if (begin !== undefined && at < begin.from) return null;
  return ruleLines(file, null).find(({ from, to }) => from <= at && at <= to)?.rule ?? null;
}

/** The lines of each rule, first and last; with a rule given, only its. */
export function ruleLines(
  file: PolicyFile,
  only: GeneratedRule | null,
): readonly { readonly rule: GeneratedRule; readonly from: number; readonly to: number }[] {
  const lines = file.yaml.split("\n");
  return file.rules
    .filter((rule) => only === null || rule === only)
    .map((rule) => {
      // A rule is an item of a list: it goes on for as long as lines are indented deeper than its dash.
      const indent = /^\s*/.exec(lines[rule.line - 1] ?? "")?.[0].length ?? 0;
      let to = rule.line;
      while (to < lines.length && new RegExp(`^\\s{${indent + 1}}`).test(lines[to] ?? "")) to += 1;
      return { rule, from: rule.line, to };
    });
}

/** The rules that an edge is the evidence of, with their files. */
export function rulesOf(
  files: readonly PolicyFile[],
  edge: string,
): readonly { readonly file: PolicyFile; readonly rule: GeneratedRule }[] {
  return files.flatMap((file) =>
    file.rules.filter((rule) => rule.edges.includes(edge)).map((rule) => ({ file, rule })),
  );
}

/** How many things are allowed that nobody was seen doing, by cause, most first. */
export function slackByCause(
  slack: Certificate["slack"],
): readonly (readonly [string, Certificate["slack"]])[] {
  const causes = [...new Set(slack.map(({ cause }) => cause))];
  return causes
    .map((cause) => [cause, slack.filter((one) => one.cause === cause)] as const)
    .sort(([, a], [, b]) => b.length - a.length);
}

/** A label selector: all of it must hold; empty means everything. */
export interface Selector {
  readonly labels: Readonly<Record<string, string>>;
  readonly expressions: readonly {
    readonly key: string;
    readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
    readonly values: readonly string[];
  }[];
}

export type PolicyPeer =
  | {
      readonly type: "pods";
      /** `null` for the policy's own namespace. */
      readonly namespaces: Selector | null;
      readonly pods: Selector;
      readonly matches: readonly Peer[];
    }
  | { readonly type: "ipBlock"; readonly cidr: string; readonly except: readonly string[] };

export interface PolicyPort {
  readonly protocol: string;
  readonly port: number | null;
  readonly endPort: number | null;
  /** Of a container port. */
  readonly name: string | null;
}

/** Traffic passes when a peer and a port match; `null` matches all. */
export interface PolicyRule {
  readonly peers: readonly PolicyPeer[] | null;
  readonly ports: readonly PolicyPort[] | null;
}

/** A NetworkPolicy in parts. A direction that is `null` is not isolated. */
export interface Policy {
  /** Its first line in the text that it was read from, from 1. */
  readonly line: number;
  readonly namespace: string;
  readonly name: string;
  readonly subject: Selector;
  readonly selected: readonly Peer[];
  readonly ingress: readonly PolicyRule[] | null;
  readonly egress: readonly PolicyRule[] | null;
}

export interface ExistingPolicy {
  readonly yaml: string;
  readonly policy: Policy;
  readonly findings: readonly Message[];
}

/** What policies that somebody tries out would do. */
export interface Judgement {
  readonly faults: readonly Message[];
  readonly policies: readonly Policy[];
  readonly findings: readonly Message[];
  readonly cut: readonly JudgedRow[];
  readonly opened: readonly JudgedRow[];
  readonly unchanged: number;
}

export interface JudgedRow {
  readonly id: string;
  readonly source: Peer;
  readonly destination: Peer;
  readonly protocol: string;
  readonly port: number | null;
  readonly connections: number;
  readonly before: Present;
  readonly after: Present;
  readonly because: readonly string[];
}

/** `app=web, tier in (a, b)`; empty for a selector that matches everything. */
export function selectorText({ labels, expressions }: Selector): string {
  return [
    ...Object.entries(labels).map(([key, value]) => `${key}=${value}`),
    ...expressions.map(({ key, operator, values }) => {
      switch (operator) {
        case "In":
          return `${key} in (${values.join(", ")})`;
        case "NotIn":
          return `${key} not in (${values.join(", ")})`;
        case "Exists":
          return key;
        case "DoesNotExist":
          return `!${key}`;
      }
    }),
  ].join(", ");
}

/** Reads `app=web, tier=front`; `null` when it is not a list of labels. */
export function parseLabels(text: string): Readonly<Record<string, string>> | null {
  const labels: Record<string, string> = {};
  for (const part of text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean)) {
    const found = /^([A-Za-z0-9][\w./-]*)=([\w.-]*)$/.exec(part);
    if (!found?.[1]) return null;
    labels[found[1]] = found[2] ?? "";
  }
  return labels;
}
