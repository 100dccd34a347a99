import type { QueryClient } from "@tanstack/react-query";

/** What is read again when something changed. Reviews decide what edges, maps and policies say. */
const PARTS = {
  inventory: [
    "clusters",
    "namespaces",
    "entities",
    "configuration",
    "messages",
    "edges",
    "addresses",
    "topology",
  ],
  edges: ["clusters", "edges", "addresses", "topology", "messages"],
  review: ["review", "edges", "addresses", "topology", "configuration", "configurationVersions", "messages"],
} as const;
const LATER = ["generated", "existing", "judgement", "readiness", "explanation", "labelPreview"] as const;

/** Many events in a row make for one refresh. */
const PAUSE = 400;
const RETRY = 3000;

interface Change {
  readonly type: string;
  readonly cluster?: string;
}

/**
 * Listens to what changes on the server, and has it read again. Tells whether the server is there. Gives back how to
 * stop.
 */
export function watch(client: QueryClient, connected: (yes: boolean) => void): () => void {
  const waiting = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lost = false;

  const refresh = () => {
    timer = undefined;
    const parts = new Set(waiting);
    waiting.clear();
    void client.invalidateQueries({
      predicate: ({ queryKey: [part, cluster] }) =>
        parts.has("*") ||
        parts.has(`${String(part)}/${String(cluster)}`) ||
        (part === "clusters" && parts.size > 0),
    });
  };
  const later = (parts: readonly string[]) => {
    for (const part of parts) waiting.add(part);
    timer ??= setTimeout(refresh, PAUSE);
  };
  const heard = (event: MessageEvent<string>) => {
    const { type, cluster } = JSON.parse(event.data) as Change;
    if ((type === "inventory" || type === "edges" || type === "review") && cluster !== undefined)
      later([...PARTS[type], ...LATER].map((part) => `${part}/${cluster}`));
    else later(["*"]);
  };

  let source: EventSource;
  let again: ReturnType<typeof setTimeout> | undefined;
  const open = () => {
    source = new EventSource("/api/v1/events");
    for (const type of ["inventory", "edges", "review", "resync", "message"])
      source.addEventListener(type, heard);
    source.addEventListener("open", () => {
      connected(true);
      // What happened in between nobody told us.
      if (lost) later(["*"]);
      lost = false;
    });
    source.addEventListener("error", () => {
      lost = true;
      connected(false);
      // The browser tries again by itself after a lost connection, but not after an answer that is an error.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, RETRY);
    });
  };
  open();
  return () => {
    clearTimeout(timer);
    clearTimeout(again);
    source.close();
  };
}
