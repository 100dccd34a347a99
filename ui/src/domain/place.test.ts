import { describe, expect, test } from "vitest";
import { formatPlace, parsePlace, type Place } from "./place.ts";

const at = (url: string) => {
  const { pathname, search } = new URL(url, "http://x");
  return parsePlace(pathname, search);
};

describe("a place and its URL", () => {
  const places: [string, Place][] = [
    ["/", { page: "home" }],
    ["/network/demo", { page: "cluster", cluster: "demo" }],
    ["/configuration/demo", { page: "configuration", cluster: "demo" }],
    [
      "/network/demo/shop",
      {
        page: "network",
        scope: { cluster: "demo", namespace: "shop", kind: null, entity: null, span: { type: "all" } },
        tab: "ingress",
        view: {},
      },
    ],
    [
      "/network/demo/shop?kind=Deployment&entity=web&time=24h&tab=egress&class=external&search=10.0",
      {
        page: "network",
        scope: {
          cluster: "demo",
          namespace: "shop",
          kind: "Deployment",
          entity: "web",
          span: { type: "last", hours: 24 },
        },
        tab: "egress",
        view: { class: "external", search: "10.0" },
      },
    ],
    [
      "/network/demo/shop?time=2026-05-11T00:00:00Z..2026-05-12T00:00:00Z&tab=policy",
      {
        page: "network",
        scope: {
          cluster: "demo",
          namespace: "shop",
          kind: null,
          entity: null,
          span: { type: "range", from: Date.UTC(2026, 4, 11), until: Date.UTC(2026, 4, 12) },
        },
        tab: "policy",
        view: {},
      },
    ],
  ];
  test.each(places)("%s", (url, place) => {
    expect(at(url)).toEqual(place);
    expect(formatPlace(place)).toBe(url);
  });
});

describe("a URL that is not ours", () => {
  test("an unknown path is said to be unknown", () => {
    expect(at("/metrics").page).toBe("nowhere");
    expect(at("/network/a/b/c").page).toBe("nowhere");
    expect(at("/network/%E0%A4%A").page).toBe("cluster");
  });
  test.each([
    "/network/demo/shop?kind=Secret&entity=web",
    "/network/demo/shop?entity=web",
    "/network/demo/shop?time=yesterday",
    "/network/demo/shop?time=2026-05-12T00:00:00Z..2026-05-11T00:00:00Z",
    "/network/demo/shop?time=0h&tab=settings",
  ])("what is wrong in the query is left out: %s", (url) => {
    expect(formatPlace(at(url))).toBe("/network/demo/shop");
  });
});
