import { ActionIcon, Button, Checkbox, TagsInput, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { parseBlock } from "../../domain/net.ts";
import {
  parseLabels,
  type Policy,
  type PolicyPeer,
  type PolicyPort,
  type PolicyRule,
  type Selector,
  selectorText,
} from "../../domain/policy.ts";
import { useTexts } from "../../i18n/texts.tsx";
import { portText } from "./diagram.tsx";

const EVERYTHING: Selector = { labels: {}, expressions: [] };
const NEW_PEER: PolicyPeer = { type: "pods", namespaces: null, pods: EVERYTHING, matches: [] };

interface FormProps {
  readonly policy: Policy;
  readonly change: (policy: Policy) => void;
}

/** A policy as a form. */
export function PolicyForm({ policy, change }: FormProps) {
  const t = useTexts();
  return (
    <div className="stack">
      <TextInput
        label={t.common.name}
        value={policy.name}
        onChange={(event) => change({ ...policy, name: event.currentTarget.value })}
      />
      <SelectorInput
        label={t.editor.subject}
        placeholder={t.editor.allPods}
        selector={policy.subject}
        change={(subject) => change({ ...policy, subject })}
      />
      {(["ingress", "egress"] as const).map((direction) => (
        <Rules
          key={direction}
          title={t.common[direction]}
          rules={policy[direction]}
          change={(rules) => change({ ...policy, [direction]: rules })}
        />
      ))}
    </div>
  );
}

interface RulesProps {
  readonly title: string;
  readonly rules: readonly PolicyRule[] | null;
  readonly change: (rules: readonly PolicyRule[] | null) => void;
}

const replaced = <T,>(list: readonly T[], at: number, item: T) =>
  list.map((one, i) => (i === at ? item : one));
const without = <T,>(list: readonly T[], at: number) => list.filter((_, i) => i !== at);

function Rules({ title, rules, change }: RulesProps) {
  const t = useTexts();
  return (
    <fieldset className="rules">
      <legend>{title}</legend>
      <Checkbox
        label={t.editor.isolate}
        checked={rules !== null}
        onChange={(event) => change(event.currentTarget.checked ? [] : null)}
      />
      {rules?.length === 0 && <p className="dim small flat">{t.editor.nothing}</p>}
      {rules?.map((rule, i) => (
        // Rules have no names; their place is what tells them apart.
        // oxlint-disable-next-line react/no-array-index-key
        <div key={i} className="rule" role="group" aria-label={t.editor.rule(i + 1)}>
          <div className="row">
            <strong className="grow small">{t.editor.rule(i + 1)}</strong>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t.editor.removeRule}
              title={t.editor.removeRule}
              onClick={() => change(without(rules, i))}
            >
              <IconTrash size={14} />
            </ActionIcon>
          </div>
          <Peers peers={rule.peers} change={(peers) => change(replaced(rules, i, { ...rule, peers }))} />
          <PortsInput ports={rule.ports} change={(ports) => change(replaced(rules, i, { ...rule, ports }))} />
        </div>
      ))}
      {rules && (
        <Button
          variant="subtle"
          size="compact-xs"
          leftSection={<IconPlus size={13} />}
          onClick={() => change([...rules, { peers: [NEW_PEER], ports: null }])}
        >
          {t.editor.addRule}
        </Button>
      )}
    </fieldset>
  );
}

interface PeersProps {
  readonly peers: readonly PolicyPeer[] | null;
  readonly change: (peers: readonly PolicyPeer[] | null) => void;
}

/** Peers of a rule: either of them will do. */
function Peers({ peers, change }: PeersProps) {
  const t = useTexts();
  return (
    <>
      {peers === null && <p className="warn-text small flat">{t.editor.anyPeer}</p>}
      {peers?.map((peer, i) => (
        // oxlint-disable-next-line react/no-array-index-key
        <div key={i}>
          {i > 0 && (
            <div className="joint" title={t.editor.orText}>
              {t.editor.or} <span className="dim">{t.editor.orText}</span>
            </div>
          )}
          <div className="one-peer">
            <div className="grow">
              {peer.type === "ipBlock" ? (
                <BlockInput peer={peer} change={(next) => change(replaced(peers, i, next))} />
              ) : (
                <PodsInput peer={peer} change={(next) => change(replaced(peers, i, next))} />
              )}
            </div>
            {/* Without any peer the rule would be for everybody: that is asked for below. */}
            {peers.length > 1 && (
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label={t.editor.removePeer}
                title={t.editor.removePeer}
                onClick={() => change(without(peers, i))}
              >
                <IconTrash size={14} />
              </ActionIcon>
            )}
          </div>
        </div>
      ))}
      <div className="row">
        <Button
          variant="subtle"
          size="compact-xs"
          leftSection={<IconPlus size={13} />}
          onClick={() => change([...(peers ?? []), NEW_PEER])}
        >
          {t.editor.addPeer}
        </Button>
        <Button
          variant="subtle"
          size="compact-xs"
          leftSection={<IconPlus size={13} />}
          onClick={() => change([...(peers ?? []), { type: "ipBlock", cidr: "192.0.2.0/24", except: [] }])}
        >
          {t.editor.ipBlock}
        </Button>
        {peers && (
          <Button variant="subtle" size="compact-xs" onClick={() => change(null)}>
            {t.editor.anyPeer}
          </Button>
        )}
      </div>
    </>
  );
}

