import cytoscape, {
  type Core,
  type ElementDefinition,
  type EventObject,
  type StylesheetJson,
} from "cytoscape";
import type { GroupBox, Layout } from "../../domain/layout.ts";
import { NODE } from "../../domain/layout.ts";
import { DASHES, nodeLabel } from "../../domain/svg.ts";
import { type Lens, LINK_STATES, linkState, type Topology } from "../../domain/topology.ts";
import { colours } from "./colours.ts";

/** A node or link that was pointed at. */
export interface Picked {
  readonly id: string;
}

interface Handlers {
  readonly hover: (picked: Picked | null) => void;
  readonly pick: (picked: Picked | null) => void;
  readonly groupName: (group: GroupBox) => string;
}

/** What the page can do with the map. */
export interface MapView {
  show(topology: Topology, layout: Layout, lens: Lens): void;
  choose(id: string | null): void;
  mark(ids: readonly string[]): void;
  center(id: string): void;
  zoom(factor: number): void;
  fit(): void;
  repaint(): void;
  png(): Promise<Blob>;
  close(): void;
}

/** Above so many links they are straight, and not drawn while the map moves, so that it opens soon and moves smoothly. */
const MANY = 1500;
const FONT = "Inter, system-ui, sans-serif";
const STYLED = "__________cytoscape_stylesheet";

/** Draws the map on a canvas. */
export function openMap(container: HTMLElement, { hover, pick, groupName }: Handlers): MapView {
  // Cytoscape would add an inline style sheet, which the content security policy refuses; ours has the same rule.
  if (!document.getElementById(STYLED)) {
    const mark = document.createElement("meta");
    mark.id = STYLED;
    document.head.append(mark);
  }
  let map: Core | null = null;
  let size = 0;

  const open = (links: number): Core => {
    const made = cytoscape({
      container,
      style: style(links > MANY),
      layout: { name: "preset" },
      autoungrabify: true,
      boxSelectionEnabled: false,
      minZoom: 0.04,
      maxZoom: 3,
      pixelRatio: links > MANY ? 1 : "auto",
      hideEdgesOnViewport: links > MANY,
      textureOnViewport: links > MANY,
    });
    made.on("mouseover", "node.peer, edge", (event: EventObject) =>
      hover({ id: event.target.id() as string }),
    );
    made.on("mouseout", "node.peer, edge", () => hover(null));
    made.on("tap", (event: EventObject) => {
      const real = event.target !== made && (event.target.isEdge() || event.target.hasClass("peer"));
      pick(real ? { id: event.target.id() as string } : null);
    });
    return made;
  };

  return {
    show(topology, layout, lens) {
      const fresh = map === null || topology.links.length > MANY !== size > MANY;
      if (fresh) {
        map?.destroy();
        map = open(topology.links.length);
      }
      size = topology.links.length;
      const core = map as Core;
      const wanted = elements(topology, layout, lens, groupName);
      if (fresh) {
        core.batch(() => core.add(wanted));
        core.fit(undefined, 24);
        return;
      }
      core.batch(() => {
        const keep = new Set(wanted.map(({ data }) => data.id));
        core
          .elements()
          .filter((element) => !keep.has(element.id()))
          .remove();
        // All that is new at once: one by one takes long.
        core.add(wanted.filter(({ data }) => core.getElementById(String(data.id)).empty()));
        for (const element of wanted) {
          const known = core.getElementById(String(element.data.id));
          known.data(element.data);
          if (element.position) known.position(element.position);
        }
      });
    },
    choose(id) {
      map?.batch(() => {
        map?.elements().removeClass("chosen near away");
        const target = id === null ? undefined : map?.getElementById(id);
        if (!target || target.empty()) return;
        target.addClass("chosen");
        const near =
          target.group() === "nodes" ? target.closedNeighborhood() : target.union(target.connectedNodes());
        near.addClass("near");
        map?.elements("edge, node.peer").not(near).addClass("away");
      });
    },
    mark(ids) {
      map?.batch(() => {
        map?.nodes().removeClass("found");
        for (const id of ids) map?.getElementById(id).addClass("found");
      });
    },
    center(id) {
      const target = map?.getElementById(id);
      if (!map || !target || target.empty()) return;
      if (map.zoom() < 0.6) map.zoom(0.8);
      map.center(target);
    },
    zoom(factor) {
      const middle = { x: container.clientWidth / 2, y: container.clientHeight / 2 };
      map?.zoom({ level: map.zoom() * factor, renderedPosition: middle });
    },
    fit() {
      map?.fit(undefined, 24);
    },
    repaint() {
      map?.style(style(size > MANY));
    },
    async png() {
      if (!map) throw new Error("there is no map yet");
      return map.png({
        output: "blob-promise",
        full: true,
        maxWidth: 8000,
        maxHeight: 8000,
        bg: colours().background,
      });
    },
    close() {
      map?.destroy();
      map = null;
    },
  };
}

