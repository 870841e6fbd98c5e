// Goal: no bytes of a client make a handler reject or a session throw, and none keeps room in the budget. Method:
// random bytes, and flipped and cut bytes of valid requests, to every method of the table over a real member.
import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeKvRequest, encodeWatchRequest, services as messages } from "../../../src/pb/index.ts";
import { createServices } from "../../../src/rpc/index.ts";
import { compare, del, put, range, txn } from "../../support/kv-world.ts";
import { Facades } from "../../support/member-facades.ts";
import { seeded } from "../../support/member-harness.ts";
import { callOf, createOf } from "../../support/rpc-calls.ts";

const VALID = [
  encodeKvRequest(put("a", "1", { lease: 5n, prevKv: true })),
  encodeKvRequest(range("a", "z", { limit: 3, sortOrder: "descend" })),
  encodeKvRequest(txn([compare("a", { type: "mod", value: 2 })], [put("b", "2"), del("c")], [range("a")])),
  encodeWatchRequest(createOf("a", { startRevision: 2, filters: [0, 1], watchId: 9 })),
  encodeWatchRequest({ type: "cancel", watchId: 9 }),
  messages.alarmQuery.encode({ action: "get", member: 7n, alarm: "corrupt" }),
  messages.leaseTimeToLiveRequest.encode({ id: 5n, keys: true }),
];

const garbage: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.tuple(fc.constantFrom(...VALID), fc.nat(), fc.nat(255), fc.nat(60)).map(([valid, at, byte, length]) => {
    const bytes = valid.slice(0, Math.max(1, Math.min(valid.length, length)));
    bytes[at % bytes.length] = byte;
    return bytes;
  }),
);

it("every method takes anything", async () => {
  const facades = new Facades([1n]);
  const services = createServices({ facade: facades.facade(1n), random: seeded(1), clock: facades.clock });
  const paths = [...services.methods.keys()];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      fc.array(garbage, { minLength: 1, maxLength: 4 }),
      async (path, inputs) => {
        const method = services.methods.get(path);
        if (method === undefined) throw new Error(path);
        if (method.type === "unary") {
          for (const input of inputs) {
            const reply = await facades.within(method.handle(input.slice(), callOf()));
            expect(["ok", "error"]).toContain(reply.type);
          }
        } else {
          const session = method.open(callOf(), () => undefined);
          for (const input of inputs) session.message(input.slice());
          session.halfClose();
          for (let i = 0; i < 20 && session.take()?.type !== "end"; i++) facades.advance(10);
          session.close();
          session.message(inputs[0] ?? new Uint8Array(0));
          expect(session.take()).toBeUndefined();
        }
      },
    ),
    { numRuns: 400 },
  );
  expect(services.inFlightBytes).toBe(0);
  expect(services.openStreams).toBe(0);
});
