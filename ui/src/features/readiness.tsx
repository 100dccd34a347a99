import { useQuery } from "@tanstack/react-query";
import { readiness as readinessQuery } from "../api/queries.ts";
import { at, Link, type NetworkPlace } from "../components/place.tsx";
import { PeerName } from "../components/peer.tsx";
import { Empty, Ready } from "../components/state.tsx";
import { level, SHORTEST_HOURS } from "../domain/cluster.ts";
import { peerName } from "../domain/edge.ts";
import { ENTITY_KINDS, member } from "../domain/place.ts";
import { useFormat, useSaid, useTexts } from "../i18n/texts.tsx";
import { OutOfTime } from "./out-of-time.tsx";

const TONES = { good: "good", fair: "warn", poor: "bad", none: "mute" } as const;

/** How complete the evidence is, so that nobody isolates a workload on one quiet afternoon's traffic. */
export function ReadinessTab({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const format = useFormat();
  const { say, tell } = useSaid();
  const query = useQuery(readinessQuery(place.scope));
  return (
    <Ready query={query}>
      {({ observed, hours, messages, workloads }) => (
        // It scrolls, so it takes the focus.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <div className="page scroll" tabIndex={0} role="region" aria-label={t.readiness.title}>
          <div className="row">
            <h2>{t.readiness.title}</h2>
            {observed && (
              <span className="dim">
                {t.readiness.window(format.moment(observed.first), format.moment(observed.last), hours)}
              </span>
            )}
          </div>
          {hours < SHORTEST_HOURS && (
            <div className="banner warn boxed" role="status">
              <span>
                <strong>{t.readiness.short}</strong> {t.readiness.shortText}
              </span>
            </div>
          )}
          {messages
            // The banner above says it already.
            .filter(({ code }) => code !== "window-short")
            .map((message) => {
              const { text, hint } = tell(message);
              return (
                <div key={message.code + message.text} className="banner warn boxed">
                  {text} {hint}
                </div>
              );
            })}
          {workloads.length === 0 ? (
            <Empty title={t.readiness.empty}>
              <OutOfTime place={place} />
            </Empty>
          ) : (
            <table className="plain">
              <thead>
                <tr>
                  <th>{t.readiness.workload}</th>
                  <th>{t.common.details}</th>
                  <th className="right">{t.common.connections}</th>
                  <th className="right">{t.readiness.edges}</th>
                  <th className="right">{t.readiness.once}</th>
                  <th className="right" title={t.readiness.unseenHelp}>
                    {t.readiness.unseen}
                  </th>
                  <th>{t.readiness.gaps}</th>
                </tr>
              </thead>
              <tbody>
                {workloads.map((one) => {
                  const grade = level(one);
                  const kind = member(ENTITY_KINDS, one.workload.kind);
                  const scope = kind ? { kind, entity: one.workload.name } : {};
                  return (
                    <tr key={peerName(one.workload)}>
                      <td>
                        <Link to={at(place, { tab: "ingress", scope })}>
                          <PeerName peer={one.workload} home={place.scope.namespace} />
                        </Link>
                      </td>
                      <td>
                        <span className={`badge ${TONES[grade]}`}>{t.readiness.levels[grade]}</span>
                      </td>
                      <td className="right">{format.number(one.connections)}</td>
                      <td className="right">{format.number(one.edges)}</td>
                      <td className="right">{format.number(one.edgesSeenOnce)}</td>
                      <td className="right">
                        {one.unseenProbability === null
                          ? t.readiness.none
                          : format.percent(one.unseenProbability)}
                      </td>
                      <td>
                        {one.gaps.length === 0 ? (
                          <span className="dim">{t.readiness.complete}</span>
                        ) : (
                          one.gaps.map((gap) => <div key={gap.text}>{say("gap", gap)}</div>)
                        )}
                      </td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          )}
        </div>
      )}
    </Ready>
  );
}
