import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { clusters } from "../api/queries.ts";
import { at, go, type NetworkPlace } from "../components/place.tsx";
import { ALL } from "../domain/span.ts";
import { useFormat, useTexts } from "../i18n/texts.tsx";

/** Says when there are records, and leads there, where the chosen time may be why nothing is shown. */
export function OutOfTime({ place }: { readonly place: NetworkPlace }) {
  const t = useTexts();
  const format = useFormat();
  const observed = useQuery(clusters).data?.find(({ name }) => name === place.scope.cluster)?.observed;
  if (!observed || place.scope.span.type === "all") return null;
  return (
    <>
      <p>{t.scope.outside(format.moment(observed.first), format.moment(observed.last))}</p>
      <Button variant="default" onClick={() => go(at(place, { scope: { span: ALL } }))}>
        {t.scope.showAll}
      </Button>
    </>
  );
}
