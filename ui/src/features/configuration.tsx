import { Button, Checkbox, Group, Modal, SegmentedControl, Textarea, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconPlus, IconSearch } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { changeConfiguration } from "../api/changes.ts";
import { Fault } from "../api/client.ts";
import { configuration as configurationQuery, labelPreview, me } from "../api/queries.ts";
import { Ready } from "../components/state.tsx";
import { may } from "../domain/cluster.ts";
import { parseBlock } from "../domain/net.ts";
import {
  type Alias,
  type Configuration,
  type ConfigurationOperation,
  labelUse,
  type LabelChoice,
  withLabelUse,
} from "../domain/review.ts";
import { useTexts } from "../i18n/texts.tsx";
import { ScopeBar } from "./scope.tsx";

type Change = (operation: ConfigurationOperation) => void;

/** What holds for every namespace of a cluster; administrators change it. */
export function ConfigurationPage({ cluster }: { readonly cluster: string }) {
  const t = useTexts();
  const client = useQueryClient();
  const query = configurationQuery(cluster);
  const result = useQuery(query);
  const role = useQuery(me).data?.role;
  const writable = role !== undefined && may(role, "admin");
  const saving = useMutation({
    scope: { id: `configuration ${cluster}` },
    mutationFn: async (operation: ConfigurationOperation) => {
      const now = await client.ensureQueryData(query);
      return changeConfiguration(cluster, now.version, [operation]);
    },
    onSuccess: (saved) => {
      client.setQueryData(query.queryKey, saved);
      void client.invalidateQueries({
        predicate: ({ queryKey }) => queryKey[1] === cluster && queryKey[0] !== "configuration",
      });
      notifications.show({ color: "teal", message: t.config.saved });
    },
    onError: (error) => {
      const conflict = error instanceof Fault && error.status === 409;
      void client.invalidateQueries({ queryKey: query.queryKey });
      notifications.show({
        color: "red",
        title: t.fault.notSaved,
        message: conflict ? t.config.conflict : error.message,
      });
    },
  });
  const change: Change = (operation) => saving.mutate(operation);
  return (
    <>
      <ScopeBar cluster={cluster} place={null} />
      <div className="page wide">
        <h1>{t.config.title}</h1>
        <p className="dim">
          {t.config.text(cluster)} {role !== undefined && !writable && t.config.adminsOnly}
        </p>
        <Ready query={result}>
          {(configuration) => (
            <div className="sections">
              <Labels cluster={cluster} configuration={configuration} change={change} writable={writable} />
              <Aliases configuration={configuration} change={change} writable={writable} />
              <Cidrs
                key={configuration.version}
                configuration={configuration}
                change={change}
                writable={writable}
              />
            </div>
          )}
        </Ready>
      </div>
    </>
  );
}

interface SectionProps {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly children: ReactNode;
}

function Section({ id, title, text, children }: SectionProps) {
  return (
    <section className="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <p className="dim flat">{text}</p>
      {children}
    </section>
  );
}

interface PartProps {
  readonly configuration: Configuration;
  readonly change: Change;
  readonly writable: boolean;
}

