import type { NetworkPlace } from "../components/place.tsx";
import { Empty } from "../components/state.tsx";

export function EditorTab({ place }: { readonly place: NetworkPlace }) {
  return <Empty title={place.scope.namespace} />;
}
