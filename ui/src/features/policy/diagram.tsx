import { IconArrowRight } from "@tabler/icons-react";
import type { Policy, PolicyPeer, PolicyPort, PolicyRule } from "../../domain/policy.ts";
import { selectorText } from "../../domain/policy.ts";
import { useTexts } from "../../i18n/texts.tsx";

const PLACES = ["thisNamespace", "cluster", "outside"] as const;
type PlaceOf = (typeof PLACES)[number];

function placeOf(peer: PolicyPeer): PlaceOf {
  if (peer.type === "ipBlock") return "outside";
  return peer.namespaces === null ? "thisNamespace" : "cluster";
}

/** What a policy allows: ingress left, its pods in the middle, egress right. */
export function PolicyDiagram({ policy }: { readonly policy: Policy }) {
  const t = useTexts();
  const who = policy.selected.map(({ name }) => name);
  return (
    // It scrolls, so it takes the focus.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <section className="diagram" aria-label={t.editor.diagram} tabIndex={0}>
      <Side title={t.common.ingress} rules={policy.ingress} />
      <IconArrowRight size={18} aria-hidden className="dim" />
      <div className="subject">
        <div className="small dim">{t.editor.subject}</div>
        <strong className="mono">{selectorText(policy.subject) || t.editor.allPods}</strong>
        {who.length > 0 && <div className="small">{who.join(", ")}</div>}
      </div>
      <IconArrowRight size={18} aria-hidden className="dim" />
      <Side title={t.common.egress} rules={policy.egress} />
    </section>
  );
}

function Side({ title, rules }: { readonly title: string; readonly rules: readonly PolicyRule[] | null }) {
  const t = useTexts();
  return (
    <div className="flow">
      <div className="small dim">{title}</div>
      {rules === null && <div className="warn-text small">{t.editor.notIsolated}</div>}
      {rules?.length === 0 && <div className="small">{t.editor.nothing}</div>}
      {rules?.map((rule, i) => (
        // Rules have no names; their place is what tells them apart.
        // oxlint-disable-next-line react/no-array-index-key
        <div key={i} className="flow-rule">
          {rule.peers === null ? (
            <span className="badge warn">{t.editor.everything}</span>
          ) : (
            PLACES.map((place) => {
              const peers = rule.peers?.filter((peer) => placeOf(peer) === place) ?? [];
              if (peers.length === 0) return null;
              return (
                <div key={place}>
                  <span
                    className={`badge ${place === "outside" ? "warn" : place === "cluster" ? "opened" : "good"}`}
                  >
                    {t.editor[place]}
                  </span>{" "}
                  <span className="mono">
                    {peers.map((peer) => peerText(peer, t.editor)).join(` ${t.editor.or} `)}
                  </span>
                </div>
              );
            })
          )}
          <span className="dim mono">
            {rule.ports === null ? t.editor.anyPort : rule.ports.map(portText).join(", ")}
          </span>
        </div>
      ))}
    </div>
  );
}

interface Words {
  readonly allPods: string;
  readonly allNamespaces: string;
  readonly and: string;
  readonly except: string;
}

function peerText(peer: PolicyPeer, words: Words): string {
  if (peer.type === "ipBlock")
    return peer.except.length > 0 ? `${peer.cidr} ${words.except} ${peer.except.join(", ")}` : peer.cidr;
  const pods = selectorText(peer.pods);
  if (peer.namespaces === null) return pods || words.allPods;
  const namespaces = selectorText(peer.namespaces) || words.allNamespaces;
  return pods ? `(${namespaces} ${words.and} ${pods})` : namespaces;
}

/** `TCP/443`, `TCP/8000-8100`, `TCP/http`. */
export function portText({ protocol, port, endPort, name }: PolicyPort): string {
  const number = name ?? (endPort === null ? port : `${port}-${endPort}`);
  return number === null ? protocol : `${protocol}/${number}`;
}
