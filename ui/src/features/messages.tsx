import { Button } from "@mantine/core";
import { IconAlertTriangle, IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { messages } from "../api/queries.ts";
import { Link } from "../components/place.tsx";
import type { Message } from "../domain/cluster.ts";
import { useTexts } from "../i18n/texts.tsx";

const keyOf = (message: Message) => [message.code, message.subject, ...message.namespaces].join("\n");

/** What is wrong with a cluster until it is fixed: the banner goes away by itself. */
export function Messages({ cluster }: { readonly cluster: string }) {
  const t = useTexts();
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
            <strong>{t.messages.titles[message.code] ?? message.text}</strong>{" "}
            {message.code in t.messages.titles && message.namespaces.length === 0 && message.text}
            {message.namespaces.map((name) => (
              <code key={name}>{name}</code>
            ))}
            {message.hint && <span className="dim"> {message.hint}</span>}
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
