import { Button } from "@mantine/core";
import { Facts, Pane } from "../../components/pane.tsx";
import { PeerName } from "../../components/peer.tsx";
import { isOutside, peerName, portName } from "../../domain/edge.ts";
import type { Scope, Tab } from "../../domain/place.ts";
import {
  type Lens,
  type LinkState,
  linksAt,
  linkState,
  type MapLink,
  type MapNode,
  type Topology,
} from "../../domain/topology.ts";
import { useFormat, useSaid, useTexts } from "../../i18n/texts.tsx";
import { Explanation } from "../explanation.tsx";

/** How many entries a list shows at most; the tables show the rest. */
const MOST = 200;

interface NodeDetailProps {
  readonly topology: Topology;
  /** Without one, all are listed: the way to the map for those who do not point. */
  readonly node: MapNode | null;
  readonly lens: Lens;
  readonly close?: (() => void) | undefined;
  readonly pick: (id: string) => void;
}

export function NodeDetail({ topology, node, lens, close, pick }: NodeDetailProps) {
  const t = useTexts();
  if (node === null) {
    const nodes = topology.nodes.toSorted(
      (a, b) => Number(b.inScope) - Number(a.inScope) || a.id.localeCompare(b.id),
    );
    return (
      <Pane title={t.topology.nodeList}>
        <p className="dim small flat">{t.topology.pick}</p>
        <ul className="picks">
          {nodes.slice(0, MOST).map((one) => (
            <li key={one.id}>
              <button type="button" onClick={() => pick(one.id)}>
                <PeerName peer={one.peer} />
              </button>
            </li>
          ))}
        </ul>
      </Pane>
    );
  }
  const { into, out } = linksAt(topology, node.id);
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
  const outside = isOutside(node.peer);
  return (
    <Pane title={<PeerName peer={node.peer} />} close={close}>
      <Facts
        rows={[
          [t.common.kind, t.kinds[node.peer.kind] ?? node.peer.kind],
          ...(node.peer.namespace === null ? [] : ([[t.common.namespace, node.peer.namespace]] as const)),
          ...(outside
            ? []
            : ([
                [t.common.pods, node.pods],
                [t.common.labels, <List key="labels" items={labels} />],
                [t.common.ports, <List key="ports" items={node.ports} />],
                [t.common.services, <List key="services" items={node.services} />],
              ] as const)),
          ...(node.addresses.length > 0
            ? ([[t.common.addresses, <List key="addresses" items={node.addresses} />]] as const)
            : []),
        ]}
      />
      <LinkList
        title={t.topology.inbound}
        links={into}
        end="source"
        topology={topology}
        lens={lens}
        pick={pick}
      />
      <LinkList
        title={t.topology.outbound}
        links={out}
        end="target"
        topology={topology}
        lens={lens}
        pick={pick}
      />
    </Pane>
  );
}

function List({ items }: { readonly items: readonly string[] }) {
  const t = useTexts();
  if (items.length === 0) return <span className="dim">{t.common.none}</span>;
  return (
    <ul className="lines mono">
      {items.map((item) => (
        <li key={item}>{item}</li>
      ))}
    </ul>
  );
}

interface LinkListProps {
  readonly title: string;
  readonly links: readonly MapLink[];
  readonly end: "source" | "target";
  readonly topology: Topology;
  readonly lens: Lens;
  readonly pick: (id: string) => void;
}

function LinkList({ title, links, end, topology, lens, pick }: LinkListProps) {
  const format = useFormat();
  if (links.length === 0) return null;
  const peers = new Map(topology.nodes.map(({ id, peer }) => [id, peer]));
  return (
    <>
      <h3>{title}</h3>
      <ul className="picks">
        {links.slice(0, MOST).map((link) => {
          const peer = peers.get(link[end]);
          return (
            <li key={link.id}>
              <button type="button" onClick={() => pick(link.id)}>
                <StateMark state={linkState(link, lens)} lens={lens} />
                {peer && <PeerName peer={peer} />}
                <span className="mono grow">{portName(link)}</span>
                <span className="dim">{format.number(link.connections)}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </>
  );
}

function StateMark({ state, lens }: { readonly state: LinkState; readonly lens: Lens }) {
  const t = useTexts();
  const label = lens === "now" ? t.topology.nowStates[state] : t.topology.states[state];
  return <span className={`swatch ${state}`} role="img" aria-label={label} title={label} />;
}

const TONES: Readonly<Record<LinkState, string>> = {
  allowed: "good",
  forbidden: "bad",
  partly: "warn",
  denied: "mute",
  opened: "opened",
  unknown: "mute",
};

interface LinkDetailProps {
  readonly topology: Topology;
  readonly link: MapLink;
  readonly lens: Lens;
  readonly scope: Scope;
  readonly close?: (() => void) | undefined;
  readonly pick: (id: string) => void;
  readonly openTable: (tab: Tab, search: string) => void;
}

export function LinkDetail({ topology, link, lens, scope, close, pick, openTable }: LinkDetailProps) {
  const t = useTexts();
  const format = useFormat();
  const { say } = useSaid();
  const [source, target] = [link.source, link.target].map((id) =>
    topology.nodes.find((node) => node.id === id),
  );
  if (!source || !target) return null;
  const state = linkState(link, lens);
  return (
    <Pane title={t.topology.link} close={close}>
      <ul className="picks">
        {[source, target].map((node) => (
          <li key={node.id}>
            <button type="button" onClick={() => pick(node.id)}>
              <PeerName peer={node.peer} />
            </button>
          </li>
        ))}
      </ul>
      <Facts
        rows={[
          [
            t.common.port,
            <span key="port" className="mono">
              {portName(link)}
            </span>,
          ],
          [
            t.edges.verdict,
            <span key="state" className={`badge ${TONES[state]}`}>
              {lens === "now" ? t.topology.nowStates[state] : t.topology.states[state]}
            </span>,
          ],
          [t.edges.reason, say("reason", link.reason)],
          [t.edges.present, t.edges.presents[link.before]],
          [t.common.services, link.services.join(", ") || t.common.none],
          [t.common.connections, format.number(link.connections)],
          ...(link.denied > 0 ? ([["", t.edges.denied(link.denied)]] as const) : []),
          [t.common.firstSeen, format.moment(link.firstSeen)],
          [t.common.lastSeen, format.moment(link.lastSeen)],
        ]}
      />
      <Button
        variant="default"
        onClick={() =>
          target.inScope
            ? openTable("ingress", peerName(source.peer))
            : openTable("egress", peerName(target.peer))
        }
      >
        {t.topology.openTable}
      </Button>
      <Explanation
        scope={scope}
        link={{ source: source.peer, destination: target.peer, protocol: link.protocol, port: link.port }}
        lens={lens}
      />
    </Pane>
  );
}
