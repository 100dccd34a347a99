import { Button, Group, SegmentedControl, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { labelPreview } from "../../api/queries.ts";
import { Failure } from "../../components/state.tsx";
import { labelUse, type LabelChoice, type SelectorPreview, withLabelUse } from "../../domain/review.ts";
import { useTexts } from "../../i18n/texts.tsx";
import { type PartProps, Section } from "./section.tsx";

/** Which labels go into selectors, and what that does to them. */
export function Labels({ cluster, configuration, change, writable }: PartProps) {
  const t = useTexts();
  const [search, setSearch] = useState("");
  const [draft, setDraft] = useState<LabelChoice | null>(null);
  const { labels, found } = configuration;
  const choice = draft ?? labels;
  const shown = found.labels.filter(({ key }) => key.includes(search.trim()));
  return (
    <Section id="labels" title={t.config.labels} text={t.config.labelsText}>
      <TextInput
        aria-label={t.config.labelFilter}
        placeholder={t.config.labelFilter}
        leftSection={<IconSearch size={14} />}
        value={search}
        onChange={(event) => setSearch(event.currentTarget.value)}
      />
      <table className="plain">
        <thead>
          <tr>
            <th>{t.config.label}</th>
            <th>{t.config.values}</th>
            <th className="right">{t.config.usedBy}</th>
            <th className="right">{t.config.inSelectors}</th>
            <th>{t.config.choice}</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ key, examples, values, workloads, selectors, volatile }) => (
            <tr key={key}>
              <td className="mono">{key}</td>
              <td className="dim">
                {examples.join(", ")}
                {values > examples.length && examples.length > 0 && " …"}
              </td>
              <td className="right">{workloads}</td>
              <td className="right">{selectors}</td>
              <td>
                {volatile ? (
                  <span className="dim">{t.config.volatile}</span>
                ) : (
                  <SegmentedControl
                    aria-label={`${t.config.choice}: ${key}`}
                    disabled={!writable}
                    value={labelUse(choice, key)}
                    onChange={(use) =>
                      setDraft(
                        withLabelUse(choice, key, use === "include" || use === "exclude" ? use : "auto"),
                      )
                    }
                    data={(["auto", "include", "exclude"] as const).map((use) => ({
                      value: use,
                      label: t.config.choices[use],
                    }))}
                  />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {draft && (
        <>
          <Effect cluster={cluster} labels={draft} />
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setDraft(null)}>
              {t.common.cancel}
            </Button>
            <Button
              onClick={() => {
                change({ op: "setLabels", labels: draft }, t.config.labelsDone);
                setDraft(null);
              }}
            >
              {t.common.save}
            </Button>
          </Group>
        </>
      )}
    </Section>
  );
}

/** What a choice of labels would do to the selectors of workloads, by namespace. */
function Effect({ cluster, labels }: { readonly cluster: string; readonly labels: LabelChoice }) {
  const t = useTexts();
  const query = useQuery(labelPreview(cluster, labels));
  if (query.isError) return <Failure error={query.error} />;
  const changed = query.data?.filter(({ before, after, fault }) => before !== after || fault !== null) ?? [];
  const homes = [...new Set(changed.map(({ workload }) => workload.namespace))].sort();
  return (
    <div className="effect" aria-live="polite" aria-busy={query.isFetching}>
      <h3 className="first">{t.config.preview}</h3>
      <p className="dim flat">{t.config.previewText(changed.length)}</p>
      <div className="scrolled">
        {homes.map((home) => (
          <details key={home} open>
            <summary>{home}</summary>
            <ul className="lines mono">
              {changed
                .filter(({ workload }) => workload.namespace === home)
                .map((one) => (
                  <ChangedSelector key={`${one.workload.kind}/${one.workload.name}`} preview={one} />
                ))}
            </ul>
          </details>
        ))}
      </div>
    </div>
  );
}

function ChangedSelector({ preview }: { readonly preview: SelectorPreview }) {
  const t = useTexts();
  const { workload, before, after, fault, collateral } = preview;
  const names = collateral.map((one) => `${one.namespace}/${one.kind}/${one.name}`).join(", ");
  return (
    <li>
      {`${workload.kind}/${workload.name}: `}
      <span className="dim">{before ?? t.common.none}</span> → {after ?? t.common.none}
      {fault && <div className="bad-text">{fault}</div>}
      {names && <div className="warn-text">{t.config.collateral(names)}</div>}
    </li>
  );
}
