import { Button, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { edges as edgesQuery, MOST_ROWS } from "../api/queries.ts";
import { at, go, type NetworkPlace, useView } from "../components/place.tsx";
import { Moment } from "../components/moment.tsx";
import { PeerName } from "../components/peer.tsx";
import { Empty, Ready } from "../components/state.tsx";
import { type Column, Table } from "../components/table.tsx";
import { Tick } from "../components/tick.tsx";
import {
  type Choice,
  type Direction,
  type Edge,
  formatSort,
  isOutside,
  matches,
  parseSort,
  portName,
  type SortKey,
  sorted,
} from "../domain/edge.ts";
import { useFormat, useSaid, useTexts } from "../i18n/texts.tsx";
import { AddressTable } from "./addresses.tsx";
import { EdgeDetail } from "./edge-detail.tsx";
import { GeneralRulePick } from "./general-rule.tsx";
import { OutOfTime } from "./out-of-time.tsx";
import { useReview } from "./review.tsx";

/** Whether an edge may be, as soon as somebody clicked. */
export function isAllowed(edge: Edge, pending: ReadonlyMap<string, Choice | "clear">): boolean {
  const choice = pending.get(edge.id);
  return choice === undefined || choice === "clear" ? edge.verdict === "allowed" : choice === "include";
}

/** The ingress or egress tab: who connects, with a decision for each row; and addresses that nothing explains. */
export function EdgesTab({
  place,
  direction,
}: {
  readonly place: NetworkPlace;
  readonly direction: Direction;
}) {
  const t = useTexts();
  const [part, setPart] = useView(place, "show");
  const outside = part === "addresses";
  const query = useQuery(edgesQuery(place.scope));
  return (
    <div className="column fill">
      <div className="bar">
        <div className="switch" role="group" aria-label={t.edges.title[direction]}>
          <button type="button" aria-pressed={!outside} onClick={() => setPart(null, "push")}>
            {t.edges.inCluster}
          </button>
          <button type="button" aria-pressed={outside} onClick={() => setPart("addresses", "push")}>
            {t.edges.unresolved}
          </button>
        </div>
        <div className="grow" />
        <GeneralRulePick scope={place.scope} direction={direction} />
      </div>
      {outside ? (
        <AddressTable place={place} direction={direction} />
      ) : (
        <Ready query={query}>
          {({ rows, total }) => <EdgeTable place={place} direction={direction} all={rows} total={total} />}
        </Ready>
      )}
    </div>
  );
}

interface EdgeTableProps {
  readonly place: NetworkPlace;
  readonly direction: Direction;
  readonly all: readonly Edge[];
  readonly total: number;
}

const keyOf = (edge: Edge) => edge.id;

function EdgeTable({ place, direction, all, total }: EdgeTableProps) {
  const t = useTexts();
  const format = useFormat();
  const { change, pending, writable } = useReview();
  const [search = "", setSearch] = useView(place, "search");
  const [sortText, setSort] = useView(place, "sort");
  const [opened = null, setOpened] = useView(place, "edge");
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const sort = useMemo(() => parseSort(sortText), [sortText]);
  const home = place.scope.namespace;

  const inside = useMemo(
    () => all.filter((edge) => edge.direction === direction && !isOutside(edge.peer)),
    [all, direction],
  );
  const ordered = useMemo(() => sorted(inside, sort), [inside, sort]);
  const rows = useMemo(() => ordered.filter((edge) => matches(edge, search)), [ordered, search]);
  // What is no longer there or in sight is not chosen any more.
  const chosen = useMemo(() => rows.filter(({ id }) => selected.has(id)), [rows, selected]);
  const chosenKeys = useMemo(() => new Set(chosen.map(keyOf)), [chosen]);

  const decide = useCallback(
    (edges: readonly Edge[], choice: Choice | "clear") => {
      const able = edges.filter(({ pattern }) => pattern !== null);
      const n = able.length;
      if (n === 0 || !writable) return;
      change({
        operations: [
          { op: "decide", choice, edges: able.flatMap(({ pattern }) => (pattern === null ? [] : [pattern])) },
        ],
        words:
          choice === "include"
            ? t.edges.allowed(n)
            : choice === "exclude"
              ? t.edges.forbade(n)
              : t.edges.cleared(n),
        decided: { ids: able.map(keyOf), choice },
      });
    },
    [change, t, writable],
  );
  const toggle = useCallback(
    (edges: readonly Edge[]) => {
      const every = edges.every((edge) => isAllowed(edge, pending));
      decide(edges, every ? "exclude" : "include");
    },
    [decide, pending],
  );

  const columns = useMemo<Column<Edge, SortKey | "allow" | "service" | "present">[]>(
    () => [
      {
        key: "allow",
        header: t.edges.allow,
        width: "56px",
        cell: (edge) => (
          <Tick
            label={`${t.edges.allow}: ${edge.peer.name} ${portName(edge)} ${edge.entity.name}`}
            checked={isAllowed(edge, pending)}
            mixed={edge.verdict === "unknown" && !pending.has(edge.id)}
            disabled={!writable || edge.pattern === null}
            toggle={() => toggle(chosenKeys.has(edge.id) ? chosen : [edge])}
          />
        ),
      },
      {
        key: "peer",
        header: t.edges.peer[direction],
        width: "minmax(150px, 2fr)",
        sortable: true,
        cell: (edge) => <PeerName peer={edge.peer} home={home} />,
      },
      {
        key: "entity",
        header: t.edges.entity,
        width: "minmax(110px, 1.4fr)",
        sortable: true,
        cell: (edge) => <PeerName peer={edge.entity} home={home} />,
      },
      {
        key: "port",
        header: t.common.port,
        width: "92px",
        sortable: true,
        cell: (edge) => <span className="mono">{portName(edge)}</span>,
      },
      {
        key: "service",
        header: t.kinds.Service ?? "Service",
        width: "minmax(90px, 1fr)",
        cell: (edge) => <span title={edge.services.join(", ")}>{edge.services.join(", ")}</span>,
      },
      {
        key: "connections",
        header: t.common.connections,
        width: "108px",
        align: "right",
        sortable: true,
        cell: (edge) => (
          <>
            {edge.denied > 0 && (
              <span className="badge bad" title={t.edges.denied(edge.denied)}>
                −{format.number(edge.denied)}
              </span>
            )}{" "}
            {format.number(edge.connections)}
          </>
        ),
      },
      {
        key: "firstSeen",
        header: t.common.firstSeen,
        width: "104px",
        sortable: true,
        cell: (edge) => <Moment at={edge.firstSeen} />,
      },
      {
        key: "lastSeen",
        header: t.common.lastSeen,
        width: "104px",
        sortable: true,
        cell: (edge) => <Moment at={edge.lastSeen} />,
      },
      {
        key: "verdict",
        header: t.edges.verdict,
        width: "minmax(150px, 2fr)",
        sortable: true,
        cell: (edge) => <VerdictBadge edge={edge} pending={pending.has(edge.id)} />,
      },
    ],
    [chosen, chosenKeys, direction, format, home, pending, t, toggle, writable],
  );

  // Beside the pane, and for one entity, there is less to tell apart.
  const shown = columns.filter(
    ({ key }) =>
      !(key === "entity" && place.scope.entity !== null) &&
      !((key === "service" || key === "firstSeen") && opened !== null),
  );
  const open = opened === null ? undefined : all.find(({ id }) => id === opened);
  return (
    <>
      <div className="bar">
        <TextInput
          aria-label={t.edges.search}
          placeholder={t.edges.search}
          leftSection={<IconSearch size={14} />}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value || null)}
          className="find"
        />
        {chosen.length > 0 ? (
          <>
            <span aria-live="polite">{t.common.selected(chosen.length)}</span>
            <Button variant="default" disabled={!writable} onClick={() => decide(chosen, "include")}>
              {t.edges.allowRows(chosen.length)}
            </Button>
            <Button variant="default" disabled={!writable} onClick={() => decide(chosen, "exclude")}>
              {t.edges.forbidRows(chosen.length)}
            </Button>
            <Button variant="subtle" disabled={!writable} onClick={() => decide(chosen, "clear")}>
              {t.edges.clearRows}
            </Button>
          </>
        ) : (
          <span className="dim small keys">{writable ? t.edges.keys : t.review.readOnly}</span>
        )}
        <div className="grow" />
        <span className="dim nowrap">
          {total > MOST_ROWS
            ? `${t.common.rows(rows.length)} / ${format.number(total)}`
            : t.common.rows(rows.length)}
        </span>
      </div>
      <div className="split">
        <Table
          label={t.edges.title[direction]}
          rows={rows}
          columns={shown}
          rowKey={keyOf}
          selected={chosenKeys}
          onSelect={setSelected}
          sort={sort}
          onSort={(key) => {
            const next = parseSort(key);
            setSort(
              formatSort({
                key: next.key,
                down: sort.key === next.key ? !sort.down : next.key === "connections",
              }),
            );
          }}
          onToggle={toggle}
          onOpen={(edge) => setOpened(edge.id === opened ? null : edge.id)}
          opened={opened}
          rowClass={(edge) => (isAllowed(edge, pending) ? "" : "forbidden")}
          empty={
            search === "" ? (
              <Empty title={t.edges.empty[direction]} text={t.edges.emptyText}>
                <OutOfTime place={place} />
              </Empty>
            ) : (
              <Empty title={t.edges.noMatch} />
            )
          }
        />
        {open && (
          <EdgeDetail
            scope={place.scope}
            edge={open}
            close={() => setOpened(null)}
            showRule={() => go(at(place, { tab: "policy", view: { edge: open.id } }))}
            decide={(choice) => decide([open], choice)}
            writable={writable && open.pattern !== null}
          />
        )}
      </div>
    </>
  );
}

/** What the review makes of an edge; the reason on pointing at it. */
export function VerdictBadge({ edge, pending }: { readonly edge: Edge; readonly pending: boolean }) {
  const t = useTexts();
  const { say } = useSaid();
  const tone = { allowed: "good", forbidden: "bad", unknown: "mute" }[edge.verdict];
  return (
    <span className="verdict" title={say("reason", edge.reason)}>
      <span className={`badge ${tone}${pending ? " pending" : ""}`}>{t.edges.verdicts[edge.verdict]}</span>
      <span className="dim">
        {edge.decision ? t.edges.decided[edge.decision] : say("reason", edge.reason)}
      </span>
    </span>
  );
}
