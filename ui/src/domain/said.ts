/** What a sentence names, by what it is; what is not known is left out. */
export type Values = Readonly<Record<string, string>>;

/** A sentence of the server: in English, and what it takes to say it otherwise. */
export interface Said {
  readonly code: string;
  readonly values: Values;
  readonly text: string;
}
