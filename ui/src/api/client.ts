import createClient from "openapi-fetch";
import type { Said } from "../domain/said.ts";
import type { components, paths } from "./schema.ts";

export type Wire = components["schemas"];

const client = createClient<paths>({ baseUrl: "/api/v1" });

/** What somebody else did in between. */
export interface Conflict {
  readonly who: string | null;
  readonly at: number | null;
  readonly changes: readonly Said[];
}

/** What the server said of a request that it did not fulfil; `status` 0 when it did not answer at all. */
export class Fault extends Error {
  readonly status: number;
  readonly code: string;
  /** Of a conflict: what is there by now. */
  readonly conflict: Conflict | null;

  constructor(status: number, title: string, code: string, conflict: Conflict | null = null) {
    super(title);
    this.name = "Fault";
    this.status = status;
    this.code = code;
    this.conflict = conflict;
  }
}

interface Answer<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

/** The body of an answer; throws a {@link Fault} for anything but success. */
export async function take<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer.catch((cause: unknown) => {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new Fault(0, cause instanceof Error ? cause.message : String(cause), "unreachable");
  });
  if (response.ok && data !== undefined) return data;
  throw fault(response.status, error);
}

/** Reads problem details (RFC 9457); a proxy in between may answer with something else. */
export function fault(status: number, body: unknown): Fault {
  const problem: Record<string, unknown> = typeof body === "object" && body !== null ? { ...body } : {};
  const text = (key: string) => (typeof problem[key] === "string" ? problem[key] : null);
  const code = text("type")?.replace(/^.*:/, "") ?? "unknown";
  return new Fault(status, text("detail") ?? text("title") ?? `HTTP ${status}`, code, conflict(problem));
}

function conflict({ currentVersion, who, at, changes }: Partial<Wire["Conflict"]>): Conflict | null {
  if (typeof currentVersion !== "number") return null;
  return { who: who ?? null, at: at === undefined ? null : Date.parse(at), changes: changes ?? [] };
}

/** Adds a header to everything that changes something. */
export function sendAlong(name: string, value: () => string | null): void {
  client.use({
    onRequest({ request }) {
      const text = value();
      if (text !== null && request.method !== "GET") request.headers.set(name, text);
      return request;
    },
  });
}

export const { GET, POST, PATCH } = client;
