import createClient from "openapi-fetch";
import type { components, paths } from "./schema.ts";

export type Wire = components["schemas"];

const client = createClient<paths>({ baseUrl: "/api/v1" });

/** What the server said of a request that it did not fulfil; `status` 0 when it did not answer at all. */
export class Fault extends Error {
  readonly status: number;
  readonly code: string;
  /** Of a conflict, the version that is there now. */
  readonly current: number | null;

  constructor(status: number, title: string, code: string, current: number | null = null) {
    super(title);
    this.name = "Fault";
    this.status = status;
    this.code = code;
    this.current = current;
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
  const current = typeof problem.current === "number" ? problem.current : null;
  return new Fault(status, text("detail") ?? text("title") ?? `HTTP ${status}`, code, current);
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
