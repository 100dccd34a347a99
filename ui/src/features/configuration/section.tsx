import type { ReactNode } from "react";
import type { Configuration, ConfigurationOperation } from "../../domain/review.ts";

/** What every part of the configuration is given. */
export interface PartProps {
  readonly cluster: string;
  readonly configuration: Configuration;
  readonly change: (operation: ConfigurationOperation, words: string) => void;
  readonly writable: boolean;
}

interface SectionProps {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly children: ReactNode;
}

export function Section({ id, title, text, children }: SectionProps) {
  return (
    <section className="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <p className="dim flat">{text}</p>
      {children}
    </section>
  );
}

/** Entries of a text field: one a line, or with commas between them. */
export const entries = (text: string): readonly string[] => text.split(/[\s,]+/).filter(Boolean);
