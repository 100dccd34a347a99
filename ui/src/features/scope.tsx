import { Button, Menu, Modal, Select, TextInput } from "@mantine/core";
import { IconCheck, IconChevronDown, IconClock } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { clusters, entities, namespaces } from "../api/queries.ts";
import { at, go, type NetworkPlace } from "../components/place.tsx";
import { SyncBadge } from "../components/sync-badge.tsx";
import { ENTITY_KINDS, member, networkOf } from "../domain/place.ts";
import { PRESETS, type Span } from "../domain/span.ts";
import { useFormat, useTexts } from "../i18n/texts.tsx";

/** Chooses what is looked at: cluster, namespace, kind, entity, time. */
export function ScopeBar({
  cluster,
  place,
}: {
  readonly cluster: string;
  readonly place: NetworkPlace | null;
}) {
  const t = useTexts();
  const allClusters = useQuery(clusters).data;
  const allNamespaces = useQuery(namespaces(cluster)).data;
  const scope = place?.scope ?? null;
  const current = allClusters?.find(({ name }) => name === cluster);
  return (
    <div className="scope" role="group" aria-label={t.scope.label}>
      <Select
        aria-label={t.scope.cluster}
        data={withOwn(
          allClusters?.map(({ name }) => name),
          cluster,
        )}
        value={cluster}
        allowDeselect={false}
        searchable
        nothingFoundMessage={t.scope.nothingFound}
        onChange={(name) => name && go({ page: "cluster", cluster: name })}
        {...prefix(t.scope.cluster)}
        className="pick"
      />
      <Select
        aria-label={t.scope.namespace}
        placeholder={t.scope.chooseNamespace}
        data={withOwn(
          allNamespaces?.map(({ name }) => name),
          scope?.namespace,
        )}
        value={scope?.namespace ?? null}
        allowDeselect={false}
        searchable
        nothingFoundMessage={t.scope.nothingFound}
        onChange={(name) => {
          if (name === null) return;
          if (place === null) go(networkOf(cluster, name));
          else go(at(place, { scope: { namespace: name, entity: null }, view: {} }));
        }}
        {...prefix(t.scope.namespace)}
        className="pick wide"
      />
      {place && <EntityPick place={place} />}
      {place && <TimePick place={place} />}
      <div className="grow" />
      {current && <SyncBadge cluster={current} />}
    </div>
  );
}

const ruler = document.createElement("canvas").getContext("2d");

/** The name of a field inside of it, before its value. */
function prefix(text: string) {
  if (ruler) ruler.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const width = 18 + (ruler?.measureText(text).width ?? 7 * text.length);
  return {
    leftSection: (
      <span className="prefix" aria-hidden>
        {text}
      </span>
    ),
    leftSectionWidth: Math.ceil(width),
    leftSectionPointerEvents: "none" as const,
  };
}

/** What is in the URL can be chosen even when the server does not know it (any more). */
function withOwn(names: readonly string[] | undefined, own: string | null | undefined): string[] {
  const list = [...(names ?? [])];
  return own && !list.includes(own) ? [own, ...list] : list;
}

