import type { Page } from "playwright-core";
import type { Wire } from "../src/api/client.ts";
import type { Role } from "../src/domain/cluster.ts";

// A small cluster in the shapes of the API, for tests that need states that no real server is easily brought to.

const FIRST = "2026-05-11T00:00:43Z";
const LAST = "2026-05-12T01:58:38Z";

type Ends = readonly [source: string, destination: string, port: number, connections: number];

const peerOf = (id: string): Wire["Peer"] => {
  const parts = id.split("/");
  if (parts.length === 3)
    return { id, namespace: parts[0] ?? "", kind: parts[1] ?? "", name: parts[2] ?? "" };
  if (parts.length === 2) return { id, kind: parts[0] ?? "", name: parts[1] ?? "" };
  return { id, kind: "Address", name: id, class: id.startsWith("10.") ? "internal" : "external" };
};
const patternOf = (id: string): Wire["PeerPattern"] => {
  const { kind, namespace, name } = peerOf(id);
  if (kind === "Alias") return { alias: name };
  if (kind === "Node") return { node: name };
  return namespace === undefined ? { address: name } : { workload: { namespace, kind, name } };
};

const ENDS: readonly Ends[] = [
  ["platform/Deployment/ingress", "shop/Deployment/web", 8080, 4180],
  ["shop/Deployment/web", "shop/Deployment/orders", 8081, 240],
  ["shop/Deployment/web", "shop/Deployment/catalog", 8000, 1904],
  ["shop/Deployment/web", "shop/Deployment/cart", 8082, 988],
  ["shop/Deployment/web", "shop/Deployment/recommendations-v1", 8090, 60],
  ["shop/Deployment/recommendations-v1", "shop/Deployment/catalog", 8000, 58],
  ["shop/Deployment/cart", "shop/StatefulSet/cache", 6379, 480],
  ["shop/Deployment/orders", "shop/Deployment/payments", 8443, 180],
  ["shop/Deployment/orders", "shop/StatefulSet/database", 5432, 910],
  ["shop/Deployment/catalog", "shop/StatefulSet/database", 5432, 1203],
  ["shop/CronJob/report", "shop/StatefulSet/database", 5432, 2],
  ["shop/CronJob/report", "203.0.113.77", 443, 2],
  ["shop/Deployment/payments", "Alias/payment-api", 443, 190],
  ["shop/Deployment/web", "198.51.100.9", 443, 12],
  ["10.42.9.200", "shop/Deployment/web", 8080, 3],
  ["legacy/Deployment/invoicing", "shop/Deployment/orders", 8081, 52],
  ["legacy/Deployment/invoicing", "shop/StatefulSet/cache", 6379, 0],
  ...["web", "orders", "catalog", "cart", "payments"].flatMap((name): Ends[] => [
    ["platform/Deployment/metrics", `shop/Deployment/${name}`, 9464, 26],
    [`shop/Deployment/${name}`, "kube-system/Deployment/coredns", 53, 220],
  ]),
  ["Node/shop-c", "shop/Deployment/payments", 9464, 34],
];

const forbidden = (source: string, destination: string) =>
  [source, destination].some((id) => id.includes("recommendations-v1") || /^\d/.test(id)) ||
  source.startsWith("legacy/");

/** What the test's server knows; a test may change it. */
export class Fixture {
  version = 3;
  role: Role = "admin";
  ends: readonly Ends[] = ENDS;
  /** Answers that are faults: by path ending. */
  readonly faults = new Map<string, number>();
  readonly decided = new Map<string, boolean>();

