import { Empty } from "../components/state.tsx";

export function ConfigurationPage({ cluster }: { readonly cluster: string }) {
  return <Empty title={cluster} />;
}
