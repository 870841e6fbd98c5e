// Goal: the previous value in an event is what the key was before the event's revision, as etcd reads it
// (server/etcdserver/api/v3rpc/watch.go), also when a txn changes a key twice. Method: the real store and the apply
// chain; one txn that puts a key and deletes it in a nested txn, told to a live watcher and to one that catches up.
import { expect, it } from "vitest";
import { bytesOf, EMPTY_BYTES } from "../../../src/base/index.ts";
import { Store } from "../../../src/mvcc/index.ts";
import { WatchHub } from "../../../src/watch/index.ts";
import { MapRecords } from "../../support/map-records.ts";
import { drain, NO_CHANCE, watchOf } from "./watch-kit.ts";

const KEY = bytesOf("a");
const ALONE = { key: KEY, rangeEnd: EMPTY_BYTES };

it.each([
  ["a key that was there", true, "0@3: a=new@3(was old@2) -a@3(was old@2)"],
  ["a key that was absent", false, "0@3: a=new@3 -a@3"],
])("a put and a delete in one revision: %s", (_name, isThere, line) => {
  const store = new Store(new MapRecords());
  const hub = new WatchHub({}, { store, random: NO_CHANCE });
  const run = (change: (txn: ReturnType<Store["begin"]>) => void): void => {
    const txn = store.begin();
    change(txn);
    const set = txn.end();
    if (set !== undefined) hub.notify(set);
  };
  run((txn) => txn.put(isThere ? KEY : bytesOf("b"), bytesOf("old"), 0n));
  const live = hub.open(() => undefined);
  live.create(0, watchOf("a", { prevKv: true }));
  run((txn) => {
    txn.put(KEY, bytesOf("new"), 0n);
    txn.deleteRange(ALONE);
  });
  const late = hub.open(() => undefined);
  late.create(0, watchOf("a", { prevKv: true, startRevision: 3 }));
  for (let turn = 0; turn < 10; turn++) hub.tick(0, 1000);
  expect(drain(live).slice(1)).toEqual([line]);
  expect(drain(late).slice(1)).toEqual([line]);
});
