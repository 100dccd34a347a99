import type { Wire } from "../api/client.ts";
import type { Message } from "../domain/cluster.ts";
import type { Said, Values } from "../domain/said.ts";
import { said as ja } from "./said.ja.ts";

/** The kinds of sentences that the server says, with the codes of each. */
interface Codes {
  readonly reason: Wire["Said_ReasonCode"]["code"];
  readonly gap: Wire["Said_GapCode"]["code"];
  readonly verdict: Wire["Said_EndVerdict"]["code"];
  readonly lack: Wire["Said_LackCode"]["code"];
  readonly remedy: Wire["Said_RemedyCode"]["code"];
  readonly assumption: Wire["Said_AssumptionCode"]["code"];
  readonly flaw: Wire["Said_FlawCode"]["code"];
  readonly change: Wire["Said_ChangeCode"]["code"];
  readonly message: Wire["MessageCode"];
  /** What to do about a message. */
  readonly hint: Wire["MessageCode"];
}
export type Topic = keyof Codes;

/** Makes a sentence of what it names; `null` where there is nothing to say. */
type Sentence = (values: Values, english: string) => string | null;

/** Every sentence of a language: a code without one is a fault of types. English is what the server says. */
export type Sentences = { readonly [T in Topic]: Readonly<Record<Codes[T], Sentence>> };

const SENTENCES = { en: null, ja } as const satisfies Record<string, Sentences | null>;
type Language = keyof typeof SENTENCES;

/** Says a sentence of the server in a language. */
export function say(language: Language, topic: Topic, { code, values, text }: Said): string {
  const sentences: Readonly<Partial<Record<string, Sentence>>> = SENTENCES[language]?.[topic] ?? {};
  // A newer server may say what this page has not heard of.
  return sentences[code]?.(values, text) ?? text;
}

/** Says a message, and what to do about it. */
export function tell(language: Language, message: Message): { text: string; hint: string | null } {
  const { code, values, hint } = message;
  const sentence = SENTENCES[language]?.hint[code as Codes["hint"]];
  return {
    text: say(language, "message", message),
    hint: hint === null || !sentence ? hint : sentence(values, hint),
  };
}
