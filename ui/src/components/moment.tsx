import { useFormat } from "../i18n/texts.tsx";

/** A moment in a table: brief, and in full on pointing at it. */
export function Moment({ at }: { readonly at: number }) {
  const format = useFormat();
  return (
    <time className="dim" dateTime={new Date(at).toISOString()} title={format.moment(at)}>
      {format.brief(at)}
    </time>
  );
}
