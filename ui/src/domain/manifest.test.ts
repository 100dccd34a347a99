import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { documentAt, joined, manifest, withPolicy } from "./manifest.ts";
import type { Policy } from "./policy.ts";

const everything = { labels: {}, expressions: [] };
const policy: Policy = {
  line: 1,
  namespace: "shop",
  name: "orders",
  subject: { labels: { app: "orders", "app.kubernetes.io/version": "1" }, expressions: [] },
  selected: [],
  ingress: [
    {
      peers: [
        { type: "pods", namespaces: null, pods: { labels: { app: "web" }, expressions: [] }, matches: [] },
        {
          type: "pods",
          namespaces: { labels: { "kubernetes.io/metadata.name": "platform" }, expressions: [] },
          pods: { labels: {}, expressions: [{ key: "tier", operator: "In", values: ["a", "true"] }] },
          matches: [],
        },
        { type: "pods", namespaces: everything, pods: everything, matches: [] },
      ],
      ports: [{ protocol: "TCP", port: 8081, endPort: 8090, name: null }],
    },
    { peers: null, ports: null },
  ],
  egress: [
    {
      peers: [{ type: "ipBlock", cidr: "2001:db8::/32", except: ["2001:db8:1::/48"] }],
      ports: [{ protocol: "UDP", port: null, endPort: null, name: "dns" }],
    },
  ],
};

describe("the manifest of a form", () => {
  test("says what the form says", () => {
    expect(parse(manifest(policy))).toEqual({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "orders", namespace: "shop" },
      spec: {
        podSelector: { matchLabels: { app: "orders", "app.kubernetes.io/version": "1" } },
        policyTypes: ["Ingress", "Egress"],
        ingress: [
          {
            from: [
              { podSelector: { matchLabels: { app: "web" } } },
              {
                namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "platform" } },
                podSelector: { matchExpressions: [{ key: "tier", operator: "In", values: ["a", "true"] }] },
              },
              { namespaceSelector: {} },
            ],
            ports: [{ protocol: "TCP", port: 8081, endPort: 8090 }],
          },
          {},
        ],
        egress: [
          {
            to: [{ ipBlock: { cidr: "2001:db8::/32", except: ["2001:db8:1::/48"] } }],
            ports: [{ protocol: "UDP", port: "dns" }],
          },
        ],
      },
    });
  });
  test("a direction that is not isolated is not in it; one without rules denies all", () => {
    const text = manifest({ ...policy, ingress: [], egress: null });
    expect(parse(text).spec).toMatchObject({ policyTypes: ["Ingress"], ingress: [] });
    expect(parse(text).spec).not.toHaveProperty("egress");
  });
  test.each(["1", "true", "no", "1e3", "", "a: b", "#x", "y", "off"])("a label %j stays a text", (value) => {
    const subject = { labels: { x: value }, expressions: [] };
    const text = manifest({ ...policy, subject });
    expect(parse(text).spec.podSelector.matchLabels.x).toBe(value);
    expect(parse(text, { version: "1.1" }).spec.podSelector.matchLabels.x).toBe(value);
  });
});

describe("a form changes a text", () => {
  const other = `# keep me
apiVersion: v1
kind: Namespace
metadata: {name:   shop}
`;
  const guard = `# why there is a guard
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: guard # its name
  namespace: shop
  labels: {team: "42"}
spec:
  podSelector: {matchLabels: {app: orders}}
  policyTypes: [Ingress]
  ingress:
  # the shop window
  - from:
    - podSelector: {matchLabels: {app: web}} # of the front
    ports:
    - {protocol: TCP, port: 8081}
  # measuring
  - ports:
    - {protocol: TCP, port: 9464}
`;
  const pods = (app: string) =>
    ({ type: "pods", namespaces: null, pods: { labels: { app }, expressions: [] }, matches: [] }) as const;
  const port = (number: number) => ({ protocol: "TCP", port: number, endPort: null, name: null });
  const form: Policy = {
    line: 7,
    namespace: "shop",
    name: "guard",
    subject: { labels: { app: "orders" }, expressions: [] },
    selected: [],
    ingress: [
      { peers: [pods("web")], ports: [port(8081)] },
      { peers: null, ports: [port(9464)] },
    ],
    egress: null,
  };
  const text = joined([other, guard, other]);
  const changed = (change: Partial<Policy>) => withPolicy(text, 1, { ...form, ...change });

  test.each([
    [1, 0],
    [4, 0],
    [6, 1],
    [25, 1],
    [28, 2],
    [99, 2],
  ])("line %i is in document %i", (line, index) => expect(documentAt(text, line)).toBe(index));

  test("what says the same stays as it is", () => {
    expect(changed({})).toBe(text);
  });
  test("the other documents are not touched", () => {
    const parts = changed({ name: "wall", ingress: [], egress: [] }).split("---\n");
    expect([parts[0], parts[2]]).toEqual([other, other]);
  });
  test("a value is changed where it stands", () => {
    const subject = { labels: { app: "payments" }, expressions: [] };
    expect(changed({ subject })).toBe(text.replace("{app: orders}", "{app: payments}"));
    expect(changed({ name: "wall" })).toBe(text.replace("name: guard # its", "name: wall # its"));
  });
  test("comments of what stays stay", () => {
    const [window, measuring] = form.ingress ?? [];
    if (!window || !measuring) throw new Error("the form has two rules");
    const without = changed({ ingress: [measuring] });
    expect(without).toContain("# measuring");
    expect(without).not.toContain("app: web");
    const more = changed({ ingress: [window, { peers: [pods("cart")], ports: null }, measuring] });
    for (const comment of [
      "# keep me",
      "# why",
      "# its name",
      "# the shop window",
      "# of the front",
      "# measuring",
    ])
      expect(more).toContain(comment);
    expect(parse(more.split("---\n")[1] ?? "").spec.ingress).toHaveLength(3);
    expect(parse(more.split("---\n")[1] ?? "").metadata.labels).toEqual({ team: "42" });
  });
  test("nothing becomes something, and something nothing", () => {
    const none = changed({ ingress: [], egress: null, subject: { labels: {}, expressions: [] } });
    expect(parse(none.split("---\n")[1] ?? "").spec).toEqual({
      podSelector: {},
      policyTypes: ["Ingress"],
      ingress: [],
    });
    expect(parse(withPolicy(none, 1, form).split("---\n")[1] ?? "")).toEqual(parse(guard));
  });
});
