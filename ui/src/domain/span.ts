/** The time that a view covers. */
export type Span =
  | { readonly type: "all" }
  /** Back from the moment of asking. */
  | { readonly type: "last"; readonly hours: number }
  /** Milliseconds since 1970; `from` is before `until`. */
  | { readonly type: "range"; readonly from: number; readonly until: number };

export const ALL: Span = { type: "all" };

/** Hours of the presets. */
export const PRESETS = [1, 12, 24, 24 * 7, 24 * 30] as const;

/** The span as it stands in a URL: `24h`, `2026-05-11T00:00:00Z..2026-05-12T00:00:00Z`, nothing for all. */
export function formatSpan(span: Span): string | null {
  switch (span.type) {
    case "all":
      return null;
    case "last":
      return `${span.hours}h`;
    case "range":
      return `${instant(span.from)}..${instant(span.until)}`;
  }
}

/** Reads {@link formatSpan}'s text; `null` for what is none. */
export function parseSpan(text: string | null): Span | null {
  if (text === null) return ALL;
  const last = /^([1-9]\d{0,4})h$/.exec(text);
  if (last) return { type: "last", hours: Number(last[1]) };
  const [from, until, ...rest] = text.split("..").map((part) => Date.parse(part));
  if (from === undefined || until === undefined || rest.length > 0) return null;
  return from < until ? { type: "range", from, until } : null;
}

/** The bounds to ask the server for. */
export function bounds(span: Span, now: number): { from?: string; until?: string } {
  switch (span.type) {
    case "all":
      return {};
    case "last":
      return { from: instant(now - span.hours * 3_600_000) };
    case "range":
      return { from: instant(span.from), until: instant(span.until) };
  }
}

/** RFC 3339 in UTC, to the second. */
export function instant(at: number): string {
  return new Date(at).toISOString().replace(/\.\d{3}Z$/, "Z");
}
