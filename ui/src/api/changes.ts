import type { ConfigurationOperation, Operation } from "../domain/review.ts";
import type { Scope } from "../domain/place.ts";
import { PATCH, POST, take, type Wire } from "./client.ts";
import * as read from "./read.ts";

// Every change says which version it was made from, so that nobody overwrites what they have not seen.

const ifMatch = (version: number) => ({ "If-Match": `"${version}"` });

export async function changeReview(
  { cluster, namespace }: Pick<Scope, "cluster" | "namespace">,
  version: number,
  operations: readonly Operation[],
  note: string,
) {
  const params = { path: { cluster, namespace }, header: ifMatch(version) };
  const body = { note, operations: operations.map(operation) };
  return read.review(await take(PATCH("/clusters/{cluster}/reviews/{namespace}", { params, body })));
}

function operation(change: Operation): Wire["ReviewOperation"] {
  switch (change.op) {
    case "setGeneralRule": {
      const { op, direction, rule, workload } = change;
      return { op, direction, ...(rule ? { rule } : {}), ...(workload ? { workload } : {}) };
    }
    case "decide":
      return { op: change.op, edges: change.edges.map((edge) => ({ ...edge })), choice: change.choice };
    case "addCidrRule":
    case "removeCidrRule":
      return { op: change.op, rule: read.wireCidrRule(change.rule) };
  }
}

/** Makes an older version the newest again. */
export async function undoReview(
  { cluster, namespace }: Pick<Scope, "cluster" | "namespace">,
  version: number,
  target: number,
) {
  const params = { path: { cluster, namespace }, header: ifMatch(version) };
  const body = { version: target };
  return read.review(await take(POST("/clusters/{cluster}/reviews/{namespace}/undo", { params, body })));
}

export async function changeConfiguration(
  cluster: string,
  version: number,
  operations: readonly ConfigurationOperation[],
  note: string,
) {
  const params = { path: { cluster }, header: ifMatch(version) };
  const body = { note, operations: operations.map(configurationOperation) };
  return read.configuration(await take(PATCH("/clusters/{cluster}/configuration", { params, body })));
}

/** Makes an older version the newest again; the profile stays. */
export async function undoConfiguration(cluster: string, version: number, target: number) {
  const params = { path: { cluster }, header: ifMatch(version) };
  const body = { version: target };
  return read.configuration(await take(POST("/clusters/{cluster}/configuration/undo", { params, body })));
}

function configurationOperation(change: ConfigurationOperation): Wire["ConfigurationOperation"] {
  switch (change.op) {
    case "setAlias": {
      const { name, addresses, allowed } = change.alias;
      return { op: change.op, alias: { name, addresses: [...addresses], allowed } };
    }
    case "removeAlias":
    case "setProfile":
      return change;
    case "setLabels": {
      const { include, exclude, namespace } = change.labels;
      return {
        op: change.op,
        labels: { include: [...include], exclude: [...exclude], namespace: [...namespace] },
      };
    }
    case "setClusterCidrs": {
      const { pods, services, processes } = change.cidrs;
      return {
        op: change.op,
        cluster: { podCIDRs: [...pods], serviceCIDRs: [...services], processes: [...processes] },
      };
    }
  }
}