/** Which labels go into selectors, and what that does to them. */
function Labels({ cluster, configuration, change, writable }: PartProps & { readonly cluster: string }) {
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
                change({ op: "setLabels", labels: draft });
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

/** What a choice of labels would do to the selectors of workloads. */
function Effect({ cluster, labels }: { readonly cluster: string; readonly labels: LabelChoice }) {
  const t = useTexts();
  const query = useQuery(labelPreview(cluster, labels));
  const changed = query.data?.filter(({ before, after, fault }) => before !== after || fault !== null) ?? [];
  return (
    <div className="effect" aria-live="polite">
      <h3 className="first">{t.config.preview}</h3>
      <p className="dim flat">{t.config.previewText(changed.length)}</p>
      <ul className="lines mono scrolled">
        {changed.map(({ workload, before, after, fault, collateral }) => (
          <li key={`${workload.namespace}/${workload.kind}/${workload.name}`}>
            {`${workload.namespace}/${workload.kind}/${workload.name}: `}
            <span className="dim">{before ?? t.common.none}</span> → {after ?? t.common.none}
            {fault && <div className="bad-text">{fault}</div>}
            {collateral.length > 0 && (
              <div className="warn-text">
                {t.config.collateral(
                  collateral.map((one) => `${one.namespace}/${one.kind}/${one.name}`).join(", "),
                )}
              </div>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Aliases({ configuration, change, writable }: PartProps) {
  const t = useTexts();
  const [edited, setEdited] = useState<Alias | null>(null);
  return (
    <Section id="aliases" title={t.config.aliases} text={t.config.aliasesText}>
      {configuration.aliases.length === 0 ? (
        <p className="flat">{t.config.noAliases}</p>
      ) : (
        <table className="plain">
          <thead>
            <tr>
              <th>{t.common.name}</th>
              <th>{t.common.addresses}</th>
              <th>{t.addresses.allowed}</th>
              <th aria-label={t.common.details} />
            </tr>
          </thead>
          <tbody>
            {configuration.aliases.map((alias) => (
              <tr key={alias.name}>
                <td>{alias.name}</td>
                <td className="mono">{alias.addresses.join(", ")}</td>
                <td>
                  <Checkbox
                    aria-label={`${t.addresses.allowed}: ${alias.name}`}
                    checked={alias.allowed}
                    disabled={!writable}
                    onChange={(event) =>
                      change({ op: "setAlias", alias: { ...alias, allowed: event.currentTarget.checked } })
                    }
                  />
                </td>
                <td className="right nowrap">
                  <Button
                    variant="subtle"
                    size="compact-xs"
                    disabled={!writable}
                    onClick={() => setEdited(alias)}
                  >
                    {t.config.editAlias}
                  </Button>
                  <Button
                    variant="subtle"
                    size="compact-xs"
                    disabled={!writable}
                    onClick={() => change({ op: "removeAlias", name: alias.name })}
                  >
                    {t.common.remove}
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <div>
        <Button
          variant="default"
          leftSection={<IconPlus size={14} />}
          disabled={!writable}
          onClick={() => setEdited({ name: "", addresses: [], allowed: true })}
        >
          {t.config.addAlias}
        </Button>
      </div>
      {edited && (
        <AliasDialog
          alias={edited}
          close={() => setEdited(null)}
          save={(alias) => {
            change({ op: "setAlias", alias });
            setEdited(null);
          }}
        />
      )}
    </Section>
  );
}

interface AliasDialogProps {
  readonly alias: Alias;
  readonly close: () => void;
  readonly save: (alias: Alias) => void;
}

const lines = (text: string) => text.split(/[\s,]+/).filter(Boolean);

function AliasDialog({ alias, close, save }: AliasDialogProps) {
  const t = useTexts();
  const [name, setName] = useState(alias.name);
  const [text, setText] = useState(alias.addresses.join("\n"));
  const [allowed, setAllowed] = useState(alias.allowed);
  const addresses = lines(text);
  const wrong = addresses.find((one) => parseBlock(one) === null);
  const right = name.trim() !== "" && addresses.length > 0 && wrong === undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (right) save({ name: name.trim(), addresses, allowed });
  };
  return (
    <Modal
      opened
      onClose={close}
      title={alias.name === "" ? t.config.addAlias : alias.name}
      closeButtonProps={{ "aria-label": t.common.close }}
    >
      <form className="stack" onSubmit={submit}>
        <TextInput
          label={t.addresses.aliasName}
          value={name}
          readOnly={alias.name !== ""}
          onChange={(event) => setName(event.currentTarget.value)}
          data-autofocus={alias.name === "" ? true : undefined}
          required
        />
        <Textarea
          label={t.config.aliasAddresses}
          value={text}
          minRows={4}
          autosize
          error={wrong !== undefined && t.config.wrongRange(wrong)}
          onChange={(event) => setText(event.currentTarget.value)}
          required
        />
        <Checkbox
          label={t.addresses.aliasAllowed}
          checked={allowed}
          onChange={(event) => setAllowed(event.currentTarget.checked)}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            {t.common.cancel}
          </Button>
          <Button type="submit" disabled={!right}>
            {t.common.save}
          </Button>
        </Group>
      </form>
    </Modal>
  );
}

/** The address space of the cluster: what was found, from where, and what people add. */
function Cidrs({ configuration, change, writable }: PartProps) {
  const t = useTexts();
  const { cidrs, found } = configuration;
  const [pods, setPods] = useState(cidrs.pods.join("\n"));
  const [services, setServices] = useState(cidrs.services.join("\n"));
  const [processes, setProcesses] = useState(cidrs.processes.join("\n"));
  const draft = { pods: lines(pods), services: lines(services), processes: lines(processes) };
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
            change({ op: "setClusterCidrs", cidrs: draft });
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
