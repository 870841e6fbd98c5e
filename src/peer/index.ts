export { judgeHello, type LocalMember } from "./handshake.ts";
export { lookUp } from "./look-up.ts";
export { DEFAULT_PEER_OPTIONS, type PeerOptions, type PeerTls, parsePeerUrl } from "./options.ts";
export { type PeerDependencies, TcpPeers } from "./tcp.ts";
