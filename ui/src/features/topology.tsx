import { ActionIcon, Autocomplete, Button, Menu, SegmentedControl } from "@mantine/core";
import {
  IconChevronDown,
  IconDownload,
  IconMaximize,
  IconMinus,
  IconPlus,
  IconSearch,
} from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { topology as topologyQuery } from "../api/queries.ts";
import { save } from "../components/download.ts";
import { at, go, type NetworkPlace, useView } from "../components/place.tsx";
import { Empty, Loading, Ready } from "../components/state.tsx";
import { peerName } from "../domain/edge.ts";
import type { Layout } from "../domain/layout.ts";
import { drawing } from "../domain/svg.ts";
import { countStates, findNodes, type Lens, LINK_STATES, type Topology } from "../domain/topology.ts";
import { useTexts } from "../i18n/texts.tsx";
import { openMap, type MapView, type Picked } from "./map/canvas.ts";
import { colours } from "./map/colours.ts";
import { arrange } from "./map/arrange.ts";
import { LinkDetail, NodeDetail } from "./map/detail.tsx";
import { OutOfTime } from "./out-of-time.tsx";

/** The topology tab: a map of who connects to whom, now and with the policies of the review. */
export function TopologyTab({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const query = useQuery(topologyQuery(place.scope));
  return (
    <Ready query={query}>
      {(topology) =>
        topology.links.length === 0 ? (
          <Empty title={t.topology.empty} text={t.topology.emptyText}>
            <OutOfTime place={place} />
          </Empty>
        ) : (
          <Chart place={place} topology={topology} />
        )
      }
    </Ready>
  );
}

/** The layout of a graph: computed beside the page, and only again when nodes or links come or go. */
function useLayout(topology: Topology): Layout | null {
  const [layout, setLayout] = useState<Layout | null>(null);
  const shape = useMemo(
    () =>
      [
        ...topology.nodes.map(({ id, inScope }) => `${id} ${inScope}`),
        ...topology.links.map(({ source, target }) => `${source} ${target}`),
      ].join("\n"),
    [topology],
  );
  const latest = useRef(topology);
  latest.current = topology;
  useEffect(() => {
    const stop = arrange(latest.current, setLayout);
    return stop;
  }, [shape]);
  return layout;
}

function Chart({ place, topology }: { readonly place: NetworkPlace; readonly topology: Topology }) {
  const t = useTexts();
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<MapView | null>(null);
  const [lensText, setLens] = useView(place, "lens");
  const [pinned = null, setPinned] = useView(place, "pick");
  const [hovered, setHovered] = useState<Picked | null>(null);
  const [search, setSearch] = useState("");
  const lens: Lens = lensText === "now" ? "now" : "policy";
  const layout = useLayout(topology);

  const pin = useRef(setPinned);
  pin.current = setPinned;
  useEffect(() => {
    if (box.current === null || layout === null) return undefined;
    const map = openMap(box.current, {
      hover: setHovered,
      pick: (picked) => pin.current(picked?.id ?? null, "push"),
      groupName: (group) => (group.type === "namespace" ? group.name : t.topology.groups[group.type]),
    });
    view.current = map;
    return () => {
      view.current = null;
      map.close();
    };
  }, [layout, t]);
  useEffect(() => {
    if (layout !== null) view.current?.show(topology, layout, lens);
  }, [topology, layout, lens, t]);
  useEffect(() => view.current?.choose(pinned), [pinned, topology, layout, t]);
  useEffect(() => {
    // Colours of a canvas do not follow the style sheet by themselves.
    const watcher = new MutationObserver(() => view.current?.repaint());
    watcher.observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });
    return () => watcher.disconnect();
  }, []);

  const shown = pinned ?? hovered?.id ?? null;
  const node = topology.nodes.find(({ id }) => id === shown);
  const link = topology.links.find(({ id }) => id === shown);
  const counts = useMemo(() => countStates(topology, lens), [topology, lens]);
  const names = useMemo(() => [...new Set(topology.nodes.map(({ peer }) => peerName(peer)))], [topology]);
  const found = useMemo(() => findNodes(topology, search), [topology, search]);
  useEffect(() => view.current?.mark(found.map(({ id }) => id)), [found, layout]);

  const goTo = (id: string) => {
    setPinned(id, "push");
    view.current?.center(id);
  };
  const name = ["ringfence", place.scope.namespace, place.scope.entity, lens].filter(Boolean).join("-");
  const svg = () => {
    if (layout === null) return;
    const title = (
      key: Parameters<typeof drawing>[3]["groupName"] extends (group: infer G) => string ? G : never,
    ) => (key.type === "namespace" ? key.name : t.topology.groups[key.type]);
    const text = drawing(topology, layout, lens, { colours: colours(), groupName: title });
    save(`${name}.svg`, new Blob([text], { type: "image/svg+xml" }));
  };
  const png = async () => {
    const image = await view.current?.png();
    if (image) save(`${name}.png`, image);
  };

  return (
    <div className="column fill">
      <div className="bar">
        <SegmentedControl
          aria-label={t.topology.lens}
          value={lens}
          onChange={(value) => setLens(value === "now" ? "now" : null, "push")}
          data={[
            { value: "now", label: t.topology.now },
            { value: "policy", label: t.topology.policy },
          ]}
        />
        <Autocomplete
          size="xs"
          aria-label={t.topology.search}
          placeholder={t.topology.search}
          leftSection={<IconSearch size={14} />}
          data={names}
          limit={12}
          value={search}
          onChange={setSearch}
          onOptionSubmit={(value) => {
            const target = topology.nodes.find(({ peer }) => peerName(peer) === value);
            if (target) goTo(target.id);
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter" && found[0]) goTo(found[0].id);
          }}
          className="find"
        />
        <ul className="legend" aria-label={t.topology.legend}>
          {LINK_STATES.filter((state) => counts[state] > 0).map((state) => (
            <li key={state}>
              <span className={`swatch ${state}`} aria-hidden />
              {lens === "now" ? t.topology.nowStates[state] : t.topology.states[state]}{" "}
              <span className="dim">{counts[state]}</span>
            </li>
          ))}
        </ul>
        <div className="grow" />
        <span className="dim nowrap small">
          {t.topology.counts(topology.nodes.length, topology.links.length)}
        </span>
        <ActionIcon.Group>
          <ActionIcon
            variant="default"
            aria-label={t.topology.zoomOut}
            onClick={() => view.current?.zoom(1 / 1.3)}
          >
            <IconMinus size={14} />
          </ActionIcon>
          <ActionIcon
            variant="default"
            aria-label={t.topology.zoomIn}
            onClick={() => view.current?.zoom(1.3)}
          >
            <IconPlus size={14} />
          </ActionIcon>
          <ActionIcon
            variant="default"
            aria-label={t.topology.fit}
            title={t.topology.fit}
            onClick={() => view.current?.fit()}
          >
            <IconMaximize size={14} />
          </ActionIcon>
        </ActionIcon.Group>
        <Menu position="bottom-end">
          <Menu.Target>
            <Button
              variant="default"
              leftSection={<IconDownload size={14} />}
              rightSection={<IconChevronDown size={13} />}
            >
              {t.topology.export}
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item onClick={svg}>{t.topology.svg}</Menu.Item>
            <Menu.Item onClick={() => void png()}>{t.topology.png}</Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </div>
      <div className="split">
        {layout === null && <Loading />}
        <div className="map" ref={box} role="img" aria-label={t.topology.canvas} hidden={layout === null} />
        {node ? (
          <NodeDetail
            key={node.id}
            topology={topology}
            node={node}
            lens={lens}
            close={pinned === null ? undefined : () => setPinned(null, "push")}
            pick={goTo}
          />
        ) : link ? (
          <LinkDetail
            key={link.id}
            topology={topology}
            link={link}
            lens={lens}
            scope={place.scope}
            close={pinned === null ? undefined : () => setPinned(null, "push")}
            pick={goTo}
            openTable={(tab, text) => go(at(place, { tab, view: { search: text } }))}
          />
        ) : (
          <NodeDetail topology={topology} node={null} lens={lens} pick={goTo} />
        )}
      </div>
    </div>
  );
}
