import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import type { Message } from "../domain/cluster.ts";
import type { Said } from "../domain/said.ts";
import { en, type Texts } from "./en.ts";
import { ja } from "./ja.ts";
import { say, tell, type Topic } from "./said.ts";

export const LANGUAGES = { en, ja } as const satisfies Record<string, Texts>;
export type Language = keyof typeof LANGUAGES;

const KEY = "ringfence-language";

interface Spoken {
  readonly language: Language;
  readonly choose: (language: Language) => void;
}
const Context = createContext<Spoken>({ language: "en", choose: () => {} });

/** The language chosen before, or else the first of the browser's that we speak. */
function initial(): Language {
  const wanted = [localStorage.getItem(KEY), ...navigator.languages];
  for (const tag of wanted) {
    const language = tag?.split("-")[0];
    if (language === "en" || language === "ja") return language;
  }
  return "en";
}

export function LanguageProvider({ children }: { readonly children: ReactNode }) {
  const [language, setLanguage] = useState(initial);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const spoken = useMemo(
    () => ({
      language,
      choose: (next: Language) => {
        localStorage.setItem(KEY, next);
        setLanguage(next);
      },
    }),
    [language],
  );
  return <Context value={spoken}>{children}</Context>;
}

export function useTexts(): Texts {
  return LANGUAGES[useContext(Context).language];
}

export function useLanguage(): Spoken {
  return useContext(Context);
}

/** Says what the server says, in the language. */
export function useSaid() {
  const { language } = useContext(Context);
  return useMemo(
    () => ({
      say: (topic: Topic, said: Said) => say(language, topic, said),
      tell: (message: Message) => tell(language, message),
    }),
    [language],
  );
}

/** How numbers and times are written in the language. */
export function useFormat() {
  const { language } = useContext(Context);
  return useMemo(() => {
    const number = new Intl.NumberFormat(language);
    const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
    const moment = new Intl.DateTimeFormat(language, {
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
    const brief = new Intl.DateTimeFormat(language, {
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
    return {
      number: (n: number) => number.format(n),
      percent: (n: number) => percent.format(n),
      /** In the time zone of the browser. */
      moment: (at: number) => moment.format(at),
      /** Without the year, where there is little room. */
      brief: (at: number) => brief.format(at),
    };
  }, [language]);
}
