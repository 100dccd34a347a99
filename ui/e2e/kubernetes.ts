import { createServer, type Server, type ServerResponse } from "node:http";
import { parseAllDocuments } from "yaml";

/** A Kubernetes object, as far as it is looked at here. */
export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown };
}

interface Event {
  readonly version: number;
  readonly plural: string;
  readonly line: string;
}

/** An API server on loopback: lists and watches over HTTP, as far as the server asks for them. */
export class ApiServer {
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #events: Event[] = [];
  readonly #watches = new Set<{ readonly plural: string; readonly response: ServerResponse }>();
  readonly #server: Server;
  #version = 1000;

  constructor(manifests: string) {
    for (const document of parseAllDocuments(manifests)) {
      const object = document.toJS() as KubernetesObject | null;
      if (object !== null) this.apply(object);
    }
    this.#server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://api");
      response.setHeader("content-type", "application/json");
      const plural = /^\/apis?\/(?:[^/]+\/)?v[^/]+\/([^/]+)$/.exec(pathname)?.[1];
      if (pathname === "/version") response.end('{"major":"1","minor":"33","gitVersion":"v1.33.0"}');
      else if (plural === undefined || !KINDS.has(plural)) this.#refuse(response);
      else if (searchParams.get("watch")) this.#watch(plural, searchParams, response);
      else this.#list(plural, response);
    });
  }

  /** A kubeconfig that leads to it. */
  async start(): Promise<string> {
    await new Promise<void>((ready) => this.#server.listen(0, "127.0.0.1", ready));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the API server has no port");
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "double", cluster: { server: `http://127.0.0.1:${address.port}` } }],
      users: [{ name: "double", user: {} }],
      contexts: [{ name: "double", context: { cluster: "double", user: "double" } }],
      "current-context": "double",
    });
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** Creates or replaces an object, and tells those who watch. */
  apply(object: KubernetesObject): void {
    const { kind, metadata } = object;
    const plural = `${kind.toLowerCase().replace(/y$/, "ie")}s`;
    const key = [plural, metadata.namespace ?? "", metadata.name].join("/");
    const version = ++this.#version;
    const kept = {
      ...object,
      metadata: {
        uid: key,
        creationTimestamp: "2026-03-01T00:00:00Z",
        ...metadata,
        resourceVersion: String(version),
      },
    };
    const type = this.#objects.has(key) ? "MODIFIED" : "ADDED";
    this.#objects.set(key, kept);
    const line = `${JSON.stringify({ type, object: kept })}\n`;
    this.#events.push({ version, plural, line });
    for (const watch of this.#watches) if (watch.plural === plural) watch.response.write(line);
  }

  /** The object as it is kept. */
  get(plural: string, namespace: string, name: string): KubernetesObject {
    const found = this.#objects.get([plural, namespace, name].join("/"));
    if (found === undefined) throw new Error(`there is no ${plural} ${namespace}/${name}`);
    return found;
  }

  #list(plural: string, response: ServerResponse): void {
    const items = [...this.#objects].filter(([key]) => key.startsWith(`${plural}/`)).map(([, one]) => one);
    const metadata = { resourceVersion: String(this.#version) };
    response.end(JSON.stringify({ kind: "List", apiVersion: "v1", metadata, items }));
  }

  #watch(plural: string, params: URLSearchParams, response: ServerResponse): void {
    const from = Number(params.get("resourceVersion") ?? this.#version);
    response.flushHeaders();
    for (const event of this.#events)
      if (event.plural === plural && event.version > from) response.write(event.line);
    const watch = { plural, response };
    this.#watches.add(watch);
    response.on("close", () => this.#watches.delete(watch));
  }

  #refuse(response: ServerResponse): void {
    response.statusCode = 404;
    const status = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "NotFound", code: 404 };
    response.end(JSON.stringify({ ...status, metadata: {}, message: "the server could not find it" }));
  }
}

/** The kinds that it has; others it does not know, as an API server without their definitions. */
const KINDS: ReadonlySet<string> = new Set([
  "namespaces",
  "nodes",
  "pods",
  "deployments",
  "replicasets",
  "statefulsets",
  "daemonsets",
  "jobs",
  "cronjobs",
  "services",
  "endpointslices",
  "networkpolicies",
]);
