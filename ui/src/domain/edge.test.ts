import { describe, expect, test } from "vitest";
import {
  type Edge,
  ends,
  formatSort,
  matches,
  parseSort,
  passesFilter,
  peerName,
  portName,
  sorted,
} from "./edge.ts";

const peer = (kind: string, name: string, namespace: string | null = "shop") => ({
  kind,
  name,
  namespace,
  addressClass: null,
});
function edge(id: string, more: Partial<Edge> = {}): Edge {
  return {
    id,
    direction: "ingress",
    entity: peer("Deployment", "orders"),
    peer: peer("Deployment", "web"),
    protocol: "TCP",
    port: 8081,
    services: ["shop/orders:80"],
    connections: 1,
    denied: 0,
    refused: 0,
    bytes: 0,
    observers: { reported: ["flowLog"], client: [], server: [] },
    firstSeen: 0,
    lastSeen: 0,
    verdict: "allowed",
    reason: { code: "observed", values: {}, text: "observed" },
    decision: null,
    present: "allowed",
    pattern: {},
    ...more,
  };
}

test.each([
  [peer("Deployment", "web"), "shop/Deployment/web"],
  [peer("Alias", "payment-api", null), "Alias/payment-api"],
  [peer("Node", "shop-a", null), "Node/shop-a"],
  [peer("Address", "198.51.100.7", null), "198.51.100.7"],
])("%j is named %s", (one, name) => expect(peerName(one)).toBe(name));

test("a port is named with its protocol", () => {
  expect(portName({ protocol: "UDP", port: 53 })).toBe("UDP/53");
  expect(portName({ protocol: "ICMP", port: null })).toBe("ICMP");
});

test("connections go into the entity or out of it", () => {
  expect(ends(edge("a")).destination.name).toBe("orders");
  expect(ends(edge("a", { direction: "egress" })).source.name).toBe("orders");
});

describe("the order", () => {
  test("equal rows keep to the order of their names, in both directions", () => {
    const rows = [edge("b", { port: 9 }), edge("a", { port: 8 }), edge("c", { port: 10, connections: 5 })];
    const order = (text: string) => sorted(rows, parseSort(text)).map(({ id }) => id);
    expect(order("connections")).toEqual(["a", "b", "c"]);
    expect(order("-connections")).toEqual(["c", "a", "b"]);
    expect(order("port")).toEqual(["a", "b", "c"]);
  });
  test("what is no sort is the order by entity", () => {
    expect(formatSort(parseSort("-secret"))).toBe("entity");
    expect(formatSort(parseSort("-lastSeen"))).toBe("-lastSeen");
  });
  test("50,000 rows are found and sorted in less than a second", () => {
    const rows = Array.from({ length: 50_000 }, (_, i) => edge(`${i}`, { connections: (i * 7919) % 1000 }));
    const begin = performance.now();
    sorted(
      rows.filter((row) => matches(row, "WEB")),
      { key: "connections", down: true },
    );
    expect(performance.now() - begin).toBeLessThan(1000);
  });
});

test.each([
  ["", true],
  ["ORD", true],
  ["tcp/80", true],
  ["orders:80", true],
  ["billing", false],
])("search for %j", (text, found) => expect(matches(edge("a"), text)).toBe(found));

test("an address with an alias is aliased and nothing else", () => {
  const row = { class: "external", alias: "payment-api" } as Parameters<typeof passesFilter>[0];
  expect(passesFilter(row, "aliased")).toBe(true);
  expect(passesFilter(row, "external")).toBe(false);
  expect(passesFilter({ ...row, alias: null }, "external")).toBe(true);
});