  async answer(page: Page): Promise<void> {
    await page.route("**/api/v1/**", async (route) => {
      const url = new URL(route.request().url());
      const path = url.pathname.replace(/^\/api\/v1/, "");
      const status = [...this.faults].find(([end]) => path.endsWith(end))?.[1];
      // Nothing ever happens: the answer does not come.
      if (path === "/events") return;
      if (status === 0) return route.abort("connectionrefused");
      if (status !== undefined)
        return route.fulfill({ status, json: { type: "x", title: "Fault", status, detail: "A test." } });
      const { method, changed } = {
        method: route.request().method(),
        changed: /reviews\/[^/]+(\/undo)?$/.test(path),
      };
      const made = route.request().headers()["if-match"];
      if (changed && method !== "GET" && made !== `"${this.version}"`)
        return route.fulfill({
          status: 409,
          json: {
            type: "urn:ringfence:problem:conflict",
            title: "Changed in between",
            status: 409,
            detail: "A test.",
            currentVersion: this.version,
            who: "mallory",
            at: LAST,
            changes: [
              {
                code: "edge-excluded",
                values: { edge: "shop/Deployment/web -> shop/Deployment/cart TCP/8082" },
                text: "shop/Deployment/web -> shop/Deployment/cart TCP/8082 is excluded",
              },
            ] satisfies Wire["Said_ChangeCode"][],
          },
        });
      const body = this.body(path, route.request().method(), route.request().postDataJSON() as unknown);
      if (body === null) return route.fulfill({ status: 404, json: { title: "Not found" } });
      return route.fulfill({ json: body });
    });
  }

  /** What an undisturbed request is answered. */
  body(path: string, method: string, sent: unknown): unknown {
    const [, , , part, third, fourth] = path.split("/");
    if (path === "/me") return { name: "local", role: this.role };
    if (path === "/clusters") return list([this.cluster()]);
    switch (part) {
      case "namespaces":
        return list(["kube-system", "legacy", "platform", "shop"].map(namespace));
      case "entities":
        return list([...this.nodes()].filter((id) => id.startsWith("shop/")).map(entity));
      case "edges":
        return this.edges();
      case "addresses":
        return this.addresses();
      case "topology":
        return this.topology();
      case "messages":
        return list<Wire["ClusterMessage"]>([
          {
            severity: "warning",
            code: "namespaces-without-labels",
            values: { namespaces: "legacy, scratch", keys: "kubernetes.io/metadata.name" },
            message: "Namespaces without labels: legacy, scratch",
            namespaces: ["legacy", "scratch"],
          },
        ]);
      case "reviews":
        if (method === "PATCH") this.patch(sent as Wire["ReviewPatch"]);
        if (fourth === "undo") this.undo();
        return third === undefined ? null : this.review();
      case "policies":
        return third === "existing" ? list([existing]) : third === "judge" ? judgement : generated;
      case "readiness":
        return readiness;
      case "links":
        return explained;
      case "configuration":
        return third === "preview" ? list([]) : third === "versions" ? list(settings) : configuration;
      default:
        return null;
    }
  }

  /** Somebody else changes the review. */
  interfere(): void {
    this.version += 1;
  }

  private undo() {
    this.version += 1;
    const last = [...this.decided.keys()].at(-1);
    if (last !== undefined) this.decided.delete(last);
  }

  private patch({ operations }: Wire["ReviewPatch"]) {
    this.version += 1;
    for (const one of operations)
      if (one.op === "decide")
        for (const edge of one.edges) this.decided.set(JSON.stringify(edge), one.choice === "include");
  }

  private nodes(): Set<string> {
    return new Set(this.ends.flatMap(([source, destination]) => [source, destination]));
  }

  private cluster(): Wire["Cluster"] {
    return {
      name: "demo",
      profile: "common",
      sync: { origin: "files", state: "files", kinds: [] },
      observed: { first: FIRST, last: LAST },
      counts: { namespaces: 4, workloads: 18, pods: 37, nodes: 3, services: 12, policies: 2 },
    };
  }

  private verdict(source: string, destination: string, pattern: Wire["EdgePattern"]): Wire["Verdict"] {
    const decided = this.decided.get(JSON.stringify(pattern));
    if (decided !== undefined) return decided ? "allowed" : "forbidden";
    return forbidden(source, destination) ? "forbidden" : "allowed";
  }

