import { Button } from "@mantine/core";
import { IconArrowBackUp } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { configurationVersions } from "../../api/queries.ts";
import { Failure, Loading } from "../../components/state.tsx";
import { useFormat, useTexts } from "../../i18n/texts.tsx";
import type { PartProps } from "./section.tsx";

/** Who changed the configuration last, who before, and the way back. */
export function History({
  cluster,
  configuration: { version, who, at },
  writable,
  undo,
}: PartProps & { readonly undo: () => void }) {
  const t = useTexts();
  const format = useFormat();
  const [open, setOpen] = useState(false);
  return (
    <section className="card" aria-label={t.config.history}>
      <div className="row">
        <strong>{t.review.version(version)}</strong>
        <span className="dim grow">
          {who === null || at === null ? t.config.historyEmpty : `${who}, ${format.moment(at)}`}
        </span>
        <Button
          variant="default"
          leftSection={<IconArrowBackUp size={14} />}
          disabled={!writable || version === 0}
          onClick={undo}
        >
          {t.common.undo}
        </Button>
        <Button
          variant="subtle"
          aria-expanded={open}
          disabled={version === 0}
          onClick={() => setOpen((before) => !before)}
        >
          {t.config.history}
        </Button>
      </div>
      {open && <Versions cluster={cluster} />}
    </section>
  );
}

function Versions({ cluster }: { readonly cluster: string }) {
  const t = useTexts();
  const format = useFormat();
  const query = useQuery(configurationVersions(cluster));
  if (query.isError) return <Failure error={query.error} />;
  if (query.data === undefined) return <Loading />;
  return (
    <table className="plain">
      <thead>
        <tr>
          <th>{t.config.version}</th>
          <th>{t.config.who}</th>
          <th>{t.config.when}</th>
          <th>{t.config.what}</th>
        </tr>
      </thead>
      <tbody>
        {query.data.map(({ version, who, at, note }) => (
          <tr key={version}>
            <td>{format.number(version)}</td>
            <td>{who}</td>
            <td className="nowrap">{format.moment(at)}</td>
            <td>{note}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
