// Follows escalations durably, from a position on, and prints each as a line of JSON before it acknowledges it.
// SIGTERM ends it when it is done with what it has; started again under the same name it goes on where it was.
//
//     node subscriber.mjs nats://127.0.0.1:4222 pager 1043
import { connect } from "@nats-io/transport-node";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";

const [url, name, position] = process.argv.slice(2);
const nc = await connect({ servers: url, name: `interop ${name}`, maxReconnectAttempts: -1 });
const manager = await jetstreamManager(nc);
await manager.consumers.add("ATTORN_FEED", {
  durable_name: name,
  filter_subject: "attorn.escalation.>",
  deliver_policy: DeliverPolicy.StartSequence,
  opt_start_seq: Number(position),
  ack_policy: AckPolicy.Explicit,
});
const consumer = await jetstream(nc).consumers.get("ATTORN_FEED", name);

let isEnding = false;
process.on("SIGTERM", () => (isEnding = true));
console.log("READY");
while (!isEnding) {
  const message = await consumer.next({ expires: 1_000 });
  if (message === null) continue;
  const { type, subject, id, data } = message.json();
  const header = message.headers.get("Attorn-Position");
  console.log(JSON.stringify({ position: message.seq, header, on: message.subject, type, subject, id, data }));
  await message.ackAck();
}
await nc.drain();
