import { Button, Group, Textarea } from "@mantine/core";
import { useState } from "react";
import { parseBlock } from "../../domain/net.ts";
import { useTexts } from "../../i18n/texts.tsx";
import { entries, type PartProps, Section } from "./section.tsx";

/** The address space of the cluster: what was found, from where, and what people add. */
export function Cidrs({ configuration, change, writable }: PartProps) {
  const t = useTexts();
  const { cidrs, found } = configuration;
  const [pods, setPods] = useState(cidrs.pods.join("\n"));
  const [services, setServices] = useState(cidrs.services.join("\n"));
  const [processes, setProcesses] = useState(cidrs.processes.join("\n"));
  const draft = { pods: entries(pods), services: entries(services), processes: entries(processes) };
  const wrong = (list: readonly string[]) => list.find((one) => parseBlock(one) === null);
  const [wrongPods, wrongServices] = [wrong(draft.pods), wrong(draft.services)];
  const changed = JSON.stringify(draft) !== JSON.stringify(cidrs);
  const uses = { pods: t.config.podCidrs, services: t.config.serviceCidrs };
  return (
    <Section id="cidrs" title={t.config.cidrs} text={t.config.cidrsText}>
      {!found.complete && (
        <div className="banner warn boxed" role="status">
          <strong>{t.messages.titles["cluster-subnet-incomplete"]}</strong>
        </div>
      )}
      <table className="plain">
        <thead>
          <tr>
            <th>{t.config.found}</th>
            <th>{t.config.usedFor}</th>
            <th>{t.config.foundFrom}</th>
          </tr>
        </thead>
        <tbody>
          {found.ranges.map(({ cidr, use, source, origin }) => (
            <tr key={`${cidr} ${use} ${origin}`}>
              <td className="mono">{cidr}</td>
              <td>{uses[use]}</td>
              <td className="dim">{source === "configuration" ? t.config.byHand : origin}</td>
            </tr>
          ))}
          {found.ranges.length === 0 && (
            <tr>
              <td colSpan={3}>{t.config.noneFound}</td>
            </tr>
          )}
        </tbody>
      </table>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (wrongPods === undefined && wrongServices === undefined)
            change({ op: "setClusterCidrs", cidrs: draft }, t.config.cidrsDone);
        }}
      >
        <div className="thirds">
          <Textarea
            label={`${t.config.podCidrs} (${t.config.byHand})`}
            description={t.config.ranges}
            value={pods}
            autosize
            minRows={2}
            disabled={!writable}
            error={wrongPods !== undefined && t.config.wrongRange(wrongPods)}
            onChange={(event) => setPods(event.currentTarget.value)}
          />
          <Textarea
            label={`${t.config.serviceCidrs} (${t.config.byHand})`}
            description={t.config.ranges}
            value={services}
            autosize
            minRows={2}
            disabled={!writable}
            error={wrongServices !== undefined && t.config.wrongRange(wrongServices)}
            onChange={(event) => setServices(event.currentTarget.value)}
          />
          <Textarea
            label={t.config.processes}
            description={t.config.names}
            value={processes}
            autosize
            minRows={2}
            disabled={!writable}
            onChange={(event) => setProcesses(event.currentTarget.value)}
          />
        </div>
        <Group justify="flex-end">
          <Button
            type="submit"
            disabled={!writable || !changed || wrongPods !== undefined || wrongServices !== undefined}
          >
            {t.common.save}
          </Button>
        </Group>
      </form>
    </Section>
  );
}
