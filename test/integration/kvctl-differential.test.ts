// Goal: who knows etcdctl knows kvctl: the same bytes, exit codes and errors. Method: the same commands through both,
// in the same order, each against a server of its own; endpoints, random identities and times are taken out.
import { describe, expect, it } from "vitest";
import { kvctl, type RanHere } from "./kvctl-run.ts";
import { etcdctl, isInstalled, type Serving, serve } from "./serving.ts";

const hasEtcdctl = isInstalled("etcdctl");

/** A command; with input. `$L` stands for the lease that was granted last. */
type Command = readonly [words: string, input?: string];

const BRANCHES =
  'mod("a") > "0"\nval("a") = "1"\n\nput b 2 --prev-kv\nget a --prefix\ndel zz\nput c 3\n\nput d 3\n\n';

const COMMANDS: readonly Command[] = [
  ["put a 1"],
  ["put a 2 --prev-kv"],
  ["put a 1 --prev-kv -w json"],
  ["put a 1 --prev-kv -w fields"],
  ["put"],
  ["put a b c"],
  ["put piped", "from stdin\n"],
  ['put q "q\\x<>&'],
  ["put ü ö"],
  ["get q ü -w fields"],
  ["get q -w json"],
  ["get ü -w fields"],
  ["get a"],
  ["get"],
  ["get a b c"],
  ["get a b --prefix"],
  ["get a b --from-key"],
  ["get a --prefix --from-key"],
  ["get a --prefix --keys-only"],
  ["get a --prefix=true --limit=1"],
  ["get a --prefix=false"],
  ["get a --from-key --keys-only --limit 2"],
  ["get a --print-value-only"],
  ["get a --print-value-only -w json"],
  ["get a --keys-only --print-value-only"],
  ["get a z --order DESCEND --sort-by KEY"],
  ["get a z --sort-by=create --order=ascend -w json"],
  ["get a --sort-by foo"],
  ["get a --order foo"],
  ["get a --consistency x"],
  ["get a --consistency=s -w fields"],
  ["get a --rev 2"],
  ["get a --rev 999"],
  ["get a --hex"],
  ["get a -w table"],
  ["get a -w bogus"],
  ["get missing"],
  ["get missing -w json"],
  ["txn", BRANCHES],
  ["txn -w json", BRANCHES],
  ["txn -w fields", BRANCHES],
  ["txn -i", 'ver("a") = "0"\n\nput b 2\n\nput c 3\n\n'],
  ["txn", '\nput "x y" "c \\"d"\nget "x y"\ndel c --prev-kv\n\n\n'],
  ["txn", "bogus\n\n"],
  ["txn", 'foo("a") > "0"\n\n'],
  ["txn", 'mod("a") > "x"\n\n'],
  ["txn", "\nbogus a\n\n"],
  ["txn", "\nput a\n\n"],
  ["txn", ""],
  ["txn extra"],
  ["txn", "\nput a 1\nput a 2\n\n\n"],
  ["del b --prev-kv"],
  ["del c -w json"],
  ["del c d --prev-kv -w fields"],
  ["del"],
  ["del a b c"],
  ["del a --prefix --from-key"],
  ["del a --prefix"],
  ["compaction 4"],
  ["compaction 4 --physical"],
  ["compaction"],
  ["compaction x"],
  ["get a --rev 2"],
  ["watch b a"],
  ["watch a --rev 2"],
  ["watch"],
  ["watch a b --prefix"],
  ["watch -i", "watch\nbogus\n"],
  ["lease grant 100"],
  ["lease grant 100 -w json"],
  ["lease grant 100 -w fields"],
  ["lease grant"],
  ["lease grant x"],
  ["lease grant 9999999999"],
  ["lease grant 300"],
  ["put lk v --lease=$L"],
  ["put lk v --lease=zz"],
  ["put lk v --lease=1234"],
  ["lease timetolive $L --keys"],
  ["lease timetolive $L"],
  ["lease timetolive $L --keys -w json"],
  ["lease timetolive $L --keys -w fields"],
  ["lease timetolive 123"],
  ["lease timetolive 123 -w json"],
  ["lease timetolive zz"],
  ["lease keep-alive $L --once"],
  ["lease keep-alive $L --once -w json"],
  ["lease keep-alive $L --once -w fields"],
  ["lease keep-alive 123 --once"],
  ["lease keep-alive 123"],
  ["lease keep-alive"],
  ["lease revoke $L"],
  ["lease revoke $L"],
  ["lease revoke"],
  ["lease revoke zz"],
  ["lease list"],
  ["lease list -w fields"],
  ["member list"],
  ["member list -w json"],
  ["member list -w fields"],
  ["member list -w table"],
  ["member add x"],
  ["member remove"],
  ["member remove zz"],
  ["member remove 1234"],
  ["member promote 1234"],
  ["endpoint status"],
  ["endpoint status -w json"],
  ["endpoint status -w fields"],
  ["endpoint status -w table"],
  ["endpoint health"],
  ["endpoint health -w json"],
  ["endpoint health -w fields"],
  ["endpoint hashkv"],
  ["endpoint hashkv -w table"],
  ["endpoint hashkv -w fields"],
  ["alarm list"],
  ["alarm disarm"],
  ["defrag"],
  ["move-leader zz"],
  ["move-leader"],
  ["move-leader 1234"],
  ["snapshot save"],
];

/** Replaces what differs between two servers or two moments. */
function common(text: string, endpoint: string): string {
  return text
    .replaceAll(endpoint, "ENDPOINT")
    .replaceAll(/\b[0-9a-f]{16}\b/g, "LEASE")
    .replaceAll(/"ID":\d+/g, '"ID":N')
    .replaceAll(/"id":\d{10,}/g, '"id":N')
    .replaceAll(/"ID" : \d{10,}/g, '"ID" : N')
    .replaceAll(/"ttl":\d+/g, '"ttl":N')
    .replaceAll(/"TTL" : \d+/g, '"TTL" : N')
    .replaceAll(/remaining\(\d+s\)/g, "remaining(N)")
    .replaceAll(/(took = |"took":"|"Took" : )[0-9.]+[µm]?s/g, "$1T")
    .replaceAll(/ENDPOINT, \d+$/gm, "ENDPOINT, HASH")
    .replaceAll(/"Hash" : \d+/g, "HASH")
    .replaceAll(/\| +\d{6,} \|/g, "| HASH |")
    .replaceAll(/ENDPOINT +\|/g, "ENDPOINT |")
    .replaceAll(/[-+]{10,}/g, "---");
}

type Run = (endpoints: readonly string[], words: readonly string[], input?: string) => Promise<RanHere>;

async function runAll(serving: Serving, run: Run): Promise<string[]> {
  const [endpoint = ""] = serving.endpoints;
  const printed: string[] = [];
  let lease = "";
  for (const [line, input] of COMMANDS) {
    const words = line.replace("$L", lease).split(" ");
    const { code, out, err } = await run([endpoint], words, input);
    lease = /^lease ([0-9a-f]{16}) granted/.exec(out)?.[1] ?? lease;
    printed.push(`${line}\n[${code}] ${common(out, endpoint)}${common(err, endpoint)}`);
  }
  return printed;
}

describe.skipIf(!hasEtcdctl)("kvctl and etcdctl", () => {
  it("print the same and end alike", async () => {
    const [one, other] = [await serve([1n]), await serve([1n])];
    const printed = await runAll(one, kvctl);
    expect(printed).toEqual(await runAll(other, etcdctl));
    expect([one.bugs, other.bugs]).toEqual([[], []]);
    await Promise.all([one.stop(), other.stop()]);
  });
});
