import type { Choice, Direction, EdgePattern } from "./edge.ts";
import type { PortRange } from "./net.ts";

export const GENERAL_RULES = ["Observed", "BlockAll", "AllowNamespace", "AllowAll", "Unmanaged"] as const;
export type GeneralRule = (typeof GENERAL_RULES)[number];

/** A workload as a review names it. */
export interface WorkloadName {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
}

export interface CidrRule {
  readonly direction: Direction;
  readonly workload: WorkloadName | null;
  readonly cidr: string;
  readonly except: readonly string[];
  /** All when empty. */
  readonly ports: readonly PortRange[];
}

/** What people decided for a namespace. */
export interface Review {
  readonly version: number;
  readonly who: string | null;
  readonly at: number | null;
  readonly rules: Readonly<Record<Direction, GeneralRule>>;
  readonly workloads: readonly (WorkloadName & { readonly [D in Direction]: GeneralRule | null })[];
  readonly cidrRules: readonly CidrRule[];
  readonly yaml: string;
}

/** One change of a review. */
export type Operation =
  | {
      readonly op: "setGeneralRule";
      readonly direction: Direction;
      /** `null` for a workload: the review's holds again. */
      readonly rule: GeneralRule | null;
      readonly workload: WorkloadName | null;
    }
  | { readonly op: "decide"; readonly edges: readonly EdgePattern[]; readonly choice: Choice | "clear" }
  | { readonly op: "addCidrRule" | "removeCidrRule"; readonly rule: CidrRule };

/** The general rule that holds for a workload, or with `null` for the namespace; and whether it is its own. */
export function generalRule(
  review: Review,
  direction: Direction,
  workload: WorkloadName | null,
): { readonly rule: GeneralRule; readonly own: boolean } {
  const entry = review.workloads.find(
    (one) =>
      one.namespace === workload?.namespace && one.kind === workload.kind && one.name === workload.name,
  );
  const own = entry?.[direction] ?? null;
  return own === null ? { rule: review.rules[direction], own: workload === null } : { rule: own, own: true };
}

/** One version of a review. */
export interface ReviewVersion {
  readonly version: number;
  readonly who: string;
  readonly at: number;
  readonly note: string;
}

/** A named group of addresses. */
export interface Alias {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly allowed: boolean;
}

export interface LabelChoice {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly namespace: readonly string[];
}

/** The label that every namespace has from the API server; namespaces are selected by it when nothing is chosen. */
export const NAME_LABEL = "kubernetes.io/metadata.name";

/** What is known of network plugins. */
export const PROFILES = ["common", "cilium", "aws-vpc"] as const;
export type Profile = (typeof PROFILES)[number];

/** What holds for every namespace of a cluster. */
export interface Configuration {
  readonly version: number;
  readonly who: string | null;
  readonly at: number | null;
  readonly aliases: readonly Alias[];
  readonly labels: LabelChoice;
  readonly cidrs: {
    readonly pods: readonly string[];
    readonly services: readonly string[];
    readonly processes: readonly string[];
  };
  readonly profile: Profile;
  readonly found: {
    readonly labels: readonly FoundLabel[];
    readonly namespaceLabels: readonly FoundNamespaceLabel[];
    readonly ranges: readonly FoundRange[];
    /** Whether the ranges are known well enough to tell the inside from the outside. */
    readonly complete: boolean;
  };
}

export interface FoundLabel {
  readonly key: string;
  readonly workloads: number;
  readonly values: number;
  readonly examples: readonly string[];
  /** How many workloads have it in their own selector. */
  readonly selectors: number;
  /** It names a rollout, a run or a pod, and is never used. */
  readonly volatile: boolean;
}

export interface FoundNamespaceLabel {
  readonly key: string;
  /** How many namespaces have it. */
  readonly namespaces: number;
  /** Those that do not. */
  readonly missing: readonly string[];
}

export interface FoundRange {
  readonly cidr: string;
  readonly use: "pods" | "services";
  readonly source: "configuration" | "process" | "node";
  readonly origin: string;
}

/** What becomes of a workload's selector. */
export interface SelectorPreview {
  readonly workload: WorkloadName;
  readonly before: string | null;
  readonly after: string | null;
  readonly fault: string | null;
  readonly collateral: readonly WorkloadName[];
}

export type ConfigurationOperation =
  | { readonly op: "setAlias"; readonly alias: Alias }
  | { readonly op: "removeAlias"; readonly name: string }
  | { readonly op: "setLabels"; readonly labels: LabelChoice }
  | { readonly op: "setClusterCidrs"; readonly cidrs: Configuration["cidrs"] }
  | { readonly op: "setProfile"; readonly profile: Profile };

/** The namespaces that lack one of the labels they would be selected by. */
export function withoutLabels(
  found: readonly FoundNamespaceLabel[],
  chosen: readonly string[],
): readonly string[] {
  const keys = chosen.length === 0 ? [NAME_LABEL] : chosen;
  const missing = found.filter(({ key }) => keys.includes(key)).flatMap((label) => label.missing);
  return [...new Set(missing)].sort();
}

/** What the labels' choice is for a key. */
export function labelUse(labels: LabelChoice, key: string): "auto" | "include" | "exclude" {
  if (labels.include.includes(key)) return "include";
  return labels.exclude.includes(key) ? "exclude" : "auto";
}

/** The choice with one key changed. */
export function withLabelUse(
  labels: LabelChoice,
  key: string,
  use: "auto" | "include" | "exclude",
): LabelChoice {
  const without = (keys: readonly string[]) => keys.filter((one) => one !== key);
  const include = without(labels.include);
  const exclude = without(labels.exclude);
  return {
    include: use === "include" ? [...include, key].sort() : include,
    exclude: use === "exclude" ? [...exclude, key].sort() : exclude,
    namespace: labels.namespace,
  };
}

/** The alias with addresses added; one that is new has only them. */
export function withAddresses(
  aliases: readonly Alias[],
  name: string,
  addresses: readonly string[],
  allowed: boolean,
): Alias {
  const known = aliases.find((alias) => alias.name === name)?.addresses ?? [];
  return { name, addresses: [...new Set([...known, ...addresses])], allowed };
}
