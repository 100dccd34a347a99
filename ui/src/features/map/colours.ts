import type { Colours } from "../../domain/svg.ts";

/** The colours of the style sheet, for what it cannot paint. */
export function colours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return {
    background: of("--panel"),
    group: of("--group"),
    line: of("--line-strong"),
    node: of("--panel"),
    text: of("--mantine-color-text"),
    dim: of("--mantine-color-dimmed"),
    focus: of("--focus"),
    links: {
      allowed: of("--allowed"),
      forbidden: of("--link-forbidden"),
      partly: of("--warn"),
      denied: of("--link-denied"),
      opened: of("--opened"),
      unknown: of("--link-denied"),
    },
  };
}
