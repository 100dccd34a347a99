import { Button, Checkbox, Group } from "@mantine/core";
import { useState } from "react";
import { NAME_LABEL, withoutLabels } from "../../domain/review.ts";
import { useFormat, useTexts } from "../../i18n/texts.tsx";
import { type PartProps, Section } from "./section.tsx";

/** By which of their labels policies select namespaces, and which namespaces that leaves out. */
export function Namespaces({ configuration, change, writable }: PartProps) {
  const t = useTexts();
  const format = useFormat();
  const { labels, found } = configuration;
  const [draft, setDraft] = useState<readonly string[] | null>(null);
  const chosen = draft ?? labels.namespace;
  const missing = withoutLabels(found.namespaceLabels, chosen);
  const toggle = (key: string, use: boolean) => {
    const others = chosen.filter((one) => one !== key);
    setDraft(use ? [...others, key].sort() : others);
  };
  return (
    <Section id="namespaces" title={t.config.namespaces} text={t.config.namespacesText(NAME_LABEL)}>
      <table className="plain">
        <thead>
          <tr>
            <th>{t.config.choice}</th>
            <th>{t.config.label}</th>
            <th className="right">{t.config.carriers}</th>
            <th>{t.config.missing}</th>
          </tr>
        </thead>
        <tbody>
          {found.namespaceLabels.map(({ key, namespaces, missing }) => (
            <tr key={key}>
              <td>
                <Checkbox
                  aria-label={t.config.selectBy(key)}
                  checked={chosen.includes(key)}
                  disabled={!writable}
                  onChange={(event) => toggle(key, event.currentTarget.checked)}
                />
              </td>
              <td className="mono">{key}</td>
              <td className="right">{format.number(namespaces)}</td>
              <td className="dim">{missing.join(", ")}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {missing.length > 0 && (
        <p className="flat warn-text" role="status">
          {t.config.unselectable(missing.join(", "))}
        </p>
      )}
      {draft && (
        <Group justify="flex-end">
          <Button variant="default" onClick={() => setDraft(null)}>
            {t.common.cancel}
          </Button>
          <Button
            onClick={() => {
              const words = t.config.namespacesDone(draft.join(", ") || NAME_LABEL);
              change({ op: "setLabels", labels: { ...labels, namespace: draft } }, words);
              setDraft(null);
            }}
          >
            {t.common.save}
          </Button>
        </Group>
      )}
    </Section>
  );
}
