import { Button, Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconArrowBackUp, IconDownload, IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { existingPolicies, judgement as judgementQuery } from "../api/queries.ts";
import { save } from "../components/download.ts";
import { type NetworkPlace, useView } from "../components/place.tsx";
import { Empty, Failure, Ready } from "../components/state.tsx";
import { type LineNote, Yaml } from "../components/yaml.tsx";
import type { Message } from "../domain/cluster.ts";
import { documentAt, joined, manifest, withPolicy } from "../domain/manifest.ts";
import type { ExistingPolicy, Policy } from "../domain/policy.ts";
import { useSaid, useTexts } from "../i18n/texts.tsx";
import { PolicyDiagram } from "./policy/diagram.tsx";
import { PolicyForm } from "./policy/form.tsx";
import { Verdict } from "./policy/verdict.tsx";

// No Kubernetes object has such names.
const NEW = "+";
const ALL = "*";

/** The policy editor tab: what policies of a namespace allow, and what another wording would do. */
export function EditorTab({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const { cluster, namespace } = place.scope;
  const query = useQuery(existingPolicies(cluster, namespace));
  const [wanted, setName] = useView(place, "policy");
  return (
    <Ready query={query}>
      {(existing) => {
        const [first] = existing;
        if (first === undefined && wanted !== NEW)
          return (
            <Empty title={t.editor.empty} text={t.editor.emptyText}>
              <Button leftSection={<IconPlus size={14} />} onClick={() => setName(NEW, "push")}>
                {t.editor.draft}
              </Button>
            </Empty>
          );
        const names = existing.map(({ policy }) => policy.name);
        const known = [NEW, ...(names.length > 1 ? [ALL] : []), ...names].find((one) => one === wanted);
        const name = known ?? first?.policy.name ?? NEW;
        const chosen = name === ALL ? existing : existing.filter(({ policy }) => policy.name === name);
        return (
          <Draft
            key={name}
            place={place}
            name={name}
            begin={name === NEW ? [blank(namespace)] : chosen}
            names={names}
            choose={(next) => setName(next, "push")}
          />
        );
      }}
    </Ready>
  );
}

function blank(namespace: string): ExistingPolicy {
  const policy: Policy = {
    line: 1,
    namespace,
    name: "new-policy",
    subject: { labels: {}, expressions: [] },
    selected: [],
    ingress: [],
    egress: null,
  };
  return { policy, yaml: manifest(policy), findings: [] };
}

/** A policy and which document of the text it is. */
interface Placed {
  readonly policy: Policy;
  readonly document: number;
}

/** Texts as documents of one, with the place of each policy. */
function together(existing: readonly ExistingPolicy[]): { text: string; placed: readonly Placed[] } {
  const text = joined(existing.map(({ yaml }) => yaml));
  return { text, placed: existing.map(({ policy }, document) => ({ policy, document })) };
}

interface DraftProps {
  readonly place: NetworkPlace;
  readonly name: string;
  readonly begin: readonly ExistingPolicy[];
  readonly names: readonly string[];
  readonly choose: (name: string) => void;
}

function Draft({ place, name, begin, names, choose }: DraftProps) {
  const t = useTexts();
  const { tell } = useSaid();
  const origin = useMemo(() => together(begin), [begin]);
  const [draft, setDraft] = useState<{ readonly text: string; readonly form: Placed | null } | null>(null);
  const [which, setWhich] = useState(0);
  const text = draft?.text ?? origin.text;
  const [asked] = useDebouncedValue(text, 350);
  const query = useQuery(judgementQuery(place.scope, asked));
  const current = asked === text && !query.isPlaceholderData;
  const judged = query.data;
  const readable = current && judged?.faults.length === 0 ? judged.policies : null;

  // The form follows the text as soon as the server has read it; what was done in the form shows at once.
  const [last, setLast] = useState(origin.placed);
  const read = useMemo(
    () => readable?.map((policy) => ({ policy, document: documentAt(text, policy.line) })) ?? null,
    [readable, text],
  );
  const edited = draft?.form ?? null;
  const placed = useMemo(() => {
    const list = read ?? last;
    return edited === null || read !== null
      ? list
      : list.map((one) => (one.document === edited.document ? edited : one));
  }, [edited, last, read]);
  if (read !== null && read !== last) setLast(read);
  const shown = placed[Math.min(which, placed.length - 1)];
  // A list is one document with several policies: the form would take the others out of it.
  const alone =
    shown !== undefined && placed.filter(({ document }) => document === shown.document).length === 1;

  const findings = judged?.findings ?? begin.flatMap((one) => one.findings);
  const notes = useMemo<readonly LineNote[]>(() => {
    const note = (message: Message): LineNote => {
      const { text, hint } = tell(message);
      return {
        line: message.line ?? 1,
        severity: message.severity === "note" ? "info" : message.severity,
        text: hint === null ? text : `${text} ${hint}`,
      };
    };
    return current ? [...(judged?.faults ?? []), ...findings].map(note) : [];
  }, [current, findings, judged, tell]);

  const edit = (document: number, policy: Policy) =>
    setDraft({ text: withPolicy(text, document, policy), form: { policy, document } });
  const options = [
    ...(name === NEW ? [{ value: NEW, label: t.editor.draft }] : []),
    ...names,
    ...(names.length > 1 ? [{ value: ALL, label: t.editor.allPolicies(names.length) }] : []),
  ];
  const file = name === ALL || shown === undefined ? place.scope.namespace : shown.policy.name;
  return (
    <div className="column fill">
      <div className="bar">
        <Select
          aria-label={t.editor.policies}
          data={options}
          value={name}
          allowDeselect={false}
          searchable
          onChange={(next) => next && choose(next)}
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
          onClick={() => save(`${file}.yaml`, new Blob([text], { type: "application/yaml" }))}
        >
          {t.editor.downloadYaml}
        </Button>
      </div>
      <div className="split">
        <div className="column grow">
          {placed.length > 1 && (
            <div className="bar wrap">
              <span className="dim">{t.editor.inText}</span>
              <div className="switch wrap" role="group" aria-label={t.editor.inText}>
                {placed.map((one, i) => (
                  <button
                    // Two policies of a text may have one name by mistake.
                    // oxlint-disable-next-line react/no-array-index-key
                    key={i}
                    type="button"
                    aria-pressed={one === shown}
                    onClick={() => setWhich(i)}
                  >
                    {one.policy.name}
                  </button>
                ))}
              </div>
            </div>
          )}
          {shown && <PolicyDiagram policy={shown.policy} />}
          <div className="halves">
            {/* It scrolls, so it takes the focus. */}
            {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
            <section className="half" aria-label={t.editor.form} tabIndex={0}>
              {shown === undefined && <p className="dim flat">{t.editor.noPolicy}</p>}
              {shown && !alone && <p className="dim flat">{t.editor.list}</p>}
              {shown && alone && (
                <PolicyForm
                  key={`${shown.document}`}
                  policy={shown.policy}
                  change={(policy) => edit(shown.document, policy)}
                />
              )}
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
