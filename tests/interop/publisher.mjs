// Publishes CloudEvents to the fact door of a source, one after the other, and prints each answer as a line of JSON.
//
//     node publisher.mjs nats://127.0.0.1:4222 crm < events.ndjson
import { connect } from "@nats-io/transport-node";
import { createInterface } from "node:readline";

const [url, source] = process.argv.slice(2);
const nc = await connect({ servers: url, name: `interop ${source}` });
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await nc.request(`attorn.fact.${source}`, line, { timeout: 10_000 });
  console.log(answer.string());
}
await nc.drain();