function elements(
  topology: Topology,
  layout: Layout,
  lens: Lens,
  groupName: (group: GroupBox) => string,
): (ElementDefinition & { data: { id?: string } })[] {
  return [
    ...layout.groups.map((group) => ({
      data: { id: `group ${group.key}`, label: groupName(group), width: group.width, height: group.height },
      position: { x: group.x, y: group.y },
      classes: "group",
      selectable: false,
    })),
    ...topology.nodes.flatMap((node) => {
      const point = layout.nodes[node.id];
      if (!point) return [];
      const classes = ["peer", node.inScope && "scope", !node.present && "gone"].filter(Boolean).join(" ");
      return { data: { id: node.id, label: nodeLabel(node).join("\n") }, position: { ...point }, classes };
    }),
    ...topology.links
      .filter(({ source, target }) => layout.nodes[source] && layout.nodes[target])
      .map((link) => ({
        data: { id: link.id, source: link.source, target: link.target, state: linkState(link, lens) },
      })),
  ];
}

function style(many: boolean): StylesheetJson {
  const c = colours();
  return [
    {
      selector: "node.group",
      style: {
        shape: "round-rectangle",
        width: "data(width)",
        height: "data(height)",
        "background-color": c.group,
        "border-width": 1,
        "border-color": c.line,
        label: "data(label)",
        "font-family": FONT,
        "text-valign": "top",
        "text-margin-y": 22,
        "font-size": 16,
        "font-weight": 600,
        color: c.dim,
        events: "no",
        "z-index-compare": "manual",
        "z-index": 0,
      },
    },
    {
      selector: "node.peer",
      style: {
        shape: "round-rectangle",
        width: NODE.width,
        height: NODE.height,
        "background-color": c.node,
        "border-width": 1.5,
        "border-color": c.line,
        label: "data(label)",
        "font-family": FONT,
        "text-wrap": "wrap",
        "text-valign": "center",
        "line-height": 1.25,
        "font-size": 14,
        "min-zoomed-font-size": 5,
        color: c.text,
        "z-index-compare": "manual",
        "z-index": 4,
      },
    },
    { selector: "node.scope", style: { "border-color": c.focus } },
    { selector: "node.gone", style: { "border-style": "dashed", color: c.dim } },
    {
      selector: "edge",
      style: {
        width: 1.5,
        // Beside each other, links between the same nodes are told apart; finding them takes long.
        "curve-style": many ? "straight" : "bezier",
        "control-point-step-size": 28,
        "target-arrow-shape": "triangle",
        "arrow-scale": 0.9,
        "z-index-compare": "manual",
        "z-index": 1,
      },
    },
    ...LINK_STATES.map((state) => {
      const dash = DASHES[state];
      return {
        selector: `edge[state = "${state}"]`,
        style: {
          "line-color": c.links[state],
          "target-arrow-color": c.links[state],
          ...(state === "forbidden" ? { width: 2.5, "z-index": 2 } : {}),
          ...(dash ? { "line-style": "dashed" as const, "line-dash-pattern": [...dash] } : {}),
        },
      };
    }),
    { selector: ".away", style: { opacity: 0.18 } },
    { selector: "node.found", style: { "border-color": c.focus, "border-width": 4 } },
    { selector: "node.chosen", style: { "border-color": c.focus, "border-width": 3.5 } },
    { selector: "edge.chosen", style: { width: 4, "z-index": 3 } },
  ];
}
