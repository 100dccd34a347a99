import type { Cluster } from "../domain/cluster.ts";
import { useTexts } from "../i18n/texts.tsx";

/** How fresh what is known of a cluster is. */
export function SyncBadge({ cluster }: { readonly cluster: Cluster }) {
  const t = useTexts();
  const tone = { synced: "good", files: "mute", syncing: "mute", partial: "warn", stale: "bad" }[
    cluster.state
  ];
  return (
    <span className={`badge ${tone}`} title={cluster.faults.join("\n")}>
      {t.home.states[cluster.state] ?? cluster.state}
    </span>
  );
}
