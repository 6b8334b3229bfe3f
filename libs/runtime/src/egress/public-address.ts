import { BlockList, isIP } from "node:net";

/** What of IPv4 no public host has: IANA's special-purpose registry, multicast, what is reserved. */
const notPublicV4 = blockList([
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
]);
/** What of 2000::/3, the only public part of IPv6, is not: protocols, examples, tunnels that embed IPv4. */
const notPublicV6 = blockList(["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"]);
const publicV6 = blockList(["2000::/3"]);
/**
 * IPv4 in IPv6's clothes: mapped, and through a translator, which is how hosts without IPv4 reach such
 * peers. The address inside decides.
 */
const translated = blockList(["64:ff9b::/96"]);
const mapped = blockList(["::ffff:0:0/96"]);

/** Where hosts find their cloud's credentials, and other neighbours on the same wire. */
const linkLocal = blockList(["169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32"]);

export function blockList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = "", bits] = range.split("/");
    const family = isIP(network) === 4 ? "ipv4" : "ipv6";
    if (bits === undefined) list.addAddress(network, family);
    else list.addSubnet(network, Number(bits), family);
  }
  return list;
}

/** Whether an address is in a list, as it is written or as the IPv4 address that it stands for. */
export function isListed(list: BlockList, address: string): boolean {
  const plain = unwrapped(address);
  return list.check(plain, isIP(plain) === 4 ? "ipv4" : "ipv6");
}

export function isPublic(address: string): boolean {
  const plain = unwrapped(address);
  if (isIP(plain) === 4) return !notPublicV4.check(plain);
  return publicV6.check(plain, "ipv6") && !notPublicV6.check(plain, "ipv6");
}

/** Addresses that no allowed name may lead to: they must be allowed themselves. */
export const isLinkLocal = (address: string): boolean => isListed(linkLocal, address);

/** The IPv4 address that an IPv6 address stands for, else itself, without a zone. */
function unwrapped(address: string): string {
  const [bare = ""] = address.split("%");
  if (isIP(bare) !== 6) return bare;
  if (!mapped.check(bare, "ipv6") && !translated.check(bare, "ipv6")) return bare;
  // A URL's parser writes each form the same way: the last 32 bits are two groups in hex.
  const written = new URL(`http://[${bare}]/`).hostname.slice(1, -1);
  const groups = written.split("::").pop()?.split(":") ?? [];
  const [high = 0, low = 0] = ["0", "0", ...groups].slice(-2).map((group) => Number.parseInt(group, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
