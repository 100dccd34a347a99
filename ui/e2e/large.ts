import { Fixture } from "./fixture.ts";

/** Numbers that look random and are always the same. */
function numbers(): (below: number) => number {
  let seed = 7;
  return (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
}

/** A cluster with so many workloads and edges, all of them with the namespace `shop`. */
export function large(workloads: number, edges: number): Fixture {
  const next = numbers();
  const name = (i: number) => `${i % 10 === 0 ? "shop" : `team-${i % 40}`}/Deployment/workload-${i}`;
  const fixture = new Fixture();
  const seen = new Set<string>();
  const ends: (readonly [string, string, number, number])[] = [];
  while (ends.length < edges) {
    const source = name(next(workloads));
    const destination = name(next(workloads / 10) * 10);
    const port = 8000 + next(200);
    const key = `${source} ${destination} ${port}`;
    if (source !== destination && !seen.has(key)) {
      seen.add(key);
      ends.push([source, destination, port, 1 + next(5000)]);
    }
  }
  fixture.ends = ends;
  return fixture;
}
