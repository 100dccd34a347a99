import { portName } from "./edge.ts";
import { type GroupBox, type Layout, NODE, type Point } from "./layout.ts";
import { type Lens, type LinkState, linkState, type MapNode, type Topology } from "./topology.ts";

export interface Colours {
  readonly background: string;
  readonly group: string;
  readonly line: string;
  readonly node: string;
  readonly text: string;
  readonly dim: string;
  readonly focus: string;
  readonly links: Readonly<Record<LinkState, string>>;
}

/** How links of a state are dashed: state is told by more than colour. */
export const DASHES: Readonly<Record<LinkState, readonly [number, number] | null>> = {
  allowed: null,
  forbidden: null,
  partly: [9, 4],
  denied: [2, 4],
  opened: [9, 4],
  unknown: [2, 8],
};

interface Options {
  readonly colours: Colours;
  readonly groupName: (group: GroupBox) => string;
}

/** The map as an SVG file that stands alone. */
export function drawing(
  topology: Topology,
  layout: Layout,
  lens: Lens,
  { colours, groupName }: Options,
): string {
  const margin = 40;
  const [left, top, right, bottom] = layout.groups.reduce(
    ([l, t, r, b], { x, y, width, height }) => [
      Math.min(l, x - width / 2),
      Math.min(t, y - height / 2),
      Math.max(r, x + width / 2),
      Math.max(b, y + height / 2),
    ],
    [Infinity, Infinity, -Infinity, -Infinity] as const as readonly [number, number, number, number],
  );
  const box = `${left - margin} ${top - margin} ${right - left + 2 * margin} ${bottom - top + 2 * margin}`;
  const states = [...new Set(topology.links.map((link) => linkState(link, lens)))].sort();
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}" font-family="system-ui, sans-serif">`,
    ...states.map(
      (state) =>
        `<marker id="${state}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="${colours.links[state]}"/></marker>`,
    ),
    `<rect x="${left - margin}" y="${top - margin}" width="100%" height="100%" fill="${colours.background}"/>`,
    ...layout.groups.map(
      (group) =>
        rectangle(group, group, 10, `fill="${colours.group}" stroke="${colours.line}"`) +
        `<text x="${group.x - group.width / 2 + 14}" y="${group.y - group.height / 2 + 24}" font-size="14" font-weight="600" fill="${colours.dim}">${escape(groupName(group))}</text>`,
    ),
    ...topology.links.flatMap((link) => {
      const [from, to] = [layout.nodes[link.source], layout.nodes[link.target]];
      if (!from || !to) return [];
      const state = linkState(link, lens);
      const dash = DASHES[state];
      const title = `${link.source} → ${link.target} ${portName(link)}`;
      return `<path d="${curve(from, to)}" fill="none" stroke="${colours.links[state]}" stroke-width="1.5"${dash ? ` stroke-dasharray="${dash.join(" ")}"` : ""} marker-end="url(#${state})"><title>${escape(title)}</title></path>`;
    }),
    ...topology.nodes.flatMap((node) => {
      const point = layout.nodes[node.id];
      return point ? nodeMark(node, point, colours) : [];
    }),
    "</svg>",
  ];
  return `${lines.join("\n")}\n`;
}

function nodeMark(node: MapNode, point: Point, colours: Colours): string {
  const stroke = node.inScope ? colours.focus : colours.line;
  const [name, note] = nodeLabel(node);
  return (
    rectangle(point, NODE, 6, `fill="${colours.node}" stroke="${stroke}" stroke-width="1.5"`) +
    `<text x="${point.x}" y="${point.y - 2}" font-size="13" font-weight="600" text-anchor="middle" fill="${colours.text}">${escape(name)}</text>` +
    `<text x="${point.x}" y="${point.y + 14}" font-size="11" text-anchor="middle" fill="${colours.dim}">${escape(note)}</text>`
  );
}

/** The two lines of a node: its name, and its kind with its ports. */
export function nodeLabel({ peer, ports, addresses }: MapNode): readonly [string, string] {
  const note = ports.length > 0 ? `:${ports.map((port) => /\d+/.exec(port)?.[0] ?? port).join(" :")}` : "";
  const short = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const below = peer.kind === "Alias" ? addresses.join(", ") : note;
  return [short(peer.name, 20), short([peer.kind, below].filter(Boolean).join(" "), 20)];
}

/** From the side of one node to the side of the other; around the top when they stand above each other. */
function curve(from: Point, to: Point): string {
  const side = to.x >= from.x ? 1 : -1;
  const [x1, x2] = [from.x + (side * NODE.width) / 2, to.x - (side * NODE.width) / 2];
  if (Math.abs(to.x - from.x) < NODE.width) {
    const out = from.x + NODE.width / 2;
    return `M${out} ${from.y} C${out + 60} ${from.y} ${out + 60} ${to.y} ${to.x + NODE.width / 2} ${to.y}`;
  }
  const bend = side * Math.max(40, Math.abs(x2 - x1) / 2);
  return `M${x1} ${from.y} C${x1 + bend} ${from.y} ${x2 - bend} ${to.y} ${x2} ${to.y}`;
}

function rectangle(
  middle: Point,
  size: { readonly width: number; readonly height: number },
  radius: number,
  style: string,
) {
  const { width, height } = size;
  return `<rect x="${middle.x - width / 2}" y="${middle.y - height / 2}" width="${width}" height="${height}" rx="${radius}" ${style}/>`;
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
