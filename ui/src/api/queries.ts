import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import type { Peer } from "../domain/edge.ts";
import { peerName } from "../domain/edge.ts";
import type { Scope } from "../domain/place.ts";
import type { LabelChoice } from "../domain/review.ts";
import { bounds } from "../domain/span.ts";
import { GET, POST, take } from "./client.ts";
import * as read from "./read.ts";
import { loadMe, loadMethods } from "./session.ts";

/** The most rows that the server gives at once. */
export const MOST_ROWS = 50_000;

// Keys begin with what an event says: the part, then the cluster.

function query(scope: Scope) {
  return {
    namespace: scope.namespace,
    ...(scope.kind ? { kind: scope.kind } : {}),
    ...(scope.entity ? { name: scope.entity } : {}),
    ...bounds(scope.span, Date.now()),
  };
}

export const me = queryOptions({
  queryKey: ["me"],
  queryFn: ({ signal }) => loadMe(signal),
  staleTime: Infinity,
});

export const loginMethods = queryOptions({
  queryKey: ["login"],
  queryFn: ({ signal }) => loadMethods(signal),
});

export const clusters = queryOptions({
  queryKey: ["clusters"],
  queryFn: async ({ signal }) => (await take(GET("/clusters", { signal }))).items.map(read.cluster),
});

export const namespaces = (cluster: string) =>
  queryOptions({
    queryKey: ["namespaces", cluster],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster } };
      return (await take(GET("/clusters/{cluster}/namespaces", { params, signal }))).items.map(
        read.namespace,
      );
    },
  });

export const entities = (cluster: string, namespace: string) =>
  queryOptions({
    queryKey: ["entities", cluster, namespace],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster }, query: { namespace } };
      return (await take(GET("/clusters/{cluster}/entities", { params, signal }))).items.map(read.entity);
    },
  });

export const edges = (scope: Scope) =>
  queryOptions({
    queryKey: ["edges", scope.cluster, scope],
    queryFn: async ({ signal }) => {
      const params = {
        path: { cluster: scope.cluster },
        query: { ...query(scope), page: 1, pageSize: MOST_ROWS },
      };
      const { total, items } = await take(GET("/clusters/{cluster}/edges", { params, signal }));
      return { total, rows: items.map(read.edge) };
    },
    placeholderData: keepPreviousData,
    structuralSharing: false,
  });

export const addresses = (scope: Scope) =>
  queryOptions({
    queryKey: ["addresses", scope.cluster, scope],
    queryFn: async ({ signal }) => {
      const params = {
        path: { cluster: scope.cluster },
        query: { ...query(scope), page: 1, pageSize: MOST_ROWS },
      };
      const { total, items } = await take(GET("/clusters/{cluster}/addresses", { params, signal }));
      return { total, rows: items.map(read.address) };
    },
    placeholderData: keepPreviousData,
    structuralSharing: false,
  });

export const topology = (scope: Scope) =>
  queryOptions({
    queryKey: ["topology", scope.cluster, scope],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster: scope.cluster }, query: query(scope) };
      return read.topology(await take(GET("/clusters/{cluster}/topology", { params, signal })));
    },
    placeholderData: keepPreviousData,
    structuralSharing: false,
  });

/** Why a connection passes or not. */
export const explanation = (
  scope: Scope,
  link: {
    readonly source: Peer;
    readonly destination: Peer;
    readonly protocol: string;
    readonly port: number | null;
  },
) =>
  queryOptions({
    queryKey: [
      "explanation",
      scope.cluster,
      scope,
      peerName(link.source),
      peerName(link.destination),
      link.protocol,
      link.port,
    ],
    enabled: link.port !== null,
    queryFn: async ({ signal }) => {
      const { protocol, port } = link;
      if (port === null || (protocol !== "TCP" && protocol !== "UDP" && protocol !== "SCTP")) return null;
      const params = {
        path: { cluster: scope.cluster },
        query: {
          namespace: scope.namespace,
          source: peerName(link.source),
          destination: peerName(link.destination),
          protocol,
          port,
          ...bounds(scope.span, Date.now()),
        },
      } as const;
      return take(GET("/clusters/{cluster}/links/explain", { params, signal }));
    },
    placeholderData: keepPreviousData,
  });

export const review = (cluster: string, namespace: string) =>
  queryOptions({
    queryKey: ["review", cluster, namespace],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster, namespace } };
      return read.review(await take(GET("/clusters/{cluster}/reviews/{namespace}", { params, signal })));
    },
  });

export const configuration = (cluster: string) =>
  queryOptions({
    queryKey: ["configuration", cluster],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster } };
      return read.configuration(await take(GET("/clusters/{cluster}/configuration", { params, signal })));
    },
  });

export const configurationVersions = (cluster: string) =>
  queryOptions({
    queryKey: ["configurationVersions", cluster],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster } };
      const { items } = await take(GET("/clusters/{cluster}/configuration/versions", { params, signal }));
      return items.map(read.reviewVersion).toSorted((a, b) => b.version - a.version);
    },
  });

export const labelPreview = (cluster: string, labels: LabelChoice) =>
  queryOptions({
    queryKey: ["labelPreview", cluster, labels],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster } };
      const { include, exclude, namespace } = labels;
      const body = { include: [...include], exclude: [...exclude], namespace: [...namespace] };
      const { items } = await take(
        POST("/clusters/{cluster}/configuration/preview", { params, body, signal }),
      );
      return items.map(read.selectorPreview);
    },
    placeholderData: keepPreviousData,
  });

export const messages = (cluster: string) =>
  queryOptions({
    queryKey: ["messages", cluster],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster } };
      return (await take(GET("/clusters/{cluster}/messages", { params, signal }))).items.map(read.message);
    },
  });

export const generated = (scope: Scope) =>
  queryOptions({
    queryKey: ["generated", scope.cluster, scope],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster: scope.cluster }, query: query(scope) };
      return read.generated(await take(GET("/clusters/{cluster}/policies", { params, signal })));
    },
    placeholderData: keepPreviousData,
  });

/** Where the browser downloads the policies of a scope. */
export function downloadUrl(scope: Scope, form: "yaml" | "zip"): string {
  return `/api/v1/clusters/${encodeURIComponent(scope.cluster)}/policies.${form}?${new URLSearchParams(query(scope))}`;
}

export const existingPolicies = (cluster: string, namespace: string) =>
  queryOptions({
    queryKey: ["existing", cluster, namespace],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster }, query: { namespace } };
      const { items } = await take(GET("/clusters/{cluster}/policies/existing", { params, signal }));
      return items.map(read.existingPolicy);
    },
  });

/** What policies that somebody tries out would do to what was recorded. */
export const judgement = (scope: Scope, yaml: string) =>
  queryOptions({
    queryKey: ["judgement", scope.cluster, scope, yaml],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster: scope.cluster } };
      const body = { yaml, namespace: scope.namespace, remove: [], ...bounds(scope.span, Date.now()) };
      return read.judgement(await take(POST("/clusters/{cluster}/policies/judge", { params, body, signal })));
    },
    placeholderData: keepPreviousData,
    gcTime: 10_000,
  });

export const readiness = (scope: Scope) =>
  queryOptions({
    queryKey: ["readiness", scope.cluster, scope],
    queryFn: async ({ signal }) => {
      const params = { path: { cluster: scope.cluster }, query: query(scope) };
      return read.readiness(await take(GET("/clusters/{cluster}/readiness", { params, signal })));
    },
    placeholderData: keepPreviousData,
  });
