import { Button, Checkbox, Group, Modal, TagsInput, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconPlus, IconSearch, IconX } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useMemo, useState } from "react";
import { changeConfiguration } from "../api/changes.ts";
import { addresses as addressesQuery, configuration, me } from "../api/queries.ts";
import { type NetworkPlace, useView } from "../components/place.tsx";
import { Moment } from "../components/moment.tsx";
import { PeerName } from "../components/peer.tsx";
import { Empty, Ready } from "../components/state.tsx";
import { type Column, Table } from "../components/table.tsx";
import { Tick } from "../components/tick.tsx";
import { may } from "../domain/cluster.ts";
import {
  ADDRESS_FILTERS,
  type AddressRow,
  type Direction,
  passesFilter,
  peerName,
  portName,
} from "../domain/edge.ts";
import { formatPort, parseBlock, parsePort, type PortRange, single, strictlyInside } from "../domain/net.ts";
import { member, type Scope } from "../domain/place.ts";
import { type CidrRule, withAddresses } from "../domain/review.ts";
import { useFormat, useTexts } from "../i18n/texts.tsx";
import { OutOfTime } from "./out-of-time.tsx";
import { useReview } from "./review.tsx";

const keyOf = (row: AddressRow) => row.id;

/** Addresses that nothing explains: name them, allow them, or turn them into a range. */
export function AddressTable({
  place,
  direction,
}: {
  readonly place: NetworkPlace;
  readonly direction: Direction;
}) {
  const query = useQuery(addressesQuery(place.scope));
  return (
    <Ready query={query}>{({ rows }) => <Addresses place={place} direction={direction} all={rows} />}</Ready>
  );
}

interface AddressesProps {
  readonly place: NetworkPlace;
  readonly direction: Direction;
  readonly all: readonly AddressRow[];
}

