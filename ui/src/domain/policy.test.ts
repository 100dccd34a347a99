import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  manifest,
  parseLabels,
  type Policy,
  type PolicyFile,
  ruleAt,
  rulesOf,
  selectorText,
} from "./policy.ts";

const everything = { labels: {}, expressions: [] };
const policy: Policy = {
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
  test.each(["1", "true", "no", "1e3", "", "a: b", "#x"])("a label %j stays a text", (value) => {
    const subject = { labels: { x: value }, expressions: [] };
    expect(parse(manifest({ ...policy, subject })).spec.podSelector.matchLabels.x).toBe(value);
  });
});

test.each([
  ["app=web, tier=front", { app: "web", tier: "front" }],
  ["", {}],
  ["app.kubernetes.io/name=web,", { "app.kubernetes.io/name": "web" }],
  ["app", null],
  ["app=a b", null],
])("labels %j", (text, expected) => expect(parseLabels(text)).toEqual(expected));

test("a selector reads like a sentence", () => {
  const expressions = [
    { key: "a", operator: "In", values: ["1", "2"] },
    { key: "b", operator: "Exists", values: [] },
    { key: "c", operator: "DoesNotExist", values: [] },
  ] as const;
  expect(selectorText({ labels: { app: "web" }, expressions })).toBe("app=web, a in (1, 2), b, !c");
});

describe("rules and lines", () => {
  const yaml = [
    "spec:",
    "  ingress:",
    "  # web: 480 connections",
    "  - from:",
    "    - podSelector: {}",
    "    ports:",
    "    - port: 80",
    "  # metrics",
    "  - ports:",
    "    - port: 9464",
    "  egress:",
    "  - to: []",
  ].join("\n");
  const rule = (direction: "ingress" | "egress", index: number, line: number) =>
    ({ direction, index, line, edges: [`${direction}${index}`] }) as const;
  const file: PolicyFile = {
    namespace: "shop",
    name: "orders",
    path: "shop/orders.yaml",
    yaml,
    currentYaml: null,
    state: "new",
    rules: [rule("ingress", 0, 4), rule("ingress", 1, 9), rule("egress", 0, 12)],
  };
  test.each([
    [1, null],
    [2, null],
    [3, "ingress0"],
    [4, "ingress0"],
    [7, "ingress0"],
    [8, "ingress1"],
    [10, "ingress1"],
    [11, null],
    [12, "egress0"],
    [13, null],
  ])("line %i", (line, edge) => expect(ruleAt(file, line)?.edges[0] ?? null).toBe(edge));
  test("an edge finds its rule", () => {
    expect(rulesOf([file], "egress0").map(({ rule }) => rule.line)).toEqual([12]);
    expect(rulesOf([file], "nothing")).toEqual([]);
  });
});
