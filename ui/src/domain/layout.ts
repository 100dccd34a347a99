import { type Group, groupOf, type Topology } from "./topology.ts";

/** Measures of the map, in its own units. */
export const NODE = { width: 168, height: 46 } as const;
const GAP = { x: 60, y: 24, group: 44, pad: 24, head: 28 } as const;

/** Of the window that the map is fitted into: width by height. */
const ASPECT = 1.7;

export interface Point {
  readonly x: number;
  readonly y: number;
}
/** A box around the nodes of a group; `x` and `y` are its middle. */
export interface GroupBox extends Group, Point {
  readonly width: number;
  readonly height: number;
}
export interface Layout {
  /** The middle of each node. */
  readonly nodes: Readonly<Record<string, Point>>;
  readonly groups: readonly GroupBox[];
}

/**
 * A layered layout that reads from left to right: who only opens connections stands left of what is in scope, what is
 * reached stands right; inside a group, layers follow the connections. It takes time in proportion to nodes and links, and the
 * same graph always gets the same picture.
 */
export function layout({ nodes, links }: Topology): Layout {
  const targets = new Set(links.map((link) => link.target));
  const groups = new Map<string, { group: Group; members: string[]; inScope: boolean; pull: number }>();
  const home = new Map<string, string>();
  for (const node of nodes.toSorted((a, b) => compare(a.id, b.id))) {
    const group = groupOf(node, !targets.has(node.id));
    const entry = groups.get(group.key) ?? { group, members: [], inScope: false, pull: 0 };
    entry.members.push(node.id);
    entry.inScope ||= node.inScope;
    groups.set(group.key, entry);
    home.set(node.id, group.key);
  }

  const inside = new Map<string, [string, string][]>();
  for (const { source, target } of links) {
    const [from, to] = [home.get(source), home.get(target)];
    if (from === undefined || to === undefined) continue;
    if (from === to) {
      const list = inside.get(from) ?? [];
      list.push([source, target]);
      inside.set(from, list);
    } else {
      const [a, b] = [groups.get(from), groups.get(to)];
      // One connection with what is in scope says more than all others together.
      if (a) a.pull -= b?.inScope ? links.length : 1;
      if (b) b.pull += a?.inScope ? links.length : 1;
    }
  }

  const sides = { left: [] as Placed[], middle: [] as Placed[], right: [] as Placed[] };
  for (const [key, { group, members, inScope, pull }] of groups) {
    const placed = { group, ...arrange(members, inside.get(key) ?? []) };
    const side = inScope ? "middle" : group.type === "sources" || pull < 0 ? "left" : "right";
    sides[side].push(placed);
  }
  const all = [sides.left, sides.middle, sides.right];
  const area = all.flat().reduce((sum, { width, height }) => sum + width * height, 0);
  const tallest = all.flat().reduce((most, { height }) => Math.max(most, height), 0);
  // Columns of several heights are tried: the one that needs the least room can be drawn largest.
  const tried = [0.85, 1.1, 1.4, 1.8].map((part) =>
    assemble(all.map((side) => pack(side, Math.max(tallest, Math.sqrt(area) * part)))),
  );
  return tried.reduce((best, one) => (extent(one) < extent(best) ? one : best));
}

/** The height that a window needs to show all of it. */
function extent({ groups }: Layout): number {
  const most = (of: (group: GroupBox) => number) => groups.reduce((max, one) => Math.max(max, of(one)), 0);
  // Columns begin at 0 and stand around the middle.
  return Math.max(
    most(({ x, width }) => x + width / 2) / ASPECT,
    2 * most(({ y, height }) => Math.abs(y) + height / 2),
  );
}

interface Placed {
  readonly group: Group;
  /** Middles of the nodes, from the upper left corner of the box. */
  readonly points: ReadonlyMap<string, Point>;
  readonly width: number;
  readonly height: number;
}

/** Places the nodes of one group. */
function arrange(members: readonly string[], links: readonly [string, string][]): Omit<Placed, "group"> {
  const layers = ordered(layered(members, links), links);
  // A tall layer is folded into columns, so that a box stays about as wide as high.
  const rows = Math.max(6, Math.ceil(Math.sqrt(members.length * 2.2)));
  const columns = layers.flatMap((layer) => chunks(layer, rows));
  const tallest = Math.max(...columns.map((column) => column.length));
  const points = new Map<string, Point>();
  columns.forEach((column, i) => {
    const top = ((tallest - column.length) * (NODE.height + GAP.y)) / 2;
    column.forEach((id, j) =>
      points.set(id, {
        x: GAP.pad + i * (NODE.width + GAP.x) + NODE.width / 2,
        y: GAP.pad + GAP.head + top + j * (NODE.height + GAP.y) + NODE.height / 2,
      }),
    );
  });
  return {
    points,
    width: 2 * GAP.pad + columns.length * (NODE.width + GAP.x) - GAP.x,
    height: 2 * GAP.pad + GAP.head + tallest * (NODE.height + GAP.y) - GAP.y,
  };
}