  private rows(): Wire["EdgeRow"][] {
    return this.ends.flatMap(([source, destination, port, connections], i) => {
      const protocol = port === 53 ? "UDP" : "TCP";
      const edge = {
        source: patternOf(source),
        destination: patternOf(destination),
        protocol,
        port,
      } as const;
      const verdict = this.verdict(source, destination, edge);
      const row = (direction: Wire["Direction"]): Wire["EdgeRow"] => {
        const [own, other] = direction === "ingress" ? [destination, source] : [source, destination];
        const { kind, namespace = "", name } = peerOf(own);
        return {
          id: `${direction}${i}`,
          direction,
          entity: { kind, namespace, name },
          peer: peerOf(other),
          protocol,
          port,
          services: port === 8081 ? ["shop/orders:80"] : [],
          connections,
          denied: connections === 0 ? 3 : 0,
          refused: 0,
          bytesSent: connections * 900,
          bytesReceived: connections * 4000,
          firstSeen: FIRST,
          lastSeen: LAST,
          observers: ["agentEbpf"],
          clientObservers: ["agentEbpf"],
          serverObservers: ["agentEbpf"],
          verdict,
          reason: why(verdict),
          decisionExact: false,
          current: connections === 0 ? "denied" : "allowed",
          ownNode: source.startsWith("Node/"),
          edge,
        };
      };
      return [
        ...(destination.startsWith("shop/") ? [row("ingress")] : []),
        ...(source.startsWith("shop/") ? [row("egress")] : []),
      ];
    });
  }

  private edges(): Wire["EdgePage"] {
    const items = this.rows();
    return { total: items.length, page: 1, pageSize: 50_000, review: this.version, items };
  }

  private addresses() {
    const rows = this.rows().filter(({ peer }) => peer.kind === "Address" || peer.kind === "Alias");
    return list(
      rows.map((row): Wire["Address"] => ({
        id: `address-${row.id}`,
        address: row.peer.kind === "Alias" ? "198.51.100.40" : row.peer.name,
        ...(row.peer.kind === "Alias" ? { alias: row.peer.name } : {}),
        class: row.peer.class ?? "external",
        direction: row.direction,
        ports: [{ protocol: row.protocol, ...(row.port === undefined ? {} : { port: row.port }) }],
        entities: [row.entity],
        connections: row.connections,
        denied: row.denied,
        firstSeen: row.firstSeen,
        lastSeen: row.lastSeen,
        allowed: row.verdict === "allowed" ? "all" : "none",
        edges: row.edge ? [{ id: row.id, verdict: row.verdict, reason: row.reason, edge: row.edge }] : [],
      })),
    );
  }

  private topology(): Wire["Topology"] {
    return {
      review: this.version,
      nodes: [...this.nodes()].sort().map((id): Wire["TopologyNode"] => {
        const { kind, namespace, name, class: where } = peerOf(id);
        const workload = namespace !== undefined;
        return {
          id,
          kind,
          ...(workload ? { namespace } : {}),
          name,
          ...(where ? { class: where } : {}),
          labels: workload ? { app: name, "app.kubernetes.io/part-of": "shop" } : {},
          ports: workload ? [{ protocol: "TCP", port: 8080, name: "http" }] : [],
          services: workload ? [name] : [],
          pods: workload ? 2 : 0,
          addresses: kind === "Alias" ? ["198.51.100.40/31", "2001:db8:40::40/128"] : [],
          inScope: namespace === "shop",
          hostNetwork: false,
          present: true,
        };
      }),
      links: this.ends.map(([source, target, port, connections], i): Wire["TopologyLink"] => {
        const protocol = port === 53 ? "UDP" : "TCP";
        const edge = { source: patternOf(source), destination: patternOf(target), protocol, port } as const;
        const after = this.verdict(source, target, edge);
        return {
          id: `link${i}`,
          source,
          target,
          protocol,
          port,
          services: [],
          connections,
          denied: connections === 0 ? 3 : 0,
          refused: 0,
          firstSeen: FIRST,
          lastSeen: LAST,
          before: connections === 0 ? "denied" : "allowed",
          after,
          reason: why(after),
          ownNode: false,
          edge,
        };
      }),
    };
  }

