import { Button, Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconAlertTriangle, IconArrowBackUp, IconDownload, IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { existingPolicies, judgement as judgementQuery } from "../api/queries.ts";
import { save } from "../components/download.ts";
import { type NetworkPlace, useView } from "../components/place.tsx";
import { PeerName } from "../components/peer.tsx";
import { Empty, Failure, Ready } from "../components/state.tsx";
import { type LineNote, Yaml } from "../components/yaml.tsx";
import type { Message } from "../domain/cluster.ts";
import { portName } from "../domain/edge.ts";
import {
  type ExistingPolicy,
  type Judgement,
  type JudgedRow,
  manifest,
  type Policy,
} from "../domain/policy.ts";
import { useFormat, useTexts } from "../i18n/texts.tsx";
import { PolicyDiagram } from "./policy/diagram.tsx";
import { PolicyForm } from "./policy/form.tsx";

/** The policy editor tab: what policies of a namespace allow, and what another wording would do. */
export function EditorTab({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const { cluster, namespace } = place.scope;
  const query = useQuery(existingPolicies(cluster, namespace));
  const [name, setName] = useView(place, "policy");
  return (
    <Ready query={query}>
      {(policies) => {
        const chosen =
          policies.find(({ policy }) => policy.name === name) ?? (name === NEW ? null : policies[0]);
        if (chosen === undefined)
          return (
            <Empty title={t.editor.empty} text={t.editor.emptyText}>
              <Button leftSection={<IconPlus size={14} />} onClick={() => setName(NEW, "push")}>
                {t.editor.draft}
              </Button>
            </Empty>
          );
        const begin = chosen ?? blank(namespace);
        return (
          <Draft
            key={chosen?.policy.name ?? NEW}
            place={place}
            begin={begin}
            names={policies.map(({ policy }) => policy.name)}
            isNew={chosen === null}
            choose={(next) => setName(next, "push")}
          />
        );
      }}
    </Ready>
  );
}

/** No Kubernetes object has such a name. */
const NEW = "+";

function blank(namespace: string): ExistingPolicy {
  const policy: Policy = {
    namespace,
    name: "new-policy",
    subject: { labels: {}, expressions: [] },
    selected: [],
    ingress: [],
    egress: null,
  };
  return { policy, yaml: manifest(policy), findings: [] };
}

interface DraftProps {
  readonly place: NetworkPlace;
  readonly begin: ExistingPolicy;
  readonly names: readonly string[];
  readonly isNew: boolean;
  readonly choose: (name: string) => void;
}

function Draft({ place, begin, names, isNew, choose }: DraftProps) {
  const t = useTexts();
  const [draft, setDraft] = useState<{ readonly text: string; readonly form: Policy | null } | null>(null);
  const text = draft?.text ?? begin.yaml;
  const [asked] = useDebouncedValue(text, 350);
  const query = useQuery(judgementQuery(place.scope, asked));
  const current = asked === text && !query.isPlaceholderData;
  const judged = query.data;
  // The form follows the text as soon as the server has read it; what was done in the form shows at once.
  const form = draft?.form ?? (current && judged?.faults.length === 0 ? judged.policies[0] : undefined);
  const [last, setLast] = useState(begin.policy);
  if (form !== undefined && form !== last) setLast(form);
  const policy = form ?? last;

  const findings = judged?.findings ?? begin.findings;
  const notes = useMemo<readonly LineNote[]>(() => {
    const note = ({ line, severity, text, hint }: Message): LineNote => ({
      line: line ?? 1,
      severity: severity === "note" ? "info" : severity,
      text: hint === null ? text : `${text} ${hint}`,
    });
    return current ? [...(judged?.faults ?? []), ...findings].map(note) : [];
  }, [current, findings, judged]);
  const edit = (next: Policy) => setDraft({ form: next, text: manifest(next) });

  return (
    <div className="column fill">
      <div className="bar">
        <Select
          aria-label={t.editor.policies}
          data={isNew ? [{ value: NEW, label: t.editor.draft }, ...names] : [...names]}
          value={isNew ? NEW : begin.policy.name}
          allowDeselect={false}
          searchable
          onChange={(name) => name && choose(name)}
          className="find"
        />
        <Button variant="default" leftSection={<IconPlus size={14} />} onClick={() => choose(NEW)}>
          {t.editor.draft}
        </Button>
        {draft && <span className="badge warn">{t.editor.changed}</span>}
        <div className="grow" />
        <Button
          variant="default"
          leftSection={<IconArrowBackUp size={14} />}
          disabled={draft === null}
          onClick={() => setDraft(null)}
        >
          {t.editor.revert}
        </Button>
        <Button
          leftSection={<IconDownload size={14} />}
          onClick={() => save(`${policy.name}.yaml`, new Blob([text], { type: "application/yaml" }))}
        >
          {t.editor.downloadYaml}
        </Button>
      </div>
      <div className="split">
        <div className="column grow">
          <PolicyDiagram policy={policy} />
          <div className="halves">
            {/* It scrolls, so it takes the focus. */}
            {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
            <section className="half" aria-label={t.editor.form} tabIndex={0}>
              <PolicyForm policy={policy} change={edit} />
            </section>
            <section className="half plain-text" aria-label={t.editor.yaml}>
              <Yaml
                label={t.editor.yaml}
                value={text}
                notes={notes}
                onChange={(next) => setDraft({ text: next, form: null })}
              />
            </section>
          </div>
        </div>
        <aside className="pane narrow" aria-label={t.editor.verdict}>
          {/* It scrolls, so it takes the focus. */}
          {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
          <div className="pane-body" tabIndex={0}>
            {query.isError ? (
              <Failure error={query.error} />
            ) : (
              <Verdict judged={judged} findings={findings} judging={!current || query.isFetching} />
            )}
          </div>
        </aside>
      </div>
    </div>
  );
}

interface VerdictProps {
  readonly judged: Judgement | undefined;
  readonly findings: readonly Message[];
  readonly judging: boolean;
}

/** What the text would do to what was recorded, and what is odd about it. */
function Verdict({ judged, findings, judging }: VerdictProps) {
  const t = useTexts();
  return (
    <div aria-live="polite" aria-busy={judging}>
      <h3 className="first">
        {t.editor.verdict} {judging && <span className="dim">{t.editor.judging}</span>}
      </h3>
      {judged?.faults.map((fault) => (
        <p key={`${fault.line} ${fault.text}`} className="bad-text flat">
          {fault.line !== null && `${t.editor.fault(fault.line)}: `}
          {fault.text}
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
          <li key={`${finding.code} ${finding.subject} ${finding.text}`}>
            <span className={finding.severity === "error" ? "bad-text" : "warn-text"}>
              <IconAlertTriangle size={13} aria-hidden /> {finding.text}
            </span>
            {finding.line !== null && <span className="dim"> {t.editor.fault(finding.line)}</span>}
            {finding.hint && <div className="dim">{finding.hint}</div>}
          </li>
        ))}
      </ul>
    </div>
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
