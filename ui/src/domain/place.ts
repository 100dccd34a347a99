import { ALL, formatSpan, parseSpan, type Span } from "./span.ts";

/** The kinds of entity that a scope can name. */
export const ENTITY_KINDS = ["Service", "Deployment", "DaemonSet", "StatefulSet", "CronJob", "Job"] as const;
export type EntityKind = (typeof ENTITY_KINDS)[number];

export const TABS = ["ingress", "egress", "topology", "policy", "editor", "readiness"] as const;
export type Tab = (typeof TABS)[number];

/** What is looked at. */
export interface Scope {
  readonly cluster: string;
  readonly namespace: string;
  readonly kind: EntityKind | null;
  /** Only with a kind. */
  readonly entity: string | null;
  readonly span: Span;
}

/** Where somebody is in the application; the URL says all of it. */
export type Place =
  | { readonly page: "home" }
  | { readonly page: "cluster"; readonly cluster: string }
  | { readonly page: "configuration"; readonly cluster: string }
  | {
      readonly page: "network";
      readonly scope: Scope;
      readonly tab: Tab;
      /** State of the tab: search, filters, sort, what is selected. Keys are the tab's own. */
      readonly view: Readonly<Record<string, string>>;
    }
  | { readonly page: "nowhere"; readonly path: string };

const RESERVED = new Set(["kind", "entity", "time", "tab"]);

/** Reads a URL. What it does not understand of the query is left out; an unknown path is a page of its own. */
export function parsePlace(path: string, search: string): Place {
  const [page, cluster, namespace, ...rest] = path.split("/").filter(Boolean).map(decode);
  if (page === undefined) return { page: "home" };
  if (rest.length > 0) return { page: "nowhere", path };
  if (page === "configuration" && cluster && !namespace) return { page: "configuration", cluster };
  if (page !== "network") return { page: "nowhere", path };
  if (!cluster) return { page: "home" };
  if (!namespace) return { page: "cluster", cluster };
  const query = new URLSearchParams(search);
  const kind = member(ENTITY_KINDS, query.get("kind"));
  const scope: Scope = {
    cluster,
    namespace,
    kind,
    entity: kind === null ? null : query.get("entity"),
    span: parseSpan(query.get("time")) ?? ALL,
  };
  const view = Object.fromEntries([...query].filter(([key, value]) => !RESERVED.has(key) && value !== ""));
  return { page: "network", scope, tab: member(TABS, query.get("tab")) ?? "ingress", view };
}

/** The URL of a place. The same place always has the same URL. */
export function formatPlace(place: Place): string {
  switch (place.page) {
    case "home":
      return "/";
    case "cluster":
      return `/network/${encodeURIComponent(place.cluster)}`;
    case "configuration":
      return `/configuration/${encodeURIComponent(place.cluster)}`;
    case "nowhere":
      return place.path;
    case "network": {
      const { scope, tab, view } = place;
      const query = new URLSearchParams();
      if (scope.kind) query.set("kind", scope.kind);
      if (scope.kind && scope.entity) query.set("entity", scope.entity);
      const time = formatSpan(scope.span);
      if (time) query.set("time", time);
      if (tab !== "ingress") query.set("tab", tab);
      for (const key of Object.keys(view).toSorted()) if (view[key]) query.set(key, view[key]);
      const text = query.toString().replaceAll("%3A", ":").replaceAll("%2F", "/");
      const path = `/network/${encodeURIComponent(scope.cluster)}/${encodeURIComponent(scope.namespace)}`;
      return text ? `${path}?${text}` : path;
    }
  }
}

/** The place where the work on a namespace begins. */
export function networkOf(cluster: string, namespace: string): Place {
  return {
    page: "network",
    scope: { cluster, namespace, kind: null, entity: null, span: ALL },
    tab: "ingress",
    view: {},
  };
}

/** The member of a closed set that a text names. */
export function member<T extends string>(set: readonly T[], text: string | null | undefined): T | null {
  return set.find((one) => one === text) ?? null;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
