export { judgeHello, type LocalMember } from "./handshake.ts";
