import { describe, expect, test } from "vitest";
import { layout, NODE } from "./layout.ts";
import { linkState, type MapLink, type MapNode, type Topology } from "./topology.ts";

function node(id: string, namespace: string | null = "shop", inScope = true): MapNode {
  const peer = { kind: namespace ? "Deployment" : "Address", namespace, name: id, addressClass: null };
  return { id, peer, labels: {}, ports: [], services: [], addresses: [], pods: 1, inScope, present: true };
}
function link(source: string, target: string): MapLink {
  const seen = { services: [], connections: 1, denied: 0, firstSeen: 0, lastSeen: 0 };
  const verdict = {
    before: "allowed",
    after: "allowed",
    reason: { code: "observed", values: {}, text: "observed" },
  } as const;
  return { id: `${source}>${target}`, source, target, protocol: "TCP", port: 80, ...seen, ...verdict };
}
/** A graph that looks random and is always the same. */
function large(nodes: number, links: number): Topology {
  let seed = 7;
  const next = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  return {
    nodes: Array.from({ length: nodes }, (_, i) => node(`w${i}`, `ns${i % 20}`, i % 20 === 0)),
    links: Array.from({ length: links }, (_, i) => ({
      ...link(`w${next(nodes)}`, `w${next(nodes)}`),
      id: `${i}`,
    })),
  };
}

describe("the layout", () => {
  test("follows the connections from left to right", () => {
    const { nodes } = layout({
      nodes: [node("db"), node("api"), node("web")],
      links: [link("web", "api"), link("api", "db")],
    });
    expect(nodes.web?.x).toBeLessThan(nodes.api?.x ?? 0);
    expect(nodes.api?.x).toBeLessThan(nodes.db?.x ?? 0);
  });

  test("puts callers left of the scope, and what is called right", () => {
    const { nodes } = layout({
      nodes: [
        node("web"),
        node("ingress", "edge", false),
        node("dns", "kube-system", false),
        node("203.0.113.9", null, false),
      ],
      links: [link("ingress", "web"), link("web", "dns"), link("203.0.113.9", "ingress")],
    });
    expect(nodes.ingress?.x).toBeLessThan(nodes.web?.x ?? 0);
    expect(nodes["203.0.113.9"]?.x).toBeLessThan(nodes.web?.x ?? 0);
    expect(nodes.web?.x).toBeLessThan(nodes.dns?.x ?? 0);
  });

  test("cycles, loops and links to nowhere do no harm", () => {
    const cyclic = {
      nodes: [node("a"), node("b")],
      links: [link("a", "b"), link("b", "a"), link("a", "a"), link("a", "gone")],
    };
    expect(Object.keys(layout(cyclic).nodes)).toEqual(["a", "b"]);
    expect(layout({ nodes: [], links: [] })).toEqual({ nodes: {}, groups: [] });
  });

  test("no two nodes overlap, and every node is in the box of its group", () => {
    const { nodes, groups } = layout(large(400, 1500));
    const points = Object.values(nodes);
    const overlapping = points.flatMap((a, i) =>
      points
        .slice(i + 1)
        .filter((b) => Math.abs(a.x - b.x) < NODE.width && Math.abs(a.y - b.y) < NODE.height),
    );
    expect(points).toHaveLength(400);
    expect(overlapping).toEqual([]);
    const homeless = points.filter(
      (p) => !groups.some((g) => Math.abs(p.x - g.x) < g.width / 2 && Math.abs(p.y - g.y) < g.height / 2),
    );
    expect(homeless).toEqual([]);
    for (const [i, a] of groups.entries())
      for (const b of groups.slice(i + 1))
        expect(
          Math.abs(a.x - b.x) >= (a.width + b.width) / 2 || Math.abs(a.y - b.y) >= (a.height + b.height) / 2,
        ).toBe(true);
  });

  test("a group where everybody calls everybody is no ribbon", () => {
    const nodes = Array.from({ length: 200 }, (_, i) => node(`w${i}`));
    const { links } = large(200, 1000);
    const [group] = layout({ nodes, links }).groups;
    expect(group).toBeDefined();
    expect((group?.width ?? 0) / (group?.height ?? 1)).toBeLessThan(6);
  });

  test("the same graph gets the same picture, whatever the order", () => {
    const graph = large(100, 300);
    expect(layout({ nodes: graph.nodes.toReversed(), links: graph.links })).toEqual(layout(graph));
  });

  test("2,000 nodes and 10,000 links take less than two seconds", () => {
    const begin = performance.now();
    layout(large(2000, 10_000));
    expect(performance.now() - begin).toBeLessThan(2000);
  });
});

test.each([
  ["allowed", "allowed", "now", "allowed"],
  ["allowed", "forbidden", "now", "allowed"],
  ["allowed", "forbidden", "policy", "forbidden"],
  ["partly", "forbidden", "now", "partly"],
  ["denied", "forbidden", "now", "denied"],
  ["denied", "forbidden", "policy", "denied"],
  ["denied", "allowed", "policy", "opened"],
  ["allowed", "unknown", "policy", "unknown"],
  ["unknown", "forbidden", "policy", "forbidden"],
] as const)("before %s, after %s, seen %s: %s", (before, after, lens, state) => {
  expect(linkState({ before, after }, lens)).toBe(state);
});
