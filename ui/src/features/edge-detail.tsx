import { Button, Group } from "@mantine/core";
import { Facts, Pane } from "../components/pane.tsx";
import { PeerName } from "../components/peer.tsx";
import { type Choice, type Edge, ends, type Observer, portName } from "../domain/edge.ts";
import type { Scope } from "../domain/place.ts";
import { useFormat, useSaid, useTexts } from "../i18n/texts.tsx";
import { Explanation } from "./explanation.tsx";

interface EdgeDetailProps {
  readonly scope: Scope;
  readonly edge: Edge;
  readonly close: () => void;
  readonly showRule: () => void;
  readonly decide: (choice: Choice | "clear") => void;
  readonly writable: boolean;
}

/** Everything that is known about an edge. */
export function EdgeDetail({ scope, edge, close, showRule, decide, writable }: EdgeDetailProps) {
  const t = useTexts();
  const format = useFormat();
  const { say } = useSaid();
  const { source, destination } = ends(edge);
  const named = (observers: readonly Observer[]) =>
    observers.map((observer) => t.edges.observers[observer]).join(", ") || t.edges.nobody;
  return (
    <Pane title={t.topology.link} close={close}>
      <div className="ends">
        <PeerName peer={source} />
        <span className="dim">→</span>
        <PeerName peer={destination} />
        <span className="mono">{portName(edge)}</span>
      </div>
      <Facts
        rows={[
          [t.edges.verdict, t.edges.verdicts[edge.verdict]],
          [t.edges.reason, say("reason", edge.reason)],
          [t.edges.present, t.edges.presents[edge.present]],
          [t.common.services, edge.services.join(", ") || t.common.none],
          [t.common.connections, format.number(edge.connections)],
          ...(edge.denied > 0 ? ([["", t.edges.denied(edge.denied)]] as const) : []),
          [t.edges.bytes, format.number(edge.bytes)],
          [t.edges.reportedBy, named(edge.observers.reported)],
          [t.edges.watchedAt(source.name), named(edge.observers.client)],
          [t.edges.watchedAt(destination.name), named(edge.observers.server)],
          [t.common.firstSeen, format.moment(edge.firstSeen)],
          [t.common.lastSeen, format.moment(edge.lastSeen)],
        ]}
      />
      <Group gap="xs">
        {edge.verdict === "allowed" ? (
          <>
            <Button variant="default" onClick={showRule}>
              {t.edges.showRule}
            </Button>
            <Button variant="default" disabled={!writable} onClick={() => decide("exclude")}>
              {t.edges.verdicts.forbidden}
            </Button>
          </>
        ) : (
          <Button variant="default" disabled={!writable} onClick={() => decide("include")}>
            {t.edges.allow}
          </Button>
        )}
        {edge.decision && (
          <Button variant="subtle" disabled={!writable} onClick={() => decide("clear")}>
            {t.edges.clearRows}
          </Button>
        )}
      </Group>
      <Explanation
        scope={scope}
        link={{ source, destination, protocol: edge.protocol, port: edge.port }}
        lens="policy"
      />
    </Pane>
  );
}
