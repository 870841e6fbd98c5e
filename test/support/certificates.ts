/** Certificates made for one test run by the program `openssl`, which is optional: nothing here is kept. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** The authority that signed it. */
  readonly ca: string;
}

/** A certificate for 127.0.0.1 of an authority made for it; undefined: there is no `openssl`, and a line says so. */
export function makeCertificate(): Certificate | undefined {
  const folder = mkdtempSync(join(tmpdir(), "waymark-certificates-"));
  const run = (...args: string[]): void => {
    execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  };
  const text = (name: string): string => readFileSync(join(folder, name), "utf8");
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  try {
    run(
      "req",
      "-x509",
      ...key,
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
      "-days",
      "2",
      "-subj",
      "/CN=test authority",
    );
    run("req", ...key, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=member");
    writeFileSync(join(folder, "own.ext"), "subjectAltName=IP:127.0.0.1\n");
    const signed = [
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "2",
      "-extfile",
      "own.ext",
    ];
    run("x509", "-req", "-in", "own.csr", ...signed, "-out", "own.pem");
    return { cert: text("own.pem"), key: text("own.key"), ca: text("ca.pem") };
  } catch (error: unknown) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    console.log("openssl is not installed: peers over TLS are not tested");
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
