import {
  IconBox,
  IconClockPlay,
  IconCloud,
  IconDatabase,
  IconPlayerPlay,
  IconServer2,
  IconStack2,
  IconTag,
  IconTopologyStar3,
  IconWorld,
} from "@tabler/icons-react";
import { type Peer, peerName } from "../domain/edge.ts";
import { useTexts } from "../i18n/texts.tsx";

const ICONS: Record<string, typeof IconBox> = {
  Deployment: IconStack2,
  StatefulSet: IconDatabase,
  DaemonSet: IconServer2,
  CronJob: IconClockPlay,
  Job: IconPlayerPlay,
  Service: IconTopologyStar3,
  Node: IconServer2,
  Host: IconServer2,
  Alias: IconTag,
  Address: IconWorld,
};

/** Somebody at an end of a connection: an icon for the kind, the name, and the namespace when it is another one. */
export function PeerName({ peer, home }: { readonly peer: Peer; readonly home?: string }) {
  const t = useTexts();
  const Icon = ICONS[peer.kind] ?? (peer.namespace === null ? IconCloud : IconBox);
  const kind = t.kinds[peer.kind] ?? peer.kind;
  return (
    <span className="peer" title={`${kind} ${peerName(peer)}`}>
      <Icon size={15} stroke={1.6} aria-label={kind} role="img" />
      <span className={peer.kind === "Address" ? "mono" : undefined}>{peer.name}</span>
      {peer.namespace !== null && peer.namespace !== home && <span className="dim">{peer.namespace}</span>}
    </span>
  );
}