  private review(): Wire["Review"] {
    return {
      version: this.version,
      who: "local",
      at: LAST,
      yaml: "apiVersion: ringfence.dev/v1alpha1\n",
      configuration: 1,
      review: {
        rules: { ingress: "Observed", egress: "Observed" },
        workloads: [],
        edges: [],
        cidrRules: [
          {
            direction: "Egress",
            cidr: "198.51.100.0/24",
            except: ["198.51.100.64/26"],
            ports: [{ protocol: "TCP", port: 443 }],
          },
        ],
        aliases: [],
        labels: { include: [], exclude: [], namespace: [] },
        cluster: { podCIDRs: [], serviceCIDRs: [], processes: [] },
      },
    };
  }
}

function list<T>(items: readonly T[]) {
  return { total: items.length, items };
}

function namespace(name: string): Wire["Namespace"] {
  return {
    name,
    labels: { "kubernetes.io/metadata.name": name },
    system: name === "kube-system",
    workloads: 6,
    pods: 14,
    services: 5,
    policies: name === "shop" ? 2 : 0,
    review: 0,
  };
}

function entity(id: string): Wire["Entity"] {
  const { kind, namespace = "", name } = peerOf(id);
  return {
    kind,
    namespace,
    name,
    pods: 2,
    labels: { app: name },
    ports: [],
    services: [name],
    workloads: [],
    hostNetwork: false,
  };
}

const YAML = `# shop/Deployment/orders
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: ringfence-deployment-orders
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: orders
  policyTypes:
  - Ingress
  - Egress
  ingress:
  # shop/Deployment/web, TCP 8081: 240 connections from 2026-05-11T00:00:43Z to 2026-05-12T01:45:48Z
  - from:
    - podSelector:
        matchLabels:
          app: web
    ports:
    - protocol: TCP
      port: 8081
  egress:
  # shop/Deployment/payments, TCP 8443: 180 connections
  - to:
    - podSelector:
        matchLabels:
          app: payments
    ports:
    - protocol: TCP
      port: 8443
`;

const why = (verdict: Wire["EdgeRow"]["verdict"]): Wire["EdgeRow"]["reason"] =>
  verdict === "allowed"
    ? { code: "observed", values: {}, text: "observed" }
    : { code: "excluded", values: { file: "the review" }, text: "excluded at the review" };

const certificateEdge = (
  source: string,
  destination: string,
  port: string,
  reason: Wire["EdgeRow"]["reason"],
): Wire["CertificateEdge"] => ({
  source,
  destination,
  port,
  reason,
  accepted: 60,
  rejected: 0,
  firstSeen: FIRST,
  lastSeen: LAST,
});