function EntityPick({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const { cluster, namespace, kind, entity } = place.scope;
  const all = useQuery(entities(cluster, namespace)).data;
  const count = (one: string) => all?.filter(({ peer }) => peer.kind === one).length ?? 0;
  const names = all?.filter(({ peer }) => peer.kind === kind).map(({ peer }) => peer.name);
  const kinds = ENTITY_KINDS.map((one) => ({
    value: one,
    label: all ? `${t.kinds[one] ?? one} (${count(one)})` : (t.kinds[one] ?? one),
    disabled: all !== undefined && count(one) === 0 && one !== kind,
  }));
  return (
    <>
      <Select
        aria-label={t.scope.kind}
        data={[{ value: "", label: t.scope.allKinds }, ...kinds]}
        value={kind ?? ""}
        allowDeselect={false}
        onChange={(value) => go(at(place, { scope: { kind: member(ENTITY_KINDS, value), entity: null } }))}
        {...prefix(t.scope.kind)}
        className="pick"
      />
      {kind !== null && (
        <Select
          aria-label={t.scope.entity}
          data={[{ value: "", label: t.scope.allEntities }, ...withOwn(names, entity)]}
          value={entity ?? ""}
          allowDeselect={false}
          searchable
          nothingFoundMessage={t.scope.nothingFound}
          onChange={(value) => go(at(place, { scope: { entity: value || null } }))}
          {...prefix(t.scope.entity)}
          className="pick wide"
        />
      )}
    </>
  );
}

function TimePick({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const format = useFormat();
  const { span } = place.scope;
  const [custom, setCustom] = useState(false);
  const observed = useQuery(clusters).data?.find(({ name }) => name === place.scope.cluster)?.observed;
  const choose = (next: Span) => go(at(place, { scope: { span: next } }));
  const label =
    span.type === "all"
      ? t.scope.allTime
      : span.type === "last"
        ? t.scope.last(span.hours)
        : `${format.moment(span.from)} – ${format.moment(span.until)}`;
  const begin = span.type === "range" ? span : { from: observed?.first, until: observed?.last };
  return (
    <>
      <Menu>
        <Menu.Target>
          <Button
            variant="default"
            leftSection={<IconClock size={14} stroke={1.6} />}
            rightSection={<IconChevronDown size={13} />}
            aria-label={`${t.scope.time}: ${label}`}
            className="time"
          >
            {label}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            onClick={() => choose({ type: "all" })}
            rightSection={span.type === "all" && <IconCheck size={14} />}
          >
            {t.scope.allTime}
          </Menu.Item>
          {PRESETS.map((hours) => (
            <Menu.Item
              key={hours}
              onClick={() => choose({ type: "last", hours })}
              rightSection={span.type === "last" && span.hours === hours && <IconCheck size={14} />}
            >
              {t.scope.last(hours)}
            </Menu.Item>
          ))}
          <Menu.Divider />
          <Menu.Item onClick={() => setCustom(true)}>{t.scope.custom}…</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {custom && (
        <Modal
          opened
          size="xs"
          onClose={() => setCustom(false)}
          title={t.scope.customTitle}
          closeButtonProps={{ "aria-label": t.common.close }}
        >
          <CustomRange
            from={begin.from}
            until={begin.until}
            apply={(from, until) => {
              setCustom(false);
              choose({ type: "range", from, until });
            }}
          />
        </Modal>
      )}
    </>
  );
}

/** `2026-05-11T09:30` in the time zone of the browser, as its date fields want it. */
function local(moment: number | undefined): string {
  if (moment === undefined) return "";
  const shifted = new Date(moment - new Date(moment).getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

interface RangeProps {
  readonly from: number | undefined;
  readonly until: number | undefined;
  readonly apply: (from: number, until: number) => void;
}

function CustomRange({ from, until, apply }: RangeProps) {
  const t = useTexts();
  const [text, setText] = useState({
    from: local(from),
    until: local(until === undefined ? until : until + 60_000),
  });
  const [a, b] = [Date.parse(text.from), Date.parse(text.until)];
  const wrong = a >= b;
  return (
    <form
      className="stack"
      aria-label={t.scope.customTitle}
      onSubmit={(event) => {
        event.preventDefault();
        if (a < b) apply(a, b);
      }}
    >
      <TextInput
        type="datetime-local"
        label={t.scope.from}
        value={text.from}
        required
        onChange={(event) => setText({ ...text, from: event.currentTarget.value })}
      />
      <TextInput
        type="datetime-local"
        label={t.scope.until}
        value={text.until}
        required
        error={wrong && t.scope.order}
        onChange={(event) => setText({ ...text, until: event.currentTarget.value })}
      />
      <Button type="submit" disabled={!(a < b)}>
        {t.scope.apply}
      </Button>
    </form>
  );
}
