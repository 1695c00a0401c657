// A text with what was found in it. The server counts bytes of UTF-8.
export interface Hit {
  phrase: string;
  from: number;
  to: number;
}
export interface Piece {
  text: string;
  kind: "plain" | "match" | "masked";
}

/** marked cuts a text where matches and masks begin and end; a match goes before a mask. */
export function marked(text: string, matches: readonly Hit[], masked: readonly Hit[]): Piece[] {
  const bytes = new TextEncoder().encode(text);
  const kind = (i: number): Piece["kind"] => {
    const within = (h: Hit) => i >= h.from && i < h.to;
    return matches.some(within) ? "match" : masked.some(within) ? "masked" : "plain";
  };
  const out: Piece[] = [];
  const decoder = new TextDecoder();
  for (let i = 0; i < bytes.length; ) {
    const k = kind(i);
    let j = i + 1;
    while (j < bytes.length && ((bytes[j]! & 0xc0) === 0x80 || kind(j) === k)) j++;
    out.push({ text: decoder.decode(bytes.slice(i, j)), kind: k });
    i = j;
  }
  return out;
}