type PodsPeer = Extract<PolicyPeer, { type: "pods" }>;

/** Namespaces and pods of one peer: both must hold. */
function PodsInput({ peer, change }: { readonly peer: PodsPeer; readonly change: (peer: PodsPeer) => void }) {
  const t = useTexts();
  return (
    <div className="stack tight">
      <Checkbox
        label={t.editor.otherNamespaces}
        checked={peer.namespaces !== null}
        onChange={(event) => change({ ...peer, namespaces: event.currentTarget.checked ? EVERYTHING : null })}
      />
      {peer.namespaces && (
        <>
          <SelectorInput
            label={t.editor.namespaceSelector}
            placeholder={t.editor.allNamespaces}
            selector={peer.namespaces}
            change={(namespaces) => change({ ...peer, namespaces })}
          />
          <div className="joint and" title={t.editor.andText}>
            {t.editor.and} <span className="dim">{t.editor.andText}</span>
          </div>
        </>
      )}
      <SelectorInput
        label={t.editor.podSelector}
        placeholder={t.editor.allPods}
        selector={peer.pods}
        change={(pods) => change({ ...peer, pods })}
      />
    </div>
  );
}

type BlockPeer = Extract<PolicyPeer, { type: "ipBlock" }>;

function BlockInput({
  peer,
  change,
}: {
  readonly peer: BlockPeer;
  readonly change: (peer: BlockPeer) => void;
}) {
  const t = useTexts();
  return (
    <div className="stack tight">
      <TextInput
        label={t.editor.ipBlock}
        value={peer.cidr}
        error={parseBlock(peer.cidr) === null && t.addresses.cidrWrong}
        onChange={(event) => change({ ...peer, cidr: event.currentTarget.value })}
      />
      <TagsInput
        size="xs"
        label={t.addresses.except}
        value={[...peer.except]}
        onChange={(except) => change({ ...peer, except })}
        acceptValueOnBlur
      />
    </div>
  );
}

interface SelectorInputProps {
  readonly label: string;
  readonly placeholder: string;
  readonly selector: Selector;
  readonly change: (selector: Selector) => void;
}

/** Labels as `app=web, tier=front`. What is being typed stays as it is until it says something else. */
function SelectorInput({ label, placeholder, selector, change }: SelectorInputProps) {
  const t = useTexts();
  const [typed, setTyped] = useState<string | null>(null);
  const meaning = typed === null ? null : parseLabels(typed);
  const same =
    typed !== null && (meaning === null || JSON.stringify(meaning) === JSON.stringify(selector.labels));
  const fixed = selector.expressions.length > 0;
  return (
    <TextInput
      label={label}
      placeholder={placeholder}
      description={fixed ? t.editor.unsupported : undefined}
      readOnly={fixed}
      value={same ? typed : selectorText(selector)}
      error={typed !== null && meaning === null && t.editor.labelsExample}
      onChange={(event) => {
        const text = event.currentTarget.value;
        setTyped(text);
        const labels = parseLabels(text);
        if (labels !== null) change({ ...selector, labels });
      }}
      onBlur={() => setTyped(null)}
    />
  );
}

interface PortsInputProps {
  readonly ports: readonly PolicyPort[] | null;
  readonly change: (ports: readonly PolicyPort[] | null) => void;
}

/** Ports as `TCP/443`, `UDP/53`, `TCP/8000-8100`, `TCP/http`. */
function PortsInput({ ports, change }: PortsInputProps) {
  const t = useTexts();
  const [wrong, setWrong] = useState<string | null>(null);
  return (
    <TagsInput
      size="xs"
      label={t.common.ports}
      placeholder={ports === null ? t.editor.anyPort : undefined}
      value={ports?.map(portText) ?? []}
      error={wrong !== null && t.editor.portsWrong(wrong)}
      onChange={(texts) => {
        // What is no port must not become every port.
        const fault = texts.find((text) => parsePolicyPort(text) === null) ?? null;
        setWrong(fault);
        if (fault !== null) return;
        const next = texts.flatMap((text) => parsePolicyPort(text) ?? []);
        change(next.length > 0 ? next : null);
      }}
      acceptValueOnBlur
    />
  );
}

/** Reads {@link portText}'s text, and what people write for it; `null` for anything else. */
function parsePolicyPort(text: string): PolicyPort | null {
  const found =
    /^(?:(TCP|UDP|SCTP)\/?)?(?:(\d{1,5})(?:-(\d{1,5}))?|([a-z][a-z0-9-]*))?(?:\/(TCP|UDP|SCTP))?$/i.exec(
      text.trim(),
    );
  if (!found || text.trim() === "") return null;
  const [, before, port, endPort, name, after] = found;
  return {
    protocol: (before ?? after ?? "TCP").toUpperCase(),
    port: port === undefined ? null : Number(port),
    endPort: endPort === undefined ? null : Number(endPort),
    name: name ?? null,
  };
}
