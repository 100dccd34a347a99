import { IconArrowRight, IconCircleCheck, IconCircleX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { Wire } from "../api/client.ts";
import { explanation } from "../api/queries.ts";
import { Failure, Loading } from "../components/state.tsx";
import type { Peer } from "../domain/edge.ts";
import type { Scope } from "../domain/place.ts";
import type { Lens } from "../domain/topology.ts";
import { useSaid, useTexts } from "../i18n/texts.tsx";

interface ExplanationProps {
  readonly scope: Scope;
  readonly link: {
    readonly source: Peer;
    readonly destination: Peer;
    readonly protocol: string;
    readonly port: number | null;
  };
  readonly lens: Lens;
}

/** The rules that decide a connection; of one that is denied, what comes nearest and what would allow it. */
export function Explanation({ scope, link, lens }: ExplanationProps) {
  const t = useTexts();
  const query = useQuery(explanation(scope, link));
  if (link.port === null) return null;
  if (query.isError) return <Failure error={query.error} />;
  if (query.data === undefined) return <Loading />;
  if (query.data === null) return null;
  const { connections } = lens === "now" ? query.data.now : query.data.after;
  return (
    <section aria-label={t.edges.decides}>
      <h3>{t.edges.decides}</h3>
      {connections.map((one) => (
        <div key={one.connection} className="explained">
          <div className="small dim">{one.connection}</div>
          <Side name={t.common.egress} side={one.egress} />
          <Side name={t.common.ingress} side={one.ingress} />
        </div>
      ))}
    </section>
  );
}

function Side({ name, side }: { readonly name: string; readonly side: Wire["ExplainedSide"] }) {
  const t = useTexts();
  const { say } = useSaid();
  const Icon = side.allowed ? IconCircleCheck : IconCircleX;
  return (
    <div className="side">
      <div className={side.allowed ? "good-text" : "bad-text"}>
        <Icon size={15} stroke={1.8} aria-hidden /> <strong>{name}</strong> {say("verdict", side.verdict)}
      </div>
      <ul className="lines">
        {side.because.map((rule) => (
          <li key={rule}>{rule}</li>
        ))}
      </ul>
      {(side.nearMisses ?? []).length > 0 && <h4>{t.edges.nearest}</h4>}
      <ul className="lines">
        {(side.nearMisses ?? []).map(({ rule, needs }) => (
          <li key={rule}>
            {rule}
            {needs.map((need) => (
              <div key={need.text} className="dim">
                {say("lack", need)}
              </div>
            ))}
          </li>
        ))}
      </ul>
      {(side.remedies ?? []).length > 0 && <h4>{t.edges.toAllow}</h4>}
      <ul className="lines">
        {(side.remedies ?? []).map(({ change, alsoOpens }) => (
          <li key={change.text}>
            <IconArrowRight size={13} aria-hidden /> {say("remedy", change)}{" "}
            <span className="dim">
              {alsoOpens.length === 0 ? t.edges.opensNothing : t.edges.alsoOpens(alsoOpens.join("; "))}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
