import { Button } from "@mantine/core";
import { IconAlertTriangle, IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { messages } from "../api/queries.ts";
import { Link } from "../components/place.tsx";
import type { Message } from "../domain/cluster.ts";
import { useSaid, useTexts } from "../i18n/texts.tsx";

const keyOf = (message: Message) => [message.code, message.subject, ...message.namespaces].join("\n");

/** What is wrong with a cluster until it is fixed: the banner goes away by itself. */
export function Messages({ cluster }: { readonly cluster: string }) {
  const t = useTexts();
  const { tell } = useSaid();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [open, setOpen] = useState(false);
  const all = (useQuery(messages(cluster)).data ?? []).filter(({ severity }) => severity !== "note");
  const shown = all.filter((message) => !hidden.has(keyOf(message)));
  // Those that have a fix here come first.
  shown.sort((a, b) => Number(b.code in t.messages.titles) - Number(a.code in t.messages.titles));
  const list = open ? shown : shown.slice(0, 2);
  if (shown.length === 0) return null;
  return (
    <section className="messages" aria-label={t.menu.messages}>
      {list.map((message) => (
        <div key={keyOf(message)} className={`banner ${message.severity === "error" ? "bad" : "warn"}`}>
          <IconAlertTriangle size={15} stroke={1.8} aria-hidden />
          <div className="grow">
            <Words {...tell(message)} message={message} />
          </div>
          {message.code.includes("subnet") && (
            <Link to={{ page: "configuration", cluster }}>{t.messages.fix}</Link>
          )}
          <button
            type="button"
            className="icon"
            aria-label={t.messages.dismiss}
            title={t.messages.dismiss}
            onClick={() => setHidden(new Set([...hidden, keyOf(message)]))}
          >
            <IconX size={14} />
          </button>
        </div>
      ))}
      {shown.length > 2 && (
        <Button variant="subtle" size="compact-xs" onClick={() => setOpen(!open)}>
          {open ? t.common.close : t.messages.banner(shown.length)}
        </Button>
      )}
    </section>
  );
}

interface WordsProps {
  readonly message: Message;
  readonly text: string;
  readonly hint: string | null;
}

/** Those that have a title name the namespaces they are about; others say what they are about, and what is the matter. */
function Words({ message, text, hint }: WordsProps) {
  const t = useTexts();
  const title = t.messages.titles[message.code];
  return (
    <>
      <strong>{title ?? message.subject ?? text}</strong>{" "}
      {(title === undefined ? message.subject !== null : message.namespaces.length === 0) && text}
      {title !== undefined && message.namespaces.map((name) => <code key={name}>{name}</code>)}
      {hint && <span className="dim"> {hint}</span>}
    </>
  );
}