function Addresses({ place, direction, all }: AddressesProps) {
  const t = useTexts();
  const format = useFormat();
  const { review, change, pending, writable } = useReview();
  const role = useQuery(me).data?.role;
  const admin = role !== undefined && may(role, "admin");
  const [search = "", setSearch] = useView(place, "search");
  const [filterText, setFilter] = useView(place, "class");
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [naming, setNaming] = useState<readonly AddressRow[] | null>(null);
  const [mask, setMask] = useState<Mask | null>(null);
  const filter = member(ADDRESS_FILTERS, filterText);
  const home = place.scope.namespace;

  const own = useMemo(() => all.filter((row) => row.direction === direction), [all, direction]);
  const rows = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return own.filter(
      (row) =>
        (filter === null || passesFilter(row, filter)) &&
        [row.address, row.alias ?? "", ...row.ports.map(portName), ...row.entities.map(peerName)].some(
          (field) => field.toLowerCase().includes(wanted),
        ),
    );
  }, [filter, own, search]);
  const chosen = rows.filter(({ id }) => selected.has(id));
  const allowed = (row: AddressRow) => {
    const choice = pending.get(row.id);
    return choice === undefined ? row.allowed === "all" : choice === "include";
  };
  const decide = (list: readonly AddressRow[], choice: "include" | "exclude") => {
    const edges = list.flatMap((row) => row.edges.map(({ pattern }) => pattern));
    if (edges.length === 0) return;
    change({
      operations: [{ op: "decide", edges, choice }],
      words: choice === "include" ? t.addresses.allowedDone(list.length) : t.edges.forbade(edges.length),
      decided: { ids: [...list.map(keyOf), ...list.flatMap((row) => row.edges.map(({ id }) => id))], choice },
    });
  };
  const toggle = (list: readonly AddressRow[]) => decide(list, list.every(allowed) ? "exclude" : "include");

  const columns: Column<AddressRow>[] = [
    {
      key: "allow",
      header: t.edges.allow,
      width: "56px",
      cell: (row) => (
        <Tick
          label={`${t.edges.allow}: ${row.address}`}
          checked={allowed(row)}
          mixed={row.allowed === "some" && !pending.has(row.id)}
          disabled={!writable || row.edges.length === 0}
          toggle={() => toggle(chosen.includes(row) ? chosen : [row])}
        />
      ),
    },
    {
      key: "address",
      header: t.addresses.address,
      width: "minmax(150px, 1.4fr)",
      cell: (row) => <span className="mono">{row.address}</span>,
    },
    {
      key: "class",
      header: t.addresses.state,
      width: "100px",
      cell: (row) => (
        <span className={`badge ${row.alias ? "good" : row.class === "unknown" ? "warn" : "mute"}`}>
          {row.alias ? t.addresses.classes.aliased : t.addresses.classes[row.class]}
        </span>
      ),
    },
    {
      key: "alias",
      header: t.addresses.alias,
      width: "minmax(110px, 1fr)",
      cell: (row) =>
        row.alias ?? (
          <Button
            variant="subtle"
            size="compact-xs"
            tabIndex={-1}
            disabled={!admin}
            title={admin ? undefined : t.addresses.adminsOnly}
            onClick={() => setNaming([row])}
          >
            {t.addresses.giveAlias}
          </Button>
        ),
    },
    {
      key: "entities",
      header: t.addresses.with,
      width: "minmax(120px, 1.4fr)",
      cell: (row) => row.entities.map((one) => <PeerName key={peerName(one)} peer={one} home={home} />),
    },
    {
      key: "ports",
      header: t.common.ports,
      width: "minmax(90px, 1fr)",
      cell: (row) => <span className="mono">{row.ports.map(portName).join(", ")}</span>,
    },
    {
      key: "connections",
      header: t.common.connections,
      width: "100px",
      align: "right",
      cell: (row) => format.number(row.connections),
    },
    {
      key: "lastSeen",
      header: t.common.lastSeen,
      width: "104px",
      cell: (row) => <Moment at={row.lastSeen} />,
    },
    {
      key: "cidr",
      header: "",
      width: "148px",
      cell: (row) => (
        <Button
          variant="subtle"
          size="compact-xs"
          tabIndex={-1}
          disabled={!writable}
          onClick={() => setMask(maskOf([row]))}
        >
          {t.addresses.toCidr}
        </Button>
      ),
    },
  ];

  const masks = review?.cidrRules.filter((rule) => rule.direction === direction) ?? [];
  return (
    <>
      <div className="bar">
        <TextInput
          aria-label={t.addresses.search}
          placeholder={t.addresses.search}
          leftSection={<IconSearch size={14} />}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value || null)}
          className="find"
        />
        <div className="switch" role="group" aria-label={t.addresses.state}>
          <button type="button" aria-pressed={filter === null} onClick={() => setFilter(null, "push")}>
            {t.addresses.all} <span className="dim">{own.length}</span>
          </button>
          {ADDRESS_FILTERS.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={filter === one}
              onClick={() => setFilter(one, "push")}
            >
              {t.addresses.classes[one]}{" "}
              <span className="dim">{own.filter((row) => passesFilter(row, one)).length}</span>
            </button>
          ))}
        </div>
        {chosen.length > 0 && (
          <>
            <span aria-live="polite">{t.common.selected(chosen.length)}</span>
            <Button variant="default" disabled={!writable} onClick={() => decide(chosen, "include")}>
              {t.addresses.allow}
            </Button>
            <Button variant="default" disabled={!writable} onClick={() => decide(chosen, "exclude")}>
              {t.addresses.disallow}
            </Button>
            <Button variant="default" disabled={!admin} onClick={() => setNaming(chosen)}>
              {t.addresses.giveAlias}
            </Button>
          </>
        )}
        <div className="grow" />
        <Button
          variant="default"
          leftSection={<IconPlus size={14} />}
          disabled={!writable}
          onClick={() => setMask({ cidr: "", ports: [] })}
        >
          {t.addresses.maskTitle[direction]}
        </Button>
      </div>
      {masks.length > 0 && (
        <div className="bar wrap" role="group" aria-label={t.addresses.masks}>
          <span className="dim">{t.addresses.masks}</span>
          {masks.map((rule) => (
            <MaskChip key={JSON.stringify(rule)} rule={rule} />
          ))}
        </div>
      )}
      <div className="split">
        <Table
          label={t.edges.unresolved}
          rows={rows}
          columns={columns}
          rowKey={keyOf}
          selected={selected}
          onSelect={setSelected}
          onToggle={toggle}
          rowClass={(row) => (allowed(row) ? "" : "forbidden")}
          empty={
            own.length === 0 ? (
              <Empty title={t.addresses.empty} text={t.addresses.emptyText}>
                <OutOfTime place={place} />
              </Empty>
            ) : (
              <Empty title={t.edges.noMatch} />
            )
          }
        />
      </div>
      {naming && <AliasDialog cluster={place.scope.cluster} rows={naming} close={() => setNaming(null)} />}
      {mask && (
        <MaskDialog scope={place.scope} direction={direction} begin={mask} close={() => setMask(null)} />
      )}
    </>
  );
}

function MaskChip({ rule }: { readonly rule: CidrRule }) {
  const t = useTexts();
  const { change, writable } = useReview();
  const ports = rule.ports.map(formatPort).join(", ");
  return (
    <span className="chip">
      <span className="mono">{rule.cidr}</span>
      {rule.except.length > 0 && <span className="dim">{`− ${rule.except.join(", ")}`}</span>}
      <span className="dim">{ports || t.editor.anyPort}</span>
      {rule.workload && <span className="dim">{rule.workload.name}</span>}
      <button
        type="button"
        className="icon"
        disabled={!writable}
        aria-label={`${t.common.remove} ${rule.cidr}`}
        onClick={() =>
          change({ operations: [{ op: "removeCidrRule", rule }], words: t.addresses.maskRemoved(rule.cidr) })
        }
      >
        <IconX size={12} />
      </button>
    </span>
  );
}

interface Mask {
  readonly cidr: string;
  readonly ports: readonly PortRange[];
}

/** A range for addresses, with the ports that they were seen on. */
function maskOf(rows: readonly AddressRow[]): Mask {
  const ports = rows.flatMap((row) =>
    row.ports.flatMap(({ protocol, port }) =>
      port === null ? [] : (parsePort(`${port}/${protocol}`) ?? []),
    ),
  );
  return { cidr: rows[0] ? single(rows[0].address) : "", ports };
}

