import { layout } from "../../domain/layout.ts";
import type { Topology } from "../../domain/topology.ts";

addEventListener("message", (event: MessageEvent<Topology>) => postMessage(layout(event.data)));
