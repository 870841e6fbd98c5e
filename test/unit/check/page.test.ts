// Goal: the page of a broken history is one file that a browser can run, with everything in it, and nothing
// that a client wrote can become markup. Method: pages of generated histories, taken apart as text; the
// script is run against a document of a few lines.
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { checkKvHistory, type KvHistory } from "../../../chaos/check/index.ts";
import { renderPage } from "../../../chaos/page/index.ts";
import { bytesOf } from "../../../src/base/index.ts";
import { putOf } from "../../support/plain-requests.ts";
import { generate } from "./generate.ts";
import { MUTATIONS } from "./mutate.ts";
import { Random } from "./random.ts";

const EVIL = "</script><script>alert(1)</script>";

function brokenHistory(operations: number): KvHistory {
  const generated = generate(3, { operations, withLog: true });
  const broken = MUTATIONS["stale read"]?.(generated, new Random(3));
  if (broken === undefined) throw new Error("nothing to break");
  const from = 0;
  return {
    ...broken,
    title: `seed 3 ${EVIL}`,
    faults: [{ from, to: Number.POSITIVE_INFINITY, label: "partition" }],
    leaders: [{ from, to: 1_000, member: "m1", term: 7 }],
  };
}

function dataOf(page: string): Record<string, unknown[]> {
  const json = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)?.[1] ?? "";
  return JSON.parse(json) as Record<string, unknown[]>;
}

test("one file, with all operations, answers, bands and findings", () => {
  const history = brokenHistory(150);
  const page = renderPage(history, checkKvHistory(history));
  expect(page.startsWith("<!doctype html>")).toBe(true);
  expect(page).not.toMatch(/\b(src|href)=|https?:|@import|fetch\(/);
  const data = dataOf(page);
  expect(data["bars"]).toHaveLength(history.operations.length);
  expect(data["ticks"]).toHaveLength(history.watches.flatMap(({ answers }) => answers).length);
  expect(data["faults"]).toEqual([{ from: 0, to: history.end, label: "partition" }]);
  expect(data["leaders"]).toEqual([{ from: 0, to: 1_000, label: "m1 term 7" }]);
  expect(data["findings"]?.length).toBeGreaterThan(0);
});

test("what a client wrote stays text", () => {
  const history = brokenHistory(80);
  const first = history.operations[0];
  if (first === undefined) throw new Error("no operations");
  const evil = { ...first, request: putOf(bytesOf(EVIL), bytesOf(EVIL)) };
  const operations = [evil, ...history.operations.slice(1)];
  const page = renderPage({ ...history, operations }, checkKvHistory({ ...history, operations }));
  expect(page.match(/<script/g)).toHaveLength(2);
  expect(page.match(/<\/script>/g)).toHaveLength(2);
  expect(JSON.stringify(dataOf(page)["bars"])).toContain("alert(1)");
});

test("5,000 operations are drawn, searched and jumped to by the script", () => {
  const history = brokenHistory(5_000);
  const page = renderPage(history, checkKvHistory(history));
  expect(page.length).toBeLessThan(20_000_000);
  const script = /<script>(.*?)<\/script>/s.exec(page)?.[1] ?? "";
  const browser = new Browser(JSON.stringify(dataOf(page)));
  runInNewContext(script, { document: browser, window: browser.element("window"), JSON, Math, Set, Number });
  const drawn = browser.rectangles;
  expect(drawn).toBeGreaterThan(5_000);
  browser.element("first").fire("click", {});
  expect(browser.element("hover").textContent).not.toBe("");
  expect(browser.outlines).toBeGreaterThan(0);
  browser.element("search").fire("change", { target: { value: "#17" } });
  expect(browser.element("count").textContent).toBe("1 operations, 0 answers");
  browser.element("picture").fire("mousemove", { clientX: 500, clientY: 60 });
  expect(browser.element("hover").textContent).toContain("at ");
});

/** As much of an element as the script touches. */
class FakeElement {
  textContent = "";
  width = 0;
  height = 0;
  readonly clientWidth = 1_200;
  readonly children: FakeElement[] = [];
  readonly #browser: Browser;
  readonly #listeners = new Map<string, (event: unknown) => void>();

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  addEventListener(name: string, listener: (event: unknown) => void): void {
    this.#listeners.set(name, listener);
  }

  fire(name: string, event: unknown): void {
    this.#listeners.get(name)?.(event);
  }

  appendChild(child: FakeElement): void {
    this.children.push(child);
  }

  getBoundingClientRect(): unknown {
    return { left: 0, top: 0, width: this.width, height: this.height };
  }

  getContext(): unknown {
    const browser = this.#browser;
    return {
      clearRect: () => undefined,
      fillText: () => undefined,
      fillRect: () => browser.rectangles++,
      strokeRect: () => browser.outlines++,
    };
  }
}

class Browser {
  rectangles = 0;
  outlines = 0;
  readonly #elements = new Map<string, FakeElement>();

  constructor(data: string) {
    this.element("data").textContent = data;
  }

  element(id: string): FakeElement {
    const element = this.#elements.get(id) ?? new FakeElement(this);
    this.#elements.set(id, element);
    return element;
  }

  getElementById(id: string): FakeElement {
    return this.element(id);
  }

  createElement(): FakeElement {
    return new FakeElement(this);
  }
}