interface MaskDialogProps {
  readonly scope: Scope;
  readonly direction: Direction;
  readonly begin: Mask;
  readonly close: () => void;
}

/** "Allow egress to IP mask": a range with ports and exceptions. */
function MaskDialog({ scope, direction, begin, close }: MaskDialogProps) {
  const t = useTexts();
  const { change } = useReview();
  const [cidr, setCidr] = useState(begin.cidr);
  const [except, setExcept] = useState<string[]>([]);
  const [ports, setPorts] = useState(begin.ports.map(formatPort));
  const block = parseBlock(cidr);
  const wrongExcept = except.find((text) => {
    const inner = parseBlock(text);
    return !inner || !block || !strictlyInside(inner, block);
  });
  const wrongPort = ports.find((text) => parsePort(text) === null);
  const right = block !== null && wrongExcept === undefined && wrongPort === undefined;
  const { namespace, kind, entity } = scope;
  const workload = kind && kind !== "Service" && entity ? { namespace, kind, name: entity } : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!right) return;
    const rule: CidrRule = {
      direction,
      workload,
      cidr: cidr.includes("/") ? cidr.trim() : single(cidr.trim()),
      except,
      ports: ports.flatMap((text) => parsePort(text) ?? []),
    };
    change({ operations: [{ op: "addCidrRule", rule }], words: t.addresses.maskDone(rule.cidr) });
    close();
  };
  return (
    <Modal
      opened
      onClose={close}
      title={t.addresses.maskTitle[direction]}
      closeButtonProps={{ "aria-label": t.common.close }}
    >
      <form className="stack" onSubmit={submit}>
        <p className="dim">{t.addresses.maskText}</p>
        <TextInput
          label={t.addresses.cidr}
          description={t.addresses.cidrExample}
          value={cidr}
          onChange={(event) => setCidr(event.currentTarget.value)}
          error={cidr !== "" && block === null && t.addresses.cidrWrong}
          data-autofocus
          required
        />
        <TagsInput
          size="xs"
          label={t.addresses.except}
          description={t.addresses.exceptExample}
          value={except}
          onChange={setExcept}
          error={wrongExcept !== undefined && t.addresses.exceptWrong(wrongExcept)}
          acceptValueOnBlur
        />
        <TagsInput
          size="xs"
          label={t.addresses.ports}
          description={t.addresses.portsExample}
          value={ports}
          onChange={setPorts}
          error={wrongPort !== undefined && t.addresses.portWrong(wrongPort)}
          acceptValueOnBlur
        />
        <p className="dim">
          {t.addresses.appliesTo}:{" "}
          {workload ? `${workload.kind} ${workload.name}` : t.addresses.wholeNamespace}
        </p>
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            {t.common.cancel}
          </Button>
          <Button type="submit" disabled={!right}>
            {t.addresses.allow}
          </Button>
        </Group>
      </form>
    </Modal>
  );
}

interface AliasDialogProps {
  readonly cluster: string;
  readonly rows: readonly AddressRow[];
  readonly close: () => void;
}

/** Gives addresses one name. */
function AliasDialog({ cluster, rows, close }: AliasDialogProps) {
  const t = useTexts();
  const client = useQueryClient();
  const query = configuration(cluster);
  const { data } = useQuery(query);
  const [name, setName] = useState("");
  const [allowed, setAllowed] = useState(true);
  const known = data?.aliases.find((alias) => alias.name === name.trim());
  const save = useMutation({
    mutationFn: async () => {
      const now = await client.ensureQueryData(query);
      const addresses = rows.map(({ address }) => address);
      const alias = withAddresses(now.aliases, name.trim(), addresses, allowed);
      const words = t.addresses.aliased(alias.name);
      return changeConfiguration(cluster, now.version, [{ op: "setAlias", alias }], words);
    },
    onSuccess: (saved) => {
      client.setQueryData(query.queryKey, saved);
      void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[1] === cluster });
      notifications.show({ color: "teal", message: t.addresses.aliased(name.trim()) });
      close();
    },
    onError: (error) => {
      void client.invalidateQueries({ queryKey: query.queryKey });
      notifications.show({ color: "red", title: t.fault.notSaved, message: error.message });
    },
  });
  const right = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name.trim());
  return (
    <Modal
      opened
      onClose={close}
      title={t.addresses.aliasTitle(rows.length)}
      closeButtonProps={{ "aria-label": t.common.close }}
    >
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (right) save.mutate();
        }}
      >
        <p className="dim">{t.addresses.aliasText}</p>
        <p className="mono small">{rows.map(({ address }) => address).join(", ")}</p>
        <TextInput
          label={t.addresses.aliasName}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          description={known && t.addresses.aliasExists}
          data-autofocus
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
          <Button type="submit" disabled={!right} loading={save.isPending}>
            {t.common.save}
          </Button>
        </Group>
      </form>
    </Modal>
  );
}
