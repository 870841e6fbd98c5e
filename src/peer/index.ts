export { type HelloVerdict, judgeHello, type LocalMember, type PeerRecord } from "./handshake.ts";
