import { describe, expect, test } from "vitest";
import { parseLabels, type PolicyFile, ruleAt, rulesOf, selectorText } from "./policy.ts";

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