const generated: Wire["GeneratedPolicies"] = {
  review: 3,
  files: ["orders", "payments", "web"].map((name) => ({
    namespace: "shop",
    name: `ringfence-deployment-${name}`,
    path: `shop/ringfence-deployment-${name}.yaml`,
    yaml: YAML.replaceAll("orders", name),
    ...(name === "orders" ? { currentYaml: YAML.replace("8081", "8080") } : {}),
    state: name === "orders" ? "changed" : "new",
    rules: [
      { direction: "ingress", index: 0, line: 16, edges: ["ingress1"] },
      { direction: "egress", index: 0, line: 25, edges: ["egress7"] },
    ],
  })),
  certificate: {
    apiVersion: "ringfence.dev/v1alpha1",
    kind: "Certificate",
    outcome: "PROVEN",
    scope: "namespace shop",
    window: { first: FIRST, last: LAST, hours: 25.97 },
    checks: { connections: 284, neededItems: 61 },
    failures: [],
    policies: ["shop/ringfence-deployment-orders"],
    replaced: [],
    kept: [certificateEdge("shop/Deployment/web", "shop/Deployment/orders", "TCP/8081", why("allowed"))],
    cut: [
      certificateEdge(
        "shop/Deployment/web",
        "shop/Deployment/recommendations-v1",
        "TCP/8090",
        why("forbidden"),
      ),
    ],
    unknown: [],
    changes: [
      {
        edge: "shop/Deployment/web -> shop/Deployment/recommendations-v1 TCP/8090",
        before: "allowed",
        after: "denied",
      },
    ] as Wire["CertificateChange"][],
    slack: [
      {
        cause: "unobserved-ports",
        direction: "egress",
        source: "shop/Deployment/web",
        destination: "kube-system/Deployment/coredns",
        ports: "TCP/53",
      },
    ],
    assumptions: [{ code: "blocks-match-pods", values: {}, text: "ipBlock matches pod addresses" }],
    readiness: [],
    messages: [],
  },
  changes: { profile: "common", counts: { added: 0, removed: 3, changed: 1 }, ends: [], pairs: [] },
};

const existing: Wire["ExistingPolicy"] = {
  yaml: YAML.replaceAll("ringfence-deployment-orders", "orders-guard"),
  policy: {
    namespace: "shop",
    name: "orders-guard",
    subject: { matchLabels: { app: "orders" }, matchExpressions: [] },
    selected: [{ namespace: "shop", kind: "Deployment", name: "orders" }],
    ingress: [
      {
        peers: [
          {
            type: "pods",
            pods: { matchLabels: { app: "web" }, matchExpressions: [] },
            matches: [{ namespace: "shop", kind: "Deployment", name: "web" }],
          },
          {
            type: "pods",
            namespaces: { matchLabels: { team: "platform" }, matchExpressions: [] },
            pods: { matchLabels: { app: "metrics" }, matchExpressions: [] },
            matches: [{ namespace: "platform", kind: "Deployment", name: "metrics" }],
          },
        ],
        ports: [{ protocol: "TCP", port: 8081 }],
      },
    ],
    egress: [
      {
        peers: [{ type: "ipBlock", cidr: "0.0.0.0/0", except: ["10.0.0.0/8"] }],
        ports: [{ protocol: "TCP", port: 443 }],
      },
    ],
  },
  findings: [
    {
      severity: "warning",
      code: "no-dns",
      values: { policy: "shop/ringfence-deployment-orders", namespace: "shop" },
      message: "Egress is isolated and no rule allows name resolution.",
      hint: "allow UDP and TCP 53 to the cluster's DNS",
    },
  ],
};

const judgement: Wire["Judgement"] = {
  faults: [],
  policies: [existing.policy],
  findings: existing.findings,
  cut: [
    {
      id: "link3",
      source: peerOf("shop/Deployment/orders"),
      destination: peerOf("shop/StatefulSet/database"),
      protocol: "TCP",
      port: 5432,
      connections: 910,
      before: "allowed",
      after: "denied",
      because: ["NetworkPolicy shop/orders-guard"],
    },
  ],
  opened: [],
  unchanged: 27,
  changes: generated.changes,
};

const readiness: Wire["Readiness"] = {
  observed: { first: FIRST, last: LAST },
  hours: 25.97,
  messages: [],
  workloads: [
    {
      workload: { namespace: "shop", kind: "Deployment", name: "web" },
      connections: 7384,
      edges: 8,
      edgesSeenOnce: 0,
      unseenProbability: 0,
      gaps: [],
    },
    {
      workload: { namespace: "shop", kind: "CronJob", name: "report" },
      connections: 24,
      edges: 3,
      edgesSeenOnce: 1,
      unseenProbability: 0.042,
      gaps: [
        {
          code: "did-not-run",
          values: { schedule: "30 1 * * *" },
          text: "it did not run in the window (schedule 30 1 * * *)",
        },
      ],
    },
    {
      workload: { namespace: "shop", kind: "Deployment", name: "batch" },
      connections: 0,
      edges: 0,
      edgesSeenOnce: 0,
      gaps: [{ code: "nothing-observed", values: {}, text: "no connection was observed" }],
    },
  ],
};

