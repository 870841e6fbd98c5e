export { checkHistory } from "./check.ts";
export type { History, LogWrite, Operation, OperationKind, Outcome, Rule, Verdict } from "./history.ts";
