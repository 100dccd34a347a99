import type { Layout } from "../../domain/layout.ts";
import type { Topology } from "../../domain/topology.ts";

/** Computes a layout in a worker, so that the page stays responsive. Gives back how to stop. */
export function arrange(topology: Topology, done: (layout: Layout) => void): () => void {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", (event: MessageEvent<Layout>) => {
    done(event.data);
    worker.terminate();
  });
  worker.postMessage(topology);
  return () => worker.terminate();
}
