import { ActionIcon } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTexts } from "../i18n/texts.tsx";

/** The pane at the right that says everything about one thing. Escape closes it. */
export function Pane({
  title,
  close,
  children,
}: {
  readonly title: ReactNode;
  readonly close?: () => void;
  readonly children: ReactNode;
}) {
  const t = useTexts();
  return (
    // Escape closes it from wherever the focus is in it.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <aside
      className="pane"
      aria-label={t.common.details}
      onKeyDown={(event) => event.key === "Escape" && close?.()}
    >
      <div className="pane-head">
        <h2 className="grow">{title}</h2>
        {close && (
          <ActionIcon variant="subtle" color="gray" aria-label={t.common.close} onClick={close}>
            <IconX size={15} />
          </ActionIcon>
        )}
      </div>
      {/* It scrolls, so it takes the focus. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className="pane-body" tabIndex={0}>
        {children}
      </div>
    </aside>
  );
}

/** Names and values, one a line. */
export function Facts({ rows }: { readonly rows: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
