import { Button, Menu } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import {
  IconCheck,
  IconChevronDown,
  IconCopy,
  IconDownload,
  IconFileText,
  IconShieldCheck,
  IconShieldX,
} from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { downloadUrl, edges as edgesQuery, generated as generatedQuery } from "../api/queries.ts";
import { save } from "../components/download.ts";
import { at, go, type NetworkPlace, useView } from "../components/place.tsx";
import { PeerName } from "../components/peer.tsx";
import { Empty, Ready } from "../components/state.tsx";
import { Yaml } from "../components/yaml.tsx";
import { portName } from "../domain/edge.ts";
import { member } from "../domain/place.ts";
import {
  type Certificate,
  type Generated,
  type GeneratedRule,
  type JudgedEdge,
  type PolicyFile,
  ruleAt,
  ruleLines,
  rulesOf,
  slackByCause,
} from "../domain/policy.ts";
import { useFormat, useSaid, useTexts } from "../i18n/texts.tsx";

/** The generated policy tab: what the review comes out as, and the proof of it. */
export function GeneratedTab({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const query = useQuery(generatedQuery(place.scope));
  return (
    <Ready query={query}>
      {(generated) =>
        generated.files.length === 0 ? (
          <Empty title={t.policy.empty} text={t.policy.emptyText} />
        ) : (
          <Policies place={place} generated={generated} fresh={!query.isFetching} />
        )
      }
    </Ready>
  );
}

const PARTS = ["certificate", "difference", "apply", "evidence"] as const;

interface PoliciesProps {
  readonly place: NetworkPlace;
  readonly generated: Generated;
  readonly fresh: boolean;
}

function Policies({ place, generated, fresh }: PoliciesProps) {
  const t = useTexts();
  const { files, certificate } = generated;
  const [path, setPath] = useView(place, "file");
  const [ruleText, setRule] = useView(place, "rule");
  const [edge, setEdge] = useView(place, "edge");
  const [partText, setPart] = useView(place, "part");
  const [diff, setDiff] = useView(place, "diff");
  const clipboard = useClipboard({ timeout: 1500 });

  // Who comes from an edge sees the rules that it is the evidence of.
  const [first] = edge === undefined ? [] : rulesOf(files, edge);
  const file = files.find((one) => one.path === path) ?? first?.file ?? files[0];
  const rule =
    file?.rules.find((one) => keyOf(one) === ruleText) ??
    (first && first.file === file ? first.rule : undefined);
  const part = member(PARTS, partText) ?? (rule ? "evidence" : "certificate");
  const marked = useMemo(() => (file && rule ? ruleLines(file, rule) : []), [file, rule]);
  const missing = edge !== undefined && first === undefined;
  useEffect(() => {
    if (missing && fresh) setEdge(null);
  }, [fresh, missing, setEdge]);
  if (file === undefined) return null;

  const choose = (next: PolicyFile) => {
    setEdge(null);
    setRule(null);
    setPath(next.path, "push");
  };
  const line = (number: number) => {
    if (diff !== undefined) return;
    const found = ruleAt(file, number);
    if (found === null || found === rule) return;
    setPath(file.path);
    setEdge(null);
    setRule(keyOf(found));
    setPart("evidence");
  };
  return (
    <div className="column fill">
      <div className="bar">
        <span className={`badge big ${certificate.proven ? "good" : "bad"}`}>
          {certificate.proven ? <IconShieldCheck size={15} /> : <IconShieldX size={15} />}
          {certificate.proven ? t.policy.proven : t.policy.failed}
        </span>
        <span className="dim small" aria-live="polite">
          {fresh
            ? `${t.policy.kept(certificate.kept.length)} · ${t.policy.cut(certificate.cut.length)}`
            : t.policy.updating}
        </span>
        <div className="grow" />
        <div className="switch" role="group" aria-label={t.policy.textDiff}>
          <button type="button" aria-pressed={diff === undefined} onClick={() => setDiff(null, "push")}>
            {t.policy.showYaml}
          </button>
          <button type="button" aria-pressed={diff !== undefined} onClick={() => setDiff("1", "push")}>
            {t.policy.showDiff}
          </button>
        </div>
        <Button
          variant="default"
          leftSection={clipboard.copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
          onClick={() => clipboard.copy(file.yaml)}
        >
          {clipboard.copied ? t.common.copied : t.policy.copy}
        </Button>
        <Menu position="bottom-end">
          <Menu.Target>
            <Button leftSection={<IconDownload size={14} />} rightSection={<IconChevronDown size={13} />}>
              {t.policy.download}
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item
              onClick={() => save(`${file.name}.yaml`, new Blob([file.yaml], { type: "application/yaml" }))}
            >
              {t.policy.downloadOne}
            </Menu.Item>
            <Menu.Item
              component="a"
              href={downloadUrl(place.scope, "yaml")}
              download={`${place.scope.namespace}.yaml`}
            >
              {t.policy.downloadStream}
            </Menu.Item>
            <Menu.Item
              component="a"
              href={downloadUrl(place.scope, "zip")}
              download={`${place.scope.namespace}.zip`}
            >
              {t.policy.downloadAll}
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </div>
      <div className="split">
        <nav className="files" aria-label={t.policy.files}>
          <ul>
            {files.map((one) => (
              <li key={one.path}>
                <button
                  type="button"
                  aria-current={one === file}
                  onClick={() => choose(one)}
                  title={one.path}
                >
                  <IconFileText size={14} stroke={1.6} aria-hidden />
                  <span className="grow ellipsis">{one.name.replace(/^ringfence-/, "")}</span>
                  {one.state !== "same" && (
                    <span className={`badge ${one.state === "new" ? "good" : "warn"}`}>
                      {t.policy.fileStates[one.state]}
                    </span>
                  )}
                </button>
              </li>
            ))}
          </ul>
        </nav>
        <div className="text">
          <Yaml
            key={`${file.path} ${diff ?? ""}`}
            label={file.path}
            value={file.yaml}
            marked={marked}
            onLine={line}
            against={diff === undefined ? null : (file.currentYaml ?? "")}
          />
        </div>
        <aside className="pane" aria-label={t.policy.certificate}>
          <div className="pane-tabs" role="group" aria-label={t.common.details}>
            {PARTS.map((one) => (
              <button key={one} type="button" aria-pressed={one === part} onClick={() => setPart(one)}>
                {t.policy[one]}
              </button>
            ))}
          </div>
          {/* It scrolls, so it takes the focus. */}
          {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
          <div className="pane-body" tabIndex={0}>
            {part === "certificate" && <Proof certificate={certificate} />}
            {part === "difference" && <Difference generated={generated} />}
            {part === "apply" && <Apply place={place} certificate={certificate} />}
            {part === "evidence" && <Evidence place={place} file={file} rule={rule ?? null} />}
          </div>
        </aside>
      </div>
    </div>
  );
}

const keyOf = (rule: GeneratedRule) => `${rule.direction}-${rule.index}`;

/** The certificate in plain words. */
function Proof({ certificate }: { readonly certificate: Certificate }) {
  const t = useTexts();
  const { say, tell } = useSaid();
  const format = useFormat();
  const { proven, window, checks, failures, kept, cut, unknown, slack, assumptions, messages } = certificate;
  return (
    <>
      <p className="flat">{proven ? t.policy.provenText : t.policy.failedText}</p>
      {failures.map((failure) => (
        <div key={`${failure.check} ${failure.subject}`} className="failure">
          <div className="small">{t.policy.checks[failure.check] ?? failure.check}</div>
          <strong>{failure.subject}</strong>
          <div>{say("flaw", failure.message)}</div>
          {failure.connection && (
            <div>
              {t.policy.counterExample}: <code>{failure.connection}</code>
            </div>
          )}
          {failure.atFault.length > 0 && (
            <div>
              {t.policy.atFault}: {failure.atFault.join("; ")}
            </div>
          )}
        </div>
      ))}
      <ul className="ticks">
        <li>{t.policy.judged(checks.connections)}</li>
        <li>{t.policy.needed(checks.neededItems)}</li>
        {window && (
          <li>{t.policy.window(format.moment(window.first), format.moment(window.last), window.hours)}</li>
        )}
      </ul>
      <EdgeFold title={t.policy.kept(kept.length)} list={kept} />
      <EdgeFold title={t.policy.cut(cut.length)} list={cut} open />
      {unknown.length > 0 && <EdgeFold title={t.policy.unknown(unknown.length)} list={unknown} />}
      <details>
        <summary>{t.policy.slack(slack.length)}</summary>
        {slackByCause(slack).map(([cause, list]) => (
          <div key={cause}>
            <h4>
              {t.policy.slackCauses[cause] ?? cause} <span className="dim">{list.length}</span>
            </h4>
            <ul className="lines">
              {list.slice(0, 100).map((one) => (
                <li key={`${one.source} ${one.destination} ${one.ports} ${one.direction}`}>
                  {one.source} → {one.destination} <span className="dim">{one.ports}</span>
                </li>
              ))}
            </ul>
          </div>
        ))}
      </details>
      {assumptions.length > 0 && (
        <details>
          <summary>{t.policy.assumptions}</summary>
          <ul className="lines">
            {assumptions.map((one) => (
              <li key={one.code}>{say("assumption", one)}</li>
            ))}
          </ul>
        </details>
      )}
      {messages.length > 0 && (
        <details>
          <summary>
            {t.policy.messages} <span className="dim">{messages.length}</span>
          </summary>
          <ul className="lines">
            {messages.map((message) => {
              const { text, hint } = tell(message);
              return (
                <li key={`${message.code} ${message.subject} ${message.text}`}>
                  {message.subject && <strong>{message.subject}: </strong>}
                  {text}
                  {hint && <div className="dim">{hint}</div>}
                </li>
              );
            })}
          </ul>
        </details>
      )}
    </>
  );
}

interface EdgeFoldProps {
  readonly title: string;
  readonly list: readonly JudgedEdge[];
  readonly open?: boolean;
}

function EdgeFold({ title, list, open = false }: EdgeFoldProps) {
  const { say } = useSaid();
  return (
    <details open={open && list.length > 0}>
      <summary>{title}</summary>
      <ul className="lines">
        {list.slice(0, 200).map((one) => (
          <li key={`${one.source} ${one.destination} ${one.port}`}>
            {one.source} → {one.destination} <span className="mono">{one.port}</span>
            <div className="dim">{say("reason", one.reason)}</div>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** What changes when the policies are applied. */
function Difference({ generated }: { readonly generated: Generated }) {
  const t = useTexts();
  const { changes, replaced } = generated.certificate;
  const passes = (text: string) => t.policy.passes[text] ?? text;
  return (
    <>
      <p className="flat">{changes.length === 0 ? t.policy.changesNone : t.policy.changes(changes.length)}</p>
      <ul className="lines">
        {changes.map(({ edge, before, after }) => (
          <li key={edge}>
            {edge}
            <div>
              <span className="dim">{t.policy.before}</span> {passes(before)} →{" "}
              <span className="dim">{t.policy.after}</span>{" "}
              <span className={after === "allowed" ? "good-text" : "bad-text"}>{passes(after)}</span>
            </div>
          </li>
        ))}
      </ul>
      <h3>{t.policy.files}</h3>
      <ul className="lines">
        {generated.files.map(({ path, state }) => (
          <li key={path}>
            <span className="mono">{path}</span> <span className="dim">{t.policy.fileStates[state]}</span>
          </li>
        ))}
        {replaced.map((name) => (
          <li key={name}>
            <span className="mono">{name}</span> <span className="dim">{t.policy.fileStates.changed}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** How the policies get into the cluster. */
function Apply({ place, certificate }: { readonly place: NetworkPlace; readonly certificate: Certificate }) {
  const t = useTexts();
  const file = `${place.scope.namespace}.yaml`;
  return (
    <>
      {!certificate.proven && <p className="bad-text flat">{t.policy.failedText}</p>}
      <h3 className="first">{t.policy.kubectl}</h3>
      <p className="flat">{t.policy.kubectlText}</p>
      <Command text={`kubectl apply --dry-run=server -f ${file}`} />
      <p className="flat">{t.policy.kubectlThen}</p>
      <Command text={`kubectl apply -f ${file}`} />
      <h3>{t.policy.gitops}</h3>
      <p className="flat">{t.policy.gitopsText}</p>
      <Command
        text={`unzip ${place.scope.namespace}.zip -d policies\ngit add policies\ngit commit -m "Network policies of ${place.scope.namespace}"`}
      />
    </>
  );
}

function Command({ text }: { readonly text: string }) {
  const t = useTexts();
  const clipboard = useClipboard({ timeout: 1500 });
  return (
    <div className="command">
      <pre>{text}</pre>
      <button type="button" className="icon" aria-label={t.common.copy} onClick={() => clipboard.copy(text)}>
        {clipboard.copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
      </button>
    </div>
  );
}

interface EvidenceProps {
  readonly place: NetworkPlace;
  readonly file: PolicyFile;
  readonly rule: GeneratedRule | null;
}

/** The connections that a rule is there for. */
function Evidence({ place, file, rule }: EvidenceProps) {
  const t = useTexts();
  const format = useFormat();
  const edges = useQuery(edgesQuery(place.scope)).data?.rows;
  if (rule === null) return <p className="dim flat">{t.policy.noRule}</p>;
  const wanted = new Set(rule.edges);
  const list = edges?.filter(({ id }) => wanted.has(id)) ?? [];
  const name = `${file.name} ${rule.direction}[${rule.index}]`;
  return (
    <>
      <h3 className="first">{t.policy.ruleEvidence(name)}</h3>
      {edges !== undefined && list.length === 0 && <p className="dim flat">{t.policy.noEvidence}</p>}
      <ul className="picks">
        {list.map((edge) => (
          <li key={edge.id}>
            <button
              type="button"
              onClick={() => go(at(place, { tab: edge.direction, view: { edge: edge.id } }))}
            >
              <PeerName peer={edge.peer} home={place.scope.namespace} />
              <span className="mono grow">{portName(edge)}</span>
              <span className="dim">{format.number(edge.connections)}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