const side = (allowed: boolean): Wire["ExplainedSide"] => ({
  allowed,
  verdict: allowed
    ? { code: "allowed", values: {}, text: "allowed by" }
    : {
        code: "denied",
        values: {},
        text: "denied: isolated by these policies, and none of their rules matches",
      },
  because: ["NetworkPolicy shop/ringfence-deployment-web egress[3]"],
  ...(allowed
    ? {}
    : {
        nearMisses: [
          {
            rule: "NetworkPolicy shop/cache-guard ingress[0]",
            matches: ["port"],
            needs: [
              {
                code: "namespace-label",
                values: { needed: "team=platform", key: "team", namespace: "legacy" },
                text: "namespaceSelector needs team=platform, namespace legacy has no team",
              },
            ],
          },
        ],
        remedies: [
          {
            change: {
              code: "label-namespace",
              values: { set: "team=platform", namespace: "legacy" },
              text: "set label team=platform on namespace legacy",
            },
            alsoOpens: ["legacy/Deployment/invoicing -> shop/Deployment/cache TCP 1-6378"],
            alsoCloses: [],
          },
        ],
      }),
});
const explained: Wire["LinkExplanation"] = {
  now: {
    allowed: true,
    connections: [
      {
        connection: "pod shop/web-1 -> pod shop/orders-1 TCP/8081",
        allowed: true,
        egress: side(true),
        ingress: side(true),
        assumptions: [],
      },
    ],
  },
  after: {
    allowed: false,
    connections: [
      {
        connection: "pod shop/web-1 -> pod shop/orders-1 TCP/8081",
        allowed: false,
        egress: side(true),
        ingress: side(false),
        assumptions: [],
      },
    ],
  },
  observers: ["agentEbpf"],
  clientObservers: ["agentEbpf"],
  serverObservers: ["agentEbpf"],
};

const settings: Wire["ReviewVersion"][] = [
  { version: 1, who: "ada", at: FIRST, note: "Named payment-api", yaml: "" },
];

const configuration: Wire["Configuration"] = {
  version: 1,
  who: "ada",
  at: FIRST,
  aliases: [{ name: "payment-api", addresses: ["198.51.100.40/31"], allowed: true }],
  labels: { include: [], exclude: ["version"], namespace: [] },
  cluster: { podCIDRs: [], serviceCIDRs: [], processes: [] },
  profile: "common",
  found: {
    labels: [
      { key: "app", workloads: 16, values: 16, examples: ["web", "orders"], selectors: 16, volatile: false },
      { key: "tier", workloads: 9, values: 3, examples: ["front", "back"], selectors: 0, volatile: false },
      {
        key: "version",
        workloads: 4,
        values: 4,
        examples: ["v1"],
        selectors: 2,
        volatile: false,
        choice: "exclude",
      },
      { key: "pod-template-hash", workloads: 14, values: 14, examples: [], selectors: 14, volatile: true },
    ],
    namespaceLabels: [
      { key: "kubernetes.io/metadata.name", namespaces: 4, missing: [], used: true },
      { key: "team", namespaces: 2, missing: ["kube-system", "legacy"], used: false },
    ],
    ranges: [
      { cidr: "10.42.0.0/16", use: "pods", source: "node", origin: "Node shop-a spec.podCIDRs" },
      {
        cidr: "10.43.0.0/16",
        use: "services",
        source: "process",
        origin: "kube-apiserver --service-cluster-ip-range",
      },
    ],
    complete: true,
  },
};