/** Layers by the longest way from a start, over the links that remain when cycles are cut. */
function layered(members: readonly string[], links: readonly [string, string][]): string[][] {
  const out = new Map<string, string[]>(members.map((id) => [id, []]));
  const into = new Map<string, number>(members.map((id) => [id, 0]));
  for (const [source, target] of links) {
    if (source === target) continue;
    out.get(source)?.push(target);
    into.set(target, (into.get(target) ?? 0) + 1);
  }
  // Depth first, from those nobody calls; a link to a node that is still open closes a cycle and is left out.
  const roots = members.toSorted((a, b) => (into.get(a) ?? 0) - (into.get(b) ?? 0) || compare(a, b));
  const state = new Map<string, "open" | "done">();
  const finished: string[] = [];
  const forward: [string, string][] = [];
  for (const root of roots) {
    const stack: { id: string; next: number }[] = state.has(root) ? [] : [{ id: root, next: 0 }];
    if (stack.length > 0) state.set(root, "open");
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const target = out.get(top.id)?.[top.next++];
      if (target === undefined) {
        state.set(top.id, "done");
        finished.push(top.id);
        stack.pop();
      } else if (state.get(target) !== "open") {
        forward.push([top.id, target]);
        if (!state.has(target)) {
          state.set(target, "open");
          stack.push({ id: target, next: 0 });
        }
      }
    }
  }
  const order = new Map(finished.toReversed().map((id, i) => [id, i]));
  const rank = new Map<string, number>();
  for (const [source, target] of forward.toSorted(([a], [b]) => (order.get(a) ?? 0) - (order.get(b) ?? 0)))
    rank.set(target, Math.max(rank.get(target) ?? 0, (rank.get(source) ?? 0) + 1));

  // Where everybody calls everybody, ways are as long as there are nodes: several ranks then share a layer.
  const ranks = [...rank.values()].reduce((most, one) => Math.max(most, one), 0) + 1;
  const most = Math.max(6, Math.ceil(Math.sqrt(members.length)));
  const layerOf = (id: string) => Math.floor(((rank.get(id) ?? 0) * Math.min(ranks, most)) / ranks);

  const linked = new Set(forward.flat());
  const layers: string[][] = [];
  const alone: string[] = [];
  for (const id of members) {
    if (linked.has(id)) (layers[layerOf(id)] ??= []).push(id);
    else alone.push(id);
  }
  const dense = layers.filter((layer) => layer !== undefined && layer.length > 0);
  return alone.length > 0 ? [...dense, alone] : dense;
}

/** Orders each layer by the mean place of its neighbours, there and back, so that fewer links cross. */
function ordered(layers: string[][], links: readonly [string, string][]): string[][] {
  const near = new Map<string, string[]>();
  for (const [a, b] of links) {
    near.set(a, [...(near.get(a) ?? []), b]);
    near.set(b, [...(near.get(b) ?? []), a]);
  }
  const place = new Map<string, number>();
  const put = (layer: readonly string[]) => layer.forEach((id, i) => place.set(id, i / layer.length));
  layers.forEach(put);
  const sorted = [...layers];
  for (let sweep = 0; sweep < 4; sweep++) {
    const turn = sweep % 2 === 0 ? sorted.keys() : [...sorted.keys()].toReversed();
    for (const i of turn) {
      const mean = new Map<string, number>();
      for (const id of sorted[i] ?? []) {
        const seen = (near.get(id) ?? []).map((other) => place.get(other) ?? 0);
        mean.set(id, seen.length > 0 ? seen.reduce((a, b) => a + b, 0) / seen.length : (place.get(id) ?? 0));
      }
      const layer = (sorted[i] ?? []).toSorted(
        (a, b) => (mean.get(a) ?? 0) - (mean.get(b) ?? 0) || compare(a, b),
      );
      sorted[i] = layer;
      put(layer);
    }
  }
  return sorted;
}

/** Stacks the groups of a side in columns of a height. */
function pack(side: readonly Placed[], limit: number): Placed[][] {
  const columns: Placed[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const group of side) {
    if (filled + group.height > limit) {
      columns.push([]);
      filled = 0;
    }
    columns.at(-1)?.push(group);
    filled += group.height + GAP.group;
  }
  return columns;
}

/** Puts the columns of all sides beside each other, each in the middle of the height. */
function assemble(sides: readonly Placed[][][]): Layout {
  const nodes: Record<string, Point> = {};
  const groups: GroupBox[] = [];
  let left = 0;
  for (const column of sides.flat()) {
    const width = Math.max(...column.map((group) => group.width));
    let top = -(column.reduce((sum, { height }) => sum + height + GAP.group, -GAP.group) / 2);
    for (const { group, points, width: own, height } of column) {
      const x = left + (width - own) / 2;
      for (const [id, point] of points) nodes[id] = { x: x + point.x, y: top + point.y };
      groups.push({ ...group, x: x + own / 2, y: top + height / 2, width: own, height });
      top += height + GAP.group;
    }
    left += width + GAP.group * 2;
  }
  return { nodes, groups };
}

function chunks<T>(list: readonly T[], size: number): T[][] {
  const count = Math.ceil(list.length / size);
  const even = Math.ceil(list.length / count);
  return Array.from({ length: count }, (_, i) => list.slice(i * even, (i + 1) * even));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
