import { IconAlertTriangle } from "@tabler/icons-react";
import { PeerName } from "../../components/peer.tsx";
import type { Message } from "../../domain/cluster.ts";
import { portName } from "../../domain/edge.ts";
import type { Judgement, JudgedRow } from "../../domain/policy.ts";
import { useFormat, useSaid, useTexts } from "../../i18n/texts.tsx";

interface VerdictProps {
  readonly judged: Judgement | undefined;
  readonly findings: readonly Message[];
  readonly judging: boolean;
}

/** What the text would do to what was recorded, and what is odd about it. */
export function Verdict({ judged, findings, judging }: VerdictProps) {
  const { tell } = useSaid();
  const t = useTexts();
  return (
    <div aria-live="polite" aria-busy={judging}>
      <h3 className="first">
        {t.editor.verdict} {judging && <span className="dim">{t.editor.judging}</span>}
      </h3>
      {judged?.faults.map((fault) => (
        <p key={`${fault.line} ${fault.text}`} className="bad-text flat">
          {fault.line !== null && `${t.editor.fault(fault.line)}: `}
          {tell(fault).text}
        </p>
      ))}
      {judged && judged.faults.length === 0 && (
        <>
          {judged.cut.length + judged.opened.length === 0 && (
            <p className="flat good-text">{t.editor.noChange}</p>
          )}
          <Rows tone="bad" title={t.editor.cuts(judged.cut.length)} rows={judged.cut} />
          <Rows tone="opened" title={t.editor.opens(judged.opened.length)} rows={judged.opened} />
        </>
      )}
      <h3>{t.editor.lint}</h3>
      {findings.length === 0 && <p className="dim flat">{t.editor.lintNone}</p>}
      <ul className="lines">
        {findings.map((finding) => (
          <Finding key={`${finding.code} ${finding.subject} ${finding.text}`} finding={finding} />
        ))}
      </ul>
    </div>
  );
}

function Finding({ finding }: { readonly finding: Message }) {
  const t = useTexts();
  const { text, hint } = useSaid().tell(finding);
  return (
    <li>
      <span className={finding.severity === "error" ? "bad-text" : "warn-text"}>
        <IconAlertTriangle size={13} aria-hidden /> {text}
      </span>
      {finding.line !== null && <span className="dim"> {t.editor.fault(finding.line)}</span>}
      {hint && <div className="dim">{hint}</div>}
    </li>
  );
}

interface RowsProps {
  readonly tone: "bad" | "opened";
  readonly title: string;
  readonly rows: readonly JudgedRow[];
}

function Rows({ tone, title, rows }: RowsProps) {
  const format = useFormat();
  if (rows.length === 0) return null;
  return (
    <>
      <p className="flat">
        <span className={`badge ${tone}`}>{title}</span>
      </p>
      <ul className="lines">
        {rows.slice(0, 100).map((row) => (
          <li key={row.id}>
            <PeerName peer={row.source} /> → <PeerName peer={row.destination} />{" "}
            <span className="mono">{portName(row)}</span>{" "}
            <span className="dim">{format.number(row.connections)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}
